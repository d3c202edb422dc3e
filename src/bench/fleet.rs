//! Nodes in this process, real but for the work: what an attempt would do is a function that takes no time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::bench::bed::Ground;
use crate::domain::node::Serves;
use crate::domain::span::Span;
use crate::error::{Error, Result};
use crate::node::{self, Instead, NodeConfig};
use crate::shutdown::{self, Trigger};

/// Nodes have to be seen within this time: 64 of them were not there after 30 s once, beside compilers on both cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// Running nodes; stop them with [`Fleet::stop`]. Those of one that is dropped end at once.
pub struct Fleet(Vec<(Trigger, JoinHandle<Result<()>>)>);

impl Fleet {
    /// Starts so many nodes with so many slots each, and waits until all have claimed once.
    pub async fn start(ground: &Ground, nodes: usize, slots: usize, instead: Instead) -> Result<Self> {
        let mut fleet = Self(Vec::with_capacity(nodes));
        for number in 1..=nodes {
            let config = NodeConfig {
                name: format!("bench-{number}"),
                concurrency: slots,
                serves: Serves { queues: None, kinds: vec!["exec".to_owned()] },
                lease: Span(15_000),
                drain_timeout: Span(2_000),
                pass_env: Vec::new(),
                secrets: None,
                secrets_dir: None,
            };
            let (trigger, asked) = shutdown::channel();
            let (connection, namespace) = (ground.connection.clone(), ground.store.namespace().clone());
            let instead = instead.clone();
            let node = tokio::spawn(node::run_instead(config, connection, namespace, asked, instead));
            fleet.0.push((trigger, node));
        }
        let began = Instant::now();
        while ground.store.nodes().await?.len() < nodes {
            // One that ended says why; nobody would see it come.
            if let Some(place) = fleet.0.iter().position(|(_, node)| node.is_finished()) {
                ended(fleet.0.swap_remove(place).1).await?;
                return Err(Error::internal("a node of the bench ended before it had begun"));
            }
            if began.elapsed() > PATIENCE {
                return Err(Error::internal(format!(
                    "{nodes} nodes did not all begin within {} s",
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(fleet)
    }

    /// Stops all and waits for them.
    pub async fn stop(mut self) -> Result<()> {
        let nodes: Vec<_> = std::mem::take(&mut self.0)
            .into_iter()
            .map(|(trigger, node)| {
                trigger.drain();
                (trigger, node)
            })
            .collect();
        for (_trigger, node) in nodes {
            ended(node).await?;
        }
        Ok(())
    }
}

/// A bench that was given up: its nodes must not write into what is removed now.
impl Drop for Fleet {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, node)| node.abort());
    }
}

/// How a node ended.
async fn ended(node: JoinHandle<Result<()>>) -> Result<()> {
    node.await.map_err(|why| Error::internal(format!("a node of the bench panicked: {why}")))?
}

/// Does nothing.
pub fn nothing() -> Instead {
    Arc::new(|_| {})
}
