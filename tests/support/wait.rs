//! Waiting for a condition with a deadline; no test sleeps for luck.

use std::time::{Duration, Instant};

/// Until whatever a process, a lease or a reconnect needs has happened, on a machine that is many times slower than usual.
pub const DEADLINE: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(5);
/// A condition may be a whole process: asked all the time it would be most of the load.
const LONGEST_STEP: Duration = Duration::from_millis(50);

fn step(start: Instant) -> Duration {
    (start.elapsed() / 20).clamp(STEP, LONGEST_STEP)
}

/// Waits until `condition` holds; fails the test, naming `what`, when it does not within `deadline`.
#[track_caller]
pub fn wait_for(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_some(what, deadline, || condition().then_some(()));
}

/// Waits until `find` finds something and returns that.
#[track_caller]
pub fn wait_some<T>(what: &str, deadline: Duration, mut find: impl FnMut() -> Option<T>) -> T {
    within(deadline, &mut find).unwrap_or_else(|| panic!("after {deadline:?} still not: {what}"))
}

/// Looks for something; `None` where it is not found within `deadline`.
pub fn within<T>(deadline: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = find();
        if found.is_some() || start.elapsed() >= deadline {
            return found;
        }
        std::thread::sleep(step(start));
    }
}

/// [`wait_for`] for a condition that is itself asynchronous.
pub async fn until(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < deadline, "after {deadline:?} still not: {what}");
        tokio::time::sleep(step(start)).await;
    }
}
