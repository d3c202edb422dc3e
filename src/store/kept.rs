//! What requests of people were answered before, as the scripts keep it: readable, one hash a shard.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::maybe_bytes;
use crate::store::scripts::digest;

/// What is kept of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    /// It never came, or its answer is not kept any more.
    Nothing,
    /// Its id came with other content.
    Other,
    /// Its answer.
    Answer(Value),
}

impl Store {
    /// What a request was answered, if it came before.
    pub(super) async fn kept(&self, shard: u16, request: &str, content: &str) -> Result<Kept> {
        let args = vec![self.key(shard, Key::Requests).into(), request.into()];
        let Some(kept) = maybe_bytes(self.inner.client.command("HGET", args).await?)? else {
            return Ok(Kept::Nothing);
        };
        let kept = String::from_utf8_lossy(&kept).into_owned();
        match kept.split_once(' ') {
            Some((known, _)) if known != digest(&[content.as_bytes()]) => Ok(Kept::Other),
            Some((_, answer)) => serde_json::from_str(answer)
                .map(Kept::Answer)
                .map_err(|why| Error::internal(format!("the kept answer of {request} can't be read: {why}"))),
            None => Err(Error::internal(format!("the kept answer of {request} can't be read"))),
        }
    }
}
