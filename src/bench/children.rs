//! Nodes as processes of their own, which can be killed, and whose memory and CPU are theirs alone.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Child;

use crate::bench::bed::{Bed, Ground};
use crate::error::{Error, Result};

/// A node has to be seen within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(1);

/// A node process; killed when dropped.
pub struct NodeProcess {
    /// Its name, as it stands on records.
    pub name: String,
    /// From its start until Redis had carried out its first claim.
    pub until_claim: Duration,
    child: Child,
    pid: u32,
}

impl NodeProcess {
    /// Starts a node and waits for its first claim. `allow`: as the flag.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where it does not come up.
    pub async fn start(bed: &Bed, ground: &Ground, name: &str, allow: &str) -> Result<Self> {
        let args = [
            "node",
            "--name",
            name,
            "--allow",
            allow,
            "--lease",
            "2s",
            "--drain-timeout",
            "1s",
            "--stop-with-parent",
            &std::process::id().to_string(),
            "-q",
        ];
        let mut command = bed.program(ground.store.namespace(), &args)?;
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let began = Instant::now();
        let mut child =
            command.spawn().map_err(|why| Error::internal(format!("node {name} can't be started: {why}")))?;
        let pid = child.id().unwrap_or_default();
        loop {
            if ground.store.nodes().await?.iter().any(|(node, _)| node.pid == pid) {
                return Ok(Self { name: name.to_owned(), until_claim: began.elapsed(), child, pid });
            }
            let ended = child.try_wait().ok().flatten();
            if ended.is_some() || began.elapsed() > PATIENCE {
                let how = ended.map_or("was not seen".to_owned(), |status| format!("ended: {status}"));
                return Err(Error::internal(format!("node {name} {how}; does `upbeat node` run here?")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL, and waits until it has gone.
    pub async fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }

    /// Resident memory, MiB; `None` where the system does not tell.
    pub fn resident_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1_024.0)
    }

    /// CPU of all its threads so far, s; `None` where the system does not tell.
    pub fn cpu_s(&self) -> Option<f64> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        let mut ns = 0.0;
        for thread in threads.flatten() {
            // A thread may end meanwhile.
            let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
            ns += text.split_whitespace().next()?.parse::<f64>().ok()?;
        }
        Some(ns / 1e9)
    }
}
