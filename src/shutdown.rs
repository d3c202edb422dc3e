//! One signal that says "stop" to everything that runs, in two steps: begin to drain, then at once.

use tokio::sync::watch;

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Nobody asked to stop.
    #[default]
    Running,
    /// No new work; what runs may end.
    Draining,
}

/// The side that asks to stop.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Phase>);

/// The side that is asked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Phase>);

/// A connected pair.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Asks everybody to stop; asking again changes nothing.
    pub fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }
}

impl Shutdown {
    /// Whether somebody asked to stop.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Returns once somebody asked to stop, or the asking side is gone.
    pub async fn draining(&mut self) {
        let _ = self.0.wait_for(|phase| *phase >= Phase::Draining).await;
    }
}
