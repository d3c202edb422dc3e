//! Whether commands held Redis for too long, whatever machine it is and whatever else that has to do.
//!
//! The slow log has wall time: on a busy machine the server is put aside in the middle of a call that needs 1 ms, and its line says
//! 20; on another machine everything takes twice as long. So beside the calls that are judged the same server runs a script of a
//! known amount of work, again and again, and a call is compared with what that script took around it. The calls are grouped by
//! command and script, and the middle one of a group speaks for it: few calls are put aside, a step that is too large is slow each
//! time. A group of few calls says nothing.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::redis::{Options, RedisServer};
use super::resp::Reply;

/// What a call may take at the most: 5 ms of the machine on which upbeat's figures were measured, of text and of what commands do.
/// They are few, because the log has those of scripts, too.
const YARDSTICK: &str = "
    local fields, members = {}, {}
    for i = 1, 1000 do
        local text = table.concat({ 'one of', i, 'fields of some sixty bytes, as scripts write them:', i * 3 }, ' ')
        fields[#fields + 1], fields[#fields + 2] = i, cjson.decode(cjson.encode({ text = text, v = i })).text
        members[#members + 1], members[#members + 2] = i, 'member-' .. i
    end
    for i = 1, #fields, 400 do
        redis.call('HSET', KEYS[1], unpack(fields, i, i + 399))
        redis.call('ZADD', KEYS[2], unpack(members, i, i + 399))
    end
    redis.call('HGETALL', KEYS[1])
    redis.call('DEL', KEYS[1], KEYS[2])";
/// Between two of them: a tenth of the server is theirs.
const YARDSTICK_EVERY: Duration = Duration::from_millis(45);
/// So many of them on either side of a call are what it is compared with.
const AROUND: usize = 5;
/// Fewer calls have no middle.
const CALLS_MIN: usize = 10;
/// Calls that are looked at, the last ones.
const CALLS_MAX: &str = "20000";

/// A server that notes each call.
pub struct Watched {
    server: RedisServer,
    digest: String,
    stop: Option<Sender<()>>,
    yardstick: Option<JoinHandle<()>>,
}

/// A server that notes each call, and runs the yardstick from now on.
pub fn watched() -> Watched {
    let args = ["--slowlog-log-slower-than", "0", "--slowlog-max-len", CALLS_MAX];
    let server = RedisServer::start(Options { args: args.map(str::to_owned).to_vec(), ..Options::default() });
    let digest = server.ask(&["SCRIPT", "LOAD", YARDSTICK]).text();
    let mut client = server.client().expect("a server that answers");
    let (stop, stopped) = mpsc::channel();
    let sha = digest.clone();
    let yardstick = std::thread::spawn(move || {
        while stopped.recv_timeout(YARDSTICK_EVERY) == Err(RecvTimeoutError::Timeout) {
            client.ask(&["EVALSHA", &sha, "2", "yardstick", "yardstick:2"]).expect("a yardstick");
        }
    });
    Watched { server, digest, stop: Some(stop), yardstick: Some(yardstick) }
}

impl Deref for Watched {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.server
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(yardstick) = self.yardstick.take() {
            let _ = yardstick.join();
        }
    }
}

/// Fails where a group of calls held that server; returns how many calls of scripts were judged.
#[track_caller]
pub fn none_held(watched: &Watched) -> usize {
    let calls: Vec<(String, i64)> = watched.ask(&["SLOWLOG", "GET", "-1"]).list().iter().map(call).collect();
    let yardstick = format!("evalsha {}", watched.digest);
    let marks: Vec<(usize, i64)> =
        calls.iter().enumerate().filter(|(_, (group, _))| *group == yardstick).map(|(at, (_, us))| (at, *us)).collect();
    assert!(marks.len() >= 2 * AROUND, "only {} yardsticks", marks.len());
    // What each took, as a share of what a call may take there.
    let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (at, (group, took_us)) in calls.iter().enumerate().filter(|(_, (group, _))| *group != yardstick) {
        let next = marks.partition_point(|(mark, _)| *mark < at);
        let from = next.saturating_sub(AROUND).min(marks.len() - 2 * AROUND);
        let around = marks[from..from + 2 * AROUND].iter().map(|(_, us)| *us as f64).collect();
        groups.entry(group).or_default().push(*took_us as f64 / middle(around));
    }
    groups.retain(|_, shares| shares.len() >= CALLS_MIN);
    for (group, shares) in &groups {
        let (calls, share) = (shares.len(), middle(shares.clone()));
        println!("{group}: the middle one of {calls} calls took {share:.3} of what it may");
        assert!(share <= 1.0, "{group}: the middle one of {calls} calls took {share:.2} times what it may");
    }
    groups.iter().filter(|(group, _)| group.starts_with("evalsha")).map(|(_, shares)| shares.len()).sum()
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The command, of a script with its digest, and what the call took, us.
fn call(line: &Reply) -> (String, i64) {
    let [_, _, took_us, words, ..] = line.list() else { panic!("a line of the slow log: {line}") };
    let words: Vec<String> = words.list().iter().map(Reply::text).collect();
    let command = words.first().map(|word| word.to_lowercase()).unwrap_or_default();
    let group = match words.get(1).filter(|_| command.starts_with("evalsha")) {
        Some(digest) => format!("{command} {digest}"),
        None => command,
    };
    (group, took_us.int())
}
