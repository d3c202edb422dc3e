//! Reading what happened: the three streams of a shard, a page at a time.

use fred::types::Value;

use crate::domain::event::EndCode;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::{Reply, texts};

/// A stream of what happened; `lua/parts/log.lua` writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// What people and the fleet did; 100,000 events.
    Events,
    /// Runs that were fired and started; 100,000 of them.
    Moves,
    /// Runs that ended; 1,000,000 of them.
    Ended,
}

/// Where a line stands: lines of the three streams of a shard have one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Milliseconds, by the shard's clock.
    pub ms: u64,
    /// Within them.
    pub sequence: u64,
}

/// A line of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// Where it stands.
    pub position: Position,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

/// A run that ended, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedLine {
    /// Its entry.
    pub entry_id: String,
    /// Its id; of several fire times, the first one's.
    pub run_id: String,
    /// How it ended; `None` where a newer program says so.
    pub code: Option<EndCode>,
    /// The node whose call ended it; of what no node executed it says nothing.
    pub node: String,
}

/// A page of the log of runs that ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EndedPage {
    /// Where its last line stands; `None` where there is none.
    pub last: Option<Position>,
    /// The runs.
    pub runs: Vec<EndedLine>,
    /// Whether lines before it were taken off to keep the log bounded.
    pub is_cut: bool,
}

impl Log {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Events, Self::Moves, Self::Ended];

    fn key(self) -> Key {
        match self {
            Self::Events => Key::Events,
            Self::Moves => Key::Moves,
            Self::Ended => Key::Ended,
        }
    }
}

impl Position {
    fn read(text: &str) -> Self {
        let (ms, sequence) = text.split_once('-').unwrap_or((text, "0"));
        Self { ms: ms.parse().unwrap_or(0), sequence: sequence.parse().unwrap_or(0) }
    }

    /// The first of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self { ms: u64::try_from(at.ms()).unwrap_or(0), sequence: 0 }
    }

    /// Its instant.
    pub fn at(self) -> Timestamp {
        Timestamp(i64::try_from(self.ms).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.sequence)
    }
}

impl LogLine {
    /// A field of it; empty where it has none of this name.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn ended(&self) -> impl Iterator<Item = EndedLine> {
        let lines: Vec<&str> = self.field("runs").split('\n').collect();
        let read = |run: &[&str]| EndedLine {
            entry_id: run[0].to_owned(),
            run_id: run[1].to_owned(),
            code: EndCode::read(run[2]),
            node: self.field("node").to_owned(),
        };
        lines.chunks_exact(3).map(read).collect::<Vec<_>>().into_iter()
    }
}

impl Store {
    /// Up to `count` lines of a stream, backwards from `before` (exclusive; `None` begins at its end) to `since`.
    pub async fn log_before(
        &self,
        shard: u16,
        log: Log,
        before: Option<Position>,
        since: Option<Timestamp>,
        count: usize,
    ) -> Result<Vec<LogLine>> {
        let end = before.map_or_else(|| "+".to_owned(), |position| format!("({position}"));
        let start = since.map_or_else(|| "-".to_owned(), |since| since.ms().max(0).to_string());
        let args = vec![self.key(shard, log.key()).into(), end.into(), start.into()];
        self.log_lines("XREVRANGE", args, count).await
    }

    /// Up to `count` lines of a stream, forwards from `after` (exclusive).
    pub async fn log_after(&self, shard: u16, log: Log, after: Position, count: usize) -> Result<Vec<LogLine>> {
        let args = vec![self.key(shard, log.key()).into(), format!("({after}").into(), "+".into()];
        self.log_lines("XRANGE", args, count).await
    }

    /// Where the last line of a stream stands.
    pub async fn log_end(&self, shard: u16, log: Log) -> Result<Position> {
        let last = self.log_before(shard, log, None, None, 1).await?;
        Ok(last.first().map(|line| line.position).unwrap_or_default())
    }

    async fn log_lines(&self, command: &'static str, mut args: Vec<Value>, count: usize) -> Result<Vec<LogLine>> {
        args.extend(["COUNT".into(), (count as i64).into()]);
        let reply = Reply::list(self.inner.client.command(command, args).await?)?;
        let mut lines = Vec::new();
        for line in reply.rest() {
            let mut line = Reply::list(line)?;
            let position = Position::read(&line.text()?);
            let mut fields = texts(line.next()?)?.into_iter();
            let mut pairs = Vec::new();
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                pairs.push((name, value));
            }
            lines.push(LogLine { position, fields: pairs });
        }
        Ok(lines)
    }

    /// Runs that ended, backwards from `before` (exclusive), `count` lines of the log; `None` begins at its end.
    pub async fn ended_before(&self, shard: u16, before: Option<Position>, count: usize) -> Result<EndedPage> {
        self.log_before(shard, Log::Ended, before, None, count).await.map(ended_page)
    }

    /// Runs that ended, forwards from `after` (exclusive).
    pub async fn ended_after(&self, shard: u16, after: Position) -> Result<EndedPage> {
        self.log_after(shard, Log::Ended, after, 40).await.map(ended_page)
    }
}

fn ended_page(lines: Vec<LogLine>) -> EndedPage {
    let runs: Vec<EndedLine> = lines.iter().flat_map(LogLine::ended).collect();
    let last = lines.last();
    // The line counts all that ended so far, its own included.
    let before = last.map(|line| {
        let total: u64 = line.field("c").parse().unwrap_or(0);
        total.saturating_sub(line.ended().count() as u64)
    });
    EndedPage { last: last.map(|line| line.position), runs, is_cut: before.is_some_and(|before| before > 0) }
}
