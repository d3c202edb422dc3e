//! How the history of a shard began: what tells a namespace that was flushed from one that people emptied.

use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::{self, Key};
use crate::store::reply::Reply;

const BEGINNING_KEYS: &[Key] = &[Key::Clock, Key::Entries, Key::Removed, Key::Revisions, Key::Ledger, Key::Events];

/// Who asks how a shard began, about which schedule file.
#[derive(Debug, Clone, Copy)]
pub struct BeginningCall<'a> {
    /// Name of the beginning, where none is noted yet.
    pub name: &'a str,
    /// Whether the caller has seen a beginning of this shard before.
    pub has_seen: bool,
    /// The file, by the owner that applies it.
    pub file: &'a str,
    /// What is to be noted of it.
    pub note: FileNote<'a>,
}

/// What is to be noted of a schedule file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNote<'a> {
    /// Nothing: the caller only looks.
    Nothing,
    /// Its entries are being put back; whoever looks goes on with it.
    Open {
        /// Since this beginning; where that is gone meanwhile, nothing is noted.
        of: &'a str,
    },
    /// They were.
    Done {
        /// Since this beginning; where that is gone meanwhile, nothing is noted.
        of: &'a str,
        /// How many.
        count: u64,
        /// By which node.
        node: &'a str,
        /// From what, for people.
        shown: &'a str,
    },
}

/// How a shard began, and what is noted of a schedule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The shard's time.
    pub now: Timestamp,
    /// Nothing was on record when it was noted; else it was in use.
    pub is_blank: bool,
    /// Another one after a flush.
    pub name: String,
    /// When it was noted.
    pub at: Timestamp,
    /// The entries of the file are being put back.
    pub is_open: bool,
    /// They were.
    pub is_done: bool,
}

impl Store {
    /// Asks how a shard began, and notes what becomes of a schedule file in it.
    pub async fn beginning(&self, shard: u16, call: &BeginningCall<'_>) -> Result<Beginning> {
        let keys = self.keys(shard).all(BEGINNING_KEYS);
        let (note, of, count, node, shown) = match call.note {
            FileNote::Nothing => ("", "", 0, "", ""),
            FileNote::Open { of } => ("open", of, 0, "", ""),
            FileNote::Done { of, count, node, shown } => ("done", of, count, node, shown),
        };
        let args = vec![
            call.name.into(),
            i64::from(call.has_seen).into(),
            call.file.into(),
            note.into(),
            count.cast_signed().into(),
            node.into(),
            shown.into(),
            of.into(),
        ];
        let mut reply = Reply::list(self.eval(&self.scripts().beginning, &keys, args).await?)?;
        let now = Timestamp(reply.number()?);
        let is_blank = reply.text()? == "blank";
        let (name, at, state) = (reply.text()?, Timestamp(reply.number()?), reply.text()?);
        Ok(Beginning { now, is_blank, name, at, is_open: state == "open", is_done: state == "done" })
    }

    /// Fixes the number of shards again, as it was when this store was opened: a flush has taken it. Returns whether that is the
    /// number that stands.
    pub async fn fix_shards(&self) -> Result<bool> {
        let shards = i64::from(self.shards().end);
        let settings = keys::settings(self.namespace());
        let args = vec![shards.into()];
        let mut fixed = Reply::list(self.inner.client.eval(&self.scripts().open_namespace, &[settings], args).await?)?;
        Ok(fixed.number()? == shards)
    }
}
