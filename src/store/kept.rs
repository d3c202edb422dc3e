//! What requests of people were answered before, as the scripts keep it: readable, one hash a shard.

use fred::types::Value;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::{Reply, maybe_bytes};
use crate::store::scripts::digest;

/// What is kept of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    /// It never came, or its answer is not kept any more.
    Nothing,
    /// Its id came with other content.
    Other,
    /// Its answer.
    Answer(serde_json::Value),
}

impl Store {
    /// What a request was answered, if it came before.
    pub(super) async fn kept(&self, shard: u16, request: &str, content: &str) -> Result<Kept> {
        let args = vec![self.key(shard, Key::Requests).into(), request.into()];
        read(maybe_bytes(self.inner.client.command("HGET", args).await?)?, request, content)
    }

    /// The same of several requests, each with its content, by one command.
    pub(super) async fn kept_each(&self, shard: u16, asked: &[(String, &str)]) -> Result<Vec<Kept>> {
        let mut args = vec![self.key(shard, Key::Requests).into()];
        args.extend(asked.iter().map(|(request, _)| Value::from(request.as_str())));
        let kept = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest();
        kept.into_iter()
            .zip(asked)
            .map(|(kept, (request, content))| read(maybe_bytes(kept)?, request, content))
            .collect()
    }
}

fn read(kept: Option<Vec<u8>>, request: &str, content: &str) -> Result<Kept> {
    let Some(kept) = kept else { return Ok(Kept::Nothing) };
    let kept = String::from_utf8_lossy(&kept).into_owned();
    match kept.split_once(' ') {
        Some((known, _)) if known != digest(&[content.as_bytes()]) => Ok(Kept::Other),
        Some((_, answer)) => serde_json::from_str(answer)
            .map(Kept::Answer)
            .map_err(|why| Error::internal(format!("the kept answer of {request} can't be read: {why}"))),
        None => Err(Error::internal(format!("the kept answer of {request} can't be read"))),
    }
}
