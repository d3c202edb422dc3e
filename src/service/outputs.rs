//! What attempts of a run have written: what is kept, and what comes while somebody follows.

use std::time::Duration;

use crate::domain::id::EntryId;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::view::RunView;
use crate::service::{RunRef, Service};
use crate::store::{Output, Watch};

/// Between two looks of who follows.
const POLL: Duration = Duration::from_millis(300);

/// Follows the output of a run, attempt by attempt, on whichever node they run.
pub struct FollowOutput {
    service: Service,
    run_id: String,
    shard: u16,
    attempt: u32,
    /// Bytes of the attempt that were answered.
    known: u64,
    /// Whether only this one attempt is followed.
    is_only: bool,
    /// The attempt and the node whose start has been seen.
    seen: Option<(u32, Option<String>)>,
    /// The attempt whose wait for the next one has been told.
    told: u32,
}

/// What comes next of a run that is followed.
#[derive(Debug)]
pub enum Piece {
    /// Something was written.
    Text {
        /// By this attempt.
        attempt: u32,
        /// When it was read, by the shard's clock.
        at: Timestamp,
        /// Bytes before it that came and went between two looks: more than is kept.
        lost_bytes: u64,
        /// As it was written, without secrets.
        text: Vec<u8>,
    },
    /// The attempt is over, and the run waits for the next one.
    Waits(Box<RunView>),
    /// The next attempt is followed from here on.
    Next {
        /// Its number.
        attempt: u32,
        /// Its node, while it runs.
        node: Option<String>,
    },
    /// Nothing more comes. The run as it is, where it is on record.
    Over(Option<Box<RunView>>),
}

impl Service {
    /// What is kept of the output of one attempt.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the run has made fewer attempts.
    pub async fn output(&self, run: &RunView, attempt: u32) -> Result<Option<Output>> {
        if attempt > run.attempt {
            let made = match run.attempt {
                0 => "no attempt yet".to_owned(),
                1 => "one attempt".to_owned(),
                made => format!("{made} attempts"),
            };
            return Err(Error::NotFound(
                Problem::new("attempt", format!("there is no attempt {attempt}, the run has made {made}"))
                    .value(attempt.to_string()),
            ));
        }
        let id = EntryId::parse("entry", &run.entry_id)?;
        self.store.output(self.store.shard_of(&id), &run.run_id, attempt).await
    }

    /// The last attempt of which output is kept, and that.
    pub async fn last_output(&self, run: &RunView) -> Result<Option<(u32, Output)>> {
        for attempt in (1..=run.attempt).rev() {
            if let Some(output) = self.output(run, attempt).await? {
                return Ok(Some((attempt, output)));
            }
        }
        Ok(None)
    }

    /// Follows a run that has not ended, from the attempt that runs or comes first; `only` one attempt, to its end.
    ///
    /// # Errors
    ///
    /// As [`EntryId::parse`] about the entry of the run.
    pub fn follow_output(&self, run: &RunView, only: Option<u32>) -> Result<FollowOutput> {
        let id = EntryId::parse("entry", &run.entry_id)?;
        Ok(FollowOutput {
            service: self.clone(),
            run_id: run.run_id.clone(),
            shard: self.store.shard_of(&id),
            attempt: only.unwrap_or(run.attempt).max(1),
            known: 0,
            is_only: only.is_some(),
            seen: None,
            told: 0,
        })
    }
}

impl FollowOutput {
    /// The attempt that is followed.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Waits for what comes next; after [`Piece::Over`] nothing does.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where too many runs are followed, [`Error::Unavailable`] where Redis does not answer.
    pub async fn next(&mut self) -> Result<Piece> {
        let mut is_news = false;
        loop {
            let watch = Watch { run_id: &self.run_id, attempt: self.attempt, known: self.known, is_news };
            let watched = self.service.store.watch(self.shard, &watch).await?;
            if watched.written > self.known {
                let came = watched.written - self.known;
                self.known = watched.written;
                let lost_bytes = came.saturating_sub(watched.new.len() as u64);
                let (attempt, at, text) = (self.attempt, watched.now, watched.new);
                return Ok(Piece::Text { attempt, at, lost_bytes, text });
            }
            // Whatever it wrote was stored before its end was: this attempt has nothing more to say.
            let Some(live) = watched.live else { return self.ended().await };
            let is_over = live.attempt > self.attempt || (live.attempt == self.attempt && live.state != State::Running);
            if is_over && self.is_only {
                return Ok(Piece::Over(self.run().await?.map(Box::new)));
            }
            if live.attempt > self.attempt {
                let node =
                    if live.attempt == self.attempt + 1 { self.run().await?.and_then(|run| run.node) } else { None };
                return Ok(self.go_on(node));
            }
            if live.state == State::Retrying && self.told < live.attempt {
                self.told = live.attempt;
                if let Some(run) = self.run().await?.filter(|run| run.state == State::Retrying.word()) {
                    return Ok(Piece::Waits(Box::new(run)));
                }
            }
            // A node that has just started it learns at once that it is watched.
            let now = (live.attempt, live.holder);
            is_news = live.state == State::Running && self.seen.as_ref() != Some(&now);
            self.seen = Some(now);
            if !is_news {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    fn go_on(&mut self, node: Option<String>) -> Piece {
        self.attempt += 1;
        self.known = 0;
        Piece::Next { attempt: self.attempt, node }
    }

    /// The run has ended; attempts that came and went since the last look are read first.
    async fn ended(&mut self) -> Result<Piece> {
        let run = self.run().await?;
        match run {
            Some(run) if run.attempt > self.attempt && !self.is_only => {
                let node = run.node.filter(|_| run.attempt == self.attempt + 1);
                Ok(self.go_on(node))
            }
            run => Ok(Piece::Over(run.map(Box::new))),
        }
    }

    /// The run, where it is on record.
    async fn run(&self) -> Result<Option<RunView>> {
        match self.service.run(&RunRef::Id(self.run_id.clone())).await {
            Ok(run) => Ok(Some(run)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
