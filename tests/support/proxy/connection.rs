//! One connection through the proxy: commands one way, replies the other, matched by their order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{frame_length, loaded_script, script_names, words};
use super::{Fate, Shared};

/// A command whose reply is not there yet.
struct Pending {
    fate: Option<(String, Fate)>,
    script: Option<String>,
}

struct Connection {
    shared: Arc<Shared>,
    pending: Mutex<VecDeque<Pending>>,
    /// Set by a subscription: from then on replies and messages can't be told apart, and everything passes.
    is_raw: AtomicBool,
}

/// Returns when the connection is to be closed, in both directions.
pub async fn run<C, S>(client: C, server: S, shared: Arc<Shared>)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let connection = Connection { shared: shared.clone(), pending: Mutex::default(), is_raw: AtomicBool::new(false) };
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    tokio::select! {
        () = connection.commands(from_client, to_server) => {}
        () = connection.replies(from_server, to_client) => {}
        () = shared.refused() => {}
    }
    // Calls whose turn did not come before another one's cut: the next such call meets the fate of each.
    let unanswered: Vec<Pending> = connection.pending().drain(..).collect();
    unanswered.into_iter().filter_map(|call| call.fate).for_each(|(label, fate)| shared.take_back(label, fate));
}

impl Connection {
    async fn commands(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut bytes = Vec::new();
        while from.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
            if !self.shared.may_move().await {
                return;
            }
            let mut passed = 0;
            while let Some(length) = frame_length(&bytes[passed..]) {
                let command = words(&bytes[passed..passed + length]);
                let fate = self.shared.judge(&command);
                if let Some((label, Fate::CutRequest)) = &fate {
                    // What stood before it in the pipeline is executed, as on a real network.
                    let _ = to.write_all(&bytes[..passed]).await;
                    self.shared.hit(label);
                    return;
                }
                let verb = command.first().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
                if matches!(verb.as_slice(), b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"MONITOR") {
                    self.is_raw.store(true, Ordering::SeqCst);
                }
                self.pending().push_back(Pending { fate, script: loaded_script(&command) });
                passed += length;
            }
            if to.write_all(&bytes[..passed]).await.is_err() {
                return;
            }
            bytes.drain(..passed);
        }
    }

    async fn replies(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut bytes = Vec::new();
        while from.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
            if !self.shared.may_move().await {
                return;
            }
            tokio::time::sleep(self.shared.delay()).await;
            let mut passed = 0;
            let mut met = None;
            while met.is_none() {
                if self.is_raw.load(Ordering::SeqCst) {
                    passed = bytes.len();
                    break;
                }
                let Some(length) = frame_length(&bytes[passed..]) else { break };
                met = self.answer(&bytes[passed..passed + length]);
                if met.is_none() {
                    passed += length;
                }
            }
            if to.write_all(&bytes[..passed]).await.is_err() {
                return;
            }
            bytes.drain(..passed);
            if let Some((label, fate)) = met {
                self.shared.hit(&label);
                if fate == Fate::CutReply {
                    return;
                }
                // The client's end of it: only its own deadline, or `refuse`, gets it out of here.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Books one reply; what happens instead of passing it on, if anything.
    fn answer(&self, reply: &[u8]) -> Option<(String, Fate)> {
        if reply.starts_with(b">") {
            return None;
        }
        let Pending { fate, script } = self.pending().pop_front()?;
        if let Some(text) = script {
            let sha: String = String::from_utf8_lossy(reply).lines().nth(1).unwrap_or_default().to_owned();
            self.shared.learn(&sha, script_names(&text));
        }
        fate
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, VecDeque<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
