//! Whether a command held Redis for too long, judged by groups of calls.
//!
//! What a call takes is wall time: on a busy machine the server is put aside in the middle of a call that needs 1 ms, and the slow
//! log has it with 20. Such calls are few, and any command meets them; a step that is too large is slow each time. So the calls
//! are grouped by command and script, and a group fails where more than 2 % of its calls took longer than 5 ms, or where a script
//! needed more than 5 ms on average. A few calls alone say nothing.

use std::collections::BTreeMap;

use super::redis::{Options, RedisServer};
use super::resp::Reply;

/// What a call may take, us.
const HOLD_MAX_US: u64 = 5_000;
/// Calls of a group that may take longer by bad luck: one in so many.
const LUCK: usize = 50;
/// Fewer calls say nothing.
const CALLS_MIN: usize = 20;

/// A server that notes the calls that take longer.
pub fn watched() -> RedisServer {
    let args = ["--slowlog-log-slower-than", &HOLD_MAX_US.to_string(), "--slowlog-max-len", "100000"];
    RedisServer::start(Options { args: args.map(str::to_owned).to_vec(), ..Options::default() })
}

/// Fails where a group of calls held that server.
#[track_caller]
pub fn none_held(server: &RedisServer) {
    let mut slow: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for call in server.ask(&["SLOWLOG", "GET", "-1"]).list() {
        let [_, _, took_us, words, ..] = call.list() else { panic!("a line of the slow log: {call}") };
        slow.entry(group(words)).or_default().push(took_us.int());
    }
    let stats = server.cli(&["INFO", "commandstats"]);
    let stats: BTreeMap<String, (usize, f64)> = stats.lines().filter_map(stat).collect();
    for (script, (calls, mean_us)) in &stats {
        let is_script = script.starts_with("eval");
        let is_fine = !is_script || *calls < CALLS_MIN || *mean_us <= HOLD_MAX_US as f64;
        assert!(is_fine, "{calls} calls of {script} took {mean_us} us each");
    }
    for (group, took_us) in slow {
        // All scripts share one number of calls, each with keys of its own: that they are few of all is the weaker half.
        let command = group.split(' ').next().unwrap_or_default();
        let calls = stats.get(command).map_or(0, |(calls, _)| *calls);
        let is_luck = calls < CALLS_MIN || took_us.len() * LUCK <= calls;
        assert!(
            is_luck,
            "{} of {calls} calls of {group} took longer than {HOLD_MAX_US} us: {took_us:?}",
            took_us.len()
        );
    }
}

/// The command, of a script with its digest.
fn group(words: &Reply) -> String {
    let words: Vec<String> = words.list().iter().map(Reply::text).collect();
    let command = words.first().map(|word| word.to_lowercase()).unwrap_or_default();
    match words.get(1).filter(|_| command.starts_with("evalsha")) {
        Some(digest) => format!("{command} {digest}"),
        None => command,
    }
}

/// `cmdstat_hget:calls=3,usec=12,usec_per_call=4.00,...`
fn stat(line: &str) -> Option<(String, (usize, f64))> {
    let (command, fields) = line.trim().strip_prefix("cmdstat_")?.split_once(':')?;
    let field = |name: &str| fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    Some((command.to_owned(), (field("calls")?.parse().ok()?, field("usec_per_call")?.parse().ok()?)))
}
