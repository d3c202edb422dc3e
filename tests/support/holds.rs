//! Whether commands held Redis for too long, whatever else the machine had to do.
//!
//! The slow log has wall time: on a busy machine the server is put aside in the middle of a call that needs 1 ms, and its line says
//! 20. Two things take the machine out of it. The calls are grouped by command and script, and the middle one of a group
//! speaks for it: few calls are put aside, a step that is too large is slow each time. And what it took is cut to the share of all
//! that calls took which the server was really on a processor, by its own account of processor time: with three others on one
//! processor a quarter. A group of few calls says nothing.

use std::collections::BTreeMap;

use super::redis::{Options, RedisServer};
use super::resp::Reply;

/// What a call may take of a processor, us.
const HOLD_MAX_US: f64 = 5_000.0;
/// Fewer calls have no middle.
const CALLS_MIN: usize = 10;
/// Calls that are looked at, the last ones.
const CALLS_MAX: &str = "20000";

/// A server that notes each call.
pub fn watched() -> RedisServer {
    let args = ["--slowlog-log-slower-than", "0", "--slowlog-max-len", CALLS_MAX];
    RedisServer::start(Options { args: args.map(str::to_owned).to_vec(), ..Options::default() })
}

/// Fails where a group of calls held that server; returns how many calls of scripts were judged.
#[track_caller]
pub fn none_held(server: &RedisServer) -> usize {
    let share = share_of_processor(server);
    let mut groups: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for call in server.ask(&["SLOWLOG", "GET", "-1"]).list() {
        let [_, _, took_us, words, ..] = call.list() else { panic!("a line of the slow log: {call}") };
        groups.entry(group(words)).or_default().push(took_us.int());
    }
    groups.retain(|_, took_us| took_us.len() >= CALLS_MIN);
    for (group, took_us) in &mut groups {
        took_us.sort_unstable();
        let (calls, middle) = (took_us.len(), took_us[took_us.len() / 2]);
        let held_us = middle as f64 * share;
        assert!(
            held_us <= HOLD_MAX_US,
            "{group}: the middle one of {calls} calls took {middle} us, of which the processor was its own for {share:.2}"
        );
    }
    groups.iter().filter(|(group, _)| group.starts_with("evalsha")).map(|(_, took_us)| took_us.len()).sum()
}

/// How much of the time that its calls took the server was on a processor, at most 1.
fn share_of_processor(server: &RedisServer) -> f64 {
    let number = |section: &str, name: &str| {
        let text = server.cli(&["INFO", section]);
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let processor_us = 1e6 * (number("cpu", "used_cpu_user") + number("cpu", "used_cpu_sys"));
    // What a script calls is counted twice, as its own and as that of its commands.
    let stats = server.cli(&["INFO", "commandstats"]);
    let (mut scripts_us, mut others_us) = (0.0, 0.0);
    for (command, took_us) in stats.lines().filter_map(stat) {
        *(if command.starts_with("eval") { &mut scripts_us } else { &mut others_us }) += took_us;
    }
    (processor_us / f64::max(scripts_us, others_us)).min(1.0)
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
fn stat(line: &str) -> Option<(&str, f64)> {
    let (command, fields) = line.trim().strip_prefix("cmdstat_")?.split_once(':')?;
    let usec = fields.split(',').find_map(|field| field.strip_prefix("usec="))?;
    Some((command, usec.parse().ok()?))
}
