//! A machine that was too slow for a scenario is no verdict: the scenario is played again. A verdict is never asked for twice.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

const ROUNDS: usize = 3;

/// Why a scenario shows nothing.
struct TooSlow(String);

/// Ends a scenario that missed an instant, or in which nothing happened that it could judge.
pub fn too_slow(why: &str) -> ! {
    eprintln!("the machine is too slow: {why}");
    resume_unwind(Box::new(TooSlow(why.to_owned())))
}

/// This machine's clock, which is that of the servers of the tests, too: also while one of them is away.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Whatever had to be done before this instant is done: else the scenario shows nothing.
pub fn still_before(at_ms: i64, what: &str) {
    let late_ms = now_ms() - at_ms;
    if late_ms >= 0 {
        too_slow(&format!("{what}, {late_ms} ms ago"));
    }
}

/// Waits for an instant that the scenario names; it may be later.
pub fn wait_until(at_ms: i64) {
    std::thread::sleep(Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or(0)));
}

/// Plays a scenario, again where it was [`too_slow`]. Whatever else fails in it fails the test at once.
#[track_caller]
pub fn patiently<T>(mut scenario: impl FnMut() -> T) -> T {
    let mut reasons = Vec::new();
    for _ in 0..ROUNDS {
        match catch_unwind(AssertUnwindSafe(&mut scenario)) {
            Ok(seen) => return seen,
            Err(other) => match other.downcast::<TooSlow>() {
                Ok(slow) => reasons.push(slow.0),
                Err(other) => resume_unwind(other),
            },
        }
    }
    panic!("the machine is too slow, {ROUNDS} times over: {reasons:#?}");
}

/// Two scenarios at once: both wait for time to pass more than they work.
pub fn in_parallel<A: Send, B: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|why| resume_unwind(why)), other)
    })
}
