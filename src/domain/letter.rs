//! Dead letters: runs that failed for good, with all that a retry needs, as `bury` of `lua/parts/history.lua` packs them.

use crate::domain::bytes::Reader;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::record::{EndedRun, LiveRun};

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// How the run ended.
    pub ended: EndedRun,
    /// Its live record when it ended: what a retry goes on from.
    pub live: LiveRun,
    /// Whether it is a message that its target refused, not a run of a node.
    pub is_direct: bool,
}

impl Letter {
    /// Reads one; `None` where it is damaged or of a newer program.
    pub fn read(namespace: &Namespace, run_id: &str, packed: &[u8]) -> Option<Self> {
        let mut reader = Reader(packed);
        if reader.byte()? != 1 {
            return None;
        }
        let body = usize::try_from(reader.number(2)?).ok()?;
        let message = usize::try_from(reader.number(4)?).ok()?;
        let body = reader.bytes(body)?;
        reader.bytes(message)?;
        let live = LiveRun::read(run_id, reader.0)?;
        let id = EntryId::parse("entry", &live.entry_id).ok()?;
        let ended = EndedRun::read(namespace, &id, body)?;
        Some(Self { ended, live, is_direct: message > 0 })
    }
}
