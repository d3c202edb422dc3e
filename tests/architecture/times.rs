//! No outcome of a test hangs on how fast the machine is: waiting and reading clocks stand in a few places, each with its reason.

use std::path::PathBuf;

use super::source::{self, Source};

/// What makes a test depend on real time: it sleeps for luck, measures, or compares this machine's clock with another's.
const REAL_TIME: &[&str] = &["sleep", "elapsed", "SystemTime", "Utc::now", "Local::now"];
/// Deadlines of its own, and where they count from; a unit test may reckon with both.
const DEADLINES: &[&str] = &["Instant::now", "Duration::from_secs", "Duration::from_millis"];

/// Files of `tests/` that may, and why no outcome hangs on it.
const MAY: &[(&str, &str)] = &[
    ("support/wait.rs", "conditions with a generous deadline"),
    ("support/patience.rs", "instants that a scenario names: who misses one plays it again"),
    ("support/cli.rs", "measures how much room a scenario must leave on this machine"),
    ("support/proxy/connection.rs", "a network that is slow on purpose"),
    ("cuts/web.rs", "a target that takes its time"),
    (
        "cuts/fleet.rs",
        "a lease ends by the clock of its node only while Redis is frozen: it is waited for, nothing may come of it",
    ),
    ("race/bed.rs", "gives up looking for what it could kill, as too slow a machine"),
    ("support/holds.rs", "runs a known amount of work now and again beside what is compared with it"),
    ("large/apply.rs", "looks at the memory of a process now and again"),
    ("large/lists.rs", "looks at the memory of a process now and again"),
    ("cli/looks.rs", "a network that is slow on purpose"),
];

/// All Rust files of `tests/`, but for those that state the rule.
pub fn read_all() -> Vec<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests = source::read_below(&root);
    tests.retain(|source| source.top_module() != "architecture");
    tests
}

fn ways(source: &Source, of_units: bool) -> impl Iterator<Item = &'static &'static str> {
    let deadlines = DEADLINES.iter().filter(move |_| !of_units);
    REAL_TIME.iter().chain(deadlines).filter(|way| source.has_path(way))
}

/// What a file of `tests/` must not name; a unit test of `src/` may reckon with instants and durations.
pub fn offences(source: &Source, of_units: bool) -> Vec<String> {
    if !of_units && MAY.iter().any(|(path, _)| source.path == *path) {
        return Vec::new();
    }
    let place = if of_units { "src" } else { "tests" };
    let say = |way| format!("{place}/{}: {way}: wait for a condition, or let the script's clock pass", source.path);
    ways(source, of_units).map(say).collect()
}

/// Files that may and need not.
pub fn idle(tests: &[Source]) -> Vec<String> {
    let uses = |path: &str| tests.iter().any(|source| source.path == path && ways(source, false).next().is_some());
    MAY.iter().filter(|(path, _)| !uses(path)).map(|(path, _)| format!("tests/{path}: may, and need not")).collect()
}
