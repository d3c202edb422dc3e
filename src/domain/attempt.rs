//! Attempts of a run as they stand in its record: what each came to, but for the last one, which the record itself tells.

use crate::domain::bytes::Reader;
use crate::domain::run::Reason;
use crate::domain::timestamp::Timestamp;

/// An attempt that ended without ending its run, or before its run was reopened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAttempt {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, or was found lost.
    pub finished_at: Timestamp,
    /// Why it failed; `Lost` with its node, `Drained` where its node handed it back.
    pub reason: Option<Reason>,
    /// What the command returned.
    pub exit_code: Option<i32>,
    /// Name of its node.
    pub node: Option<String>,
    /// For people; the first 200 bytes.
    pub message: Option<String>,
}

impl PastAttempt {
    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            started_at: reader.instant()?,
            finished_at: reader.instant()?,
            reason: Reason::from_number(reader.byte()?),
            exit_code: exit_code(reader.number(2)?),
            node: Some(reader.text(1)?).filter(|node| !node.is_empty()),
            message: Some(reader.text(2)?).filter(|message| !message.is_empty()),
        })
    }

    /// Reads them one behind the other, as `log_attempt` of `lua/parts/live.lua` writes them; stops where nothing more can be read.
    pub(crate) fn read_all(packed: &[u8]) -> Vec<Self> {
        let mut reader = Reader(packed);
        std::iter::from_fn(|| Self::read(&mut reader)).collect()
    }
}

/// What a command returned, from a record: the code + 1, 0 where there is none.
pub(crate) fn exit_code(packed: u64) -> Option<i32> {
    i32::try_from(packed).ok()?.checked_sub(1).filter(|code| *code >= 0)
}
