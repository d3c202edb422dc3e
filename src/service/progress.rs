//! How far a request is that takes many steps: counted here, looked at by whoever asked. Nothing here prints.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps done, of how many; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    stretch: Mutex<(u64, &'static str)>,
    done: AtomicU64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0 where none were announced.
    pub total: u64,
    /// What is counted, `entries`.
    pub what: &'static str,
}

impl Progress {
    /// Announces so many steps; what was announced before is over.
    pub fn begin(&self, total: usize, what: &'static str) {
        let mut stretch = self.0.stretch.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.done.store(0, Ordering::Relaxed);
        *stretch = (total as u64, what);
    }

    /// So many more are done.
    pub fn advance(&self, steps: usize) {
        self.0.done.fetch_add(steps as u64, Ordering::Relaxed);
    }

    /// How far it is now.
    pub fn reached(&self) -> Reached {
        let (total, what) = *self.0.stretch.lock().unwrap_or_else(PoisonError::into_inner);
        Reached { done: self.0.done.load(Ordering::Relaxed).min(total), total, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together_and_never_beyond_the_end() {
        let progress = Progress::default();
        assert_eq!(progress.reached().total, 0);
        progress.begin(10, "entries");
        progress.clone().advance(4);
        assert_eq!(progress.reached(), Reached { done: 4, total: 10, what: "entries" });
        progress.advance(100);
        assert_eq!(progress.reached().done, 10);
        progress.begin(3, "runs");
        assert_eq!(progress.reached(), Reached { done: 0, total: 3, what: "runs" });
    }
}
