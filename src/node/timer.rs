//! An alarm clock that is right to about 0.1 ms: tokio's own timers overshoot by 1 to 2 ms.
//!
//! One thread that waits on a channel with a time limit; the system wakes it by its high resolution timers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Asks the thread; cheap to clone. The thread ends with the last of them.
#[derive(Debug, Clone)]
pub struct Timer(Sender<Alarm>);

#[derive(Debug)]
struct Alarm {
    at: Instant,
    ring: oneshot::Sender<()>,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Alarm {}
impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Timer {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("timer".to_owned()).spawn(move || ring(&receiver))?;
        Ok(Self(sender))
    }

    /// Returns at that moment, or at once where it has passed. May be dropped at any time.
    pub async fn sleep_until(&self, at: Instant) {
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return;
        }
        // Far away the coarse timer does; the thread keeps few alarms.
        if let Some(coarse) = wait.checked_sub(Duration::from_millis(20)) {
            tokio::time::sleep(coarse).await;
        }
        let (ring, rung) = oneshot::channel();
        if self.0.send(Alarm { at, ring }).is_err() || rung.await.is_err() {
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

fn ring(alarms: &Receiver<Alarm>) {
    let mut waiting: BinaryHeap<Reverse<Alarm>> = BinaryHeap::new();
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|first| first.0.at <= now) {
            if let Some(Reverse(alarm)) = waiting.pop() {
                // Whoever asked may be gone.
                let _ = alarm.ring.send(());
            }
        }
        let next = match waiting.peek() {
            Some(first) => alarms.recv_timeout(first.0.at.saturating_duration_since(now)),
            None => alarms.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(alarm) => waiting.push(Reverse(alarm)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
