//! Why an attempt is ended before its time, and how its ending then reads.

use tokio::sync::watch;
use tokio::time::Instant;

use super::Stop;
use crate::domain::span::Span;

/// Why an attempt is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It took too long.
    Timeout,
    /// The node asks.
    Stop(Stop),
}

impl Cause {
    /// Whether the attempt may still tidy up.
    pub(super) fn is_mild(self) -> bool {
        self != Self::Stop(Stop::Lost)
    }

    /// A cause is replaced by a weightier one only: who hands back must not hide that somebody cancelled, who lost it
    /// has no say at all.
    fn weight(self) -> u8 {
        match self {
            Self::Stop(Stop::Drain) => 0,
            Self::Timeout => 1,
            Self::Stop(Stop::Cancel) => 2,
            Self::Stop(Stop::Lost) => 3,
        }
    }
}

/// What may end an attempt before its time: its timeout and the node.
pub(super) struct Interruption {
    stop: watch::Receiver<Option<Stop>>,
    deadline: Option<Instant>,
    cause: Option<Cause>,
}

impl Interruption {
    /// The timeout starts now.
    pub(super) fn new(stop: watch::Receiver<Option<Stop>>, timeout: Option<Span>) -> Self {
        // A timeout beyond what a clock can tell is none.
        let deadline = timeout.and_then(|span| Instant::now().checked_add(std::time::Duration::from_millis(span.0)));
        Self { stop, deadline, cause: None }
    }

    /// Waits for the next cause that outweighs the one before; may be dropped at any time.
    pub(super) async fn next(&mut self) -> Cause {
        loop {
            let asked = (*self.stop.borrow_and_update()).map(Cause::Stop);
            if let Some(cause) = asked.filter(|cause| self.outweighs(*cause)) {
                self.cause = Some(cause);
                return cause;
            }
            let deadline = self.deadline.filter(|_| self.outweighs(Cause::Timeout));
            let time_is_up = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let word = async {
                // Without a sender nobody will ask any more.
                if self.stop.changed().await.is_err() {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = time_is_up => {
                    self.cause = Some(Cause::Timeout);
                    return Cause::Timeout;
                }
                () = word => {}
            }
        }
    }

    /// What has been asked before the attempt began.
    pub(super) fn already(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    fn outweighs(&self, cause: Cause) -> bool {
        self.cause.is_none_or(|before| before.weight() < cause.weight())
    }
}
