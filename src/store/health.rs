//! What `doctor` reads: what the server says of itself, as far as it may be asked, and counts of a shard at one moment.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::is_refused;
use crate::store::keys::Key;
use crate::store::reply::{Reply, pairs, text};

/// Members of a sorted set that are read in one call.
const RANGE: usize = 1_000;

/// What was asked, or why it could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It was seen.
    Yes(T),
    /// This user may not, or this server does not say.
    No(String),
}

impl<T> Seen<T> {
    /// Turns a refusal into a value; any other error stays one.
    ///
    /// # Errors
    ///
    /// Those that are no refusals.
    pub fn of(answer: Result<T>) -> Result<Self> {
        match answer {
            Ok(value) => Ok(Self::Yes(value)),
            Err(Error::Unavailable(why)) if is_refused(&Error::Unavailable(why.clone())) => {
                let plain = why.message.split("not permitted: ").last().unwrap_or_default().to_owned();
                Ok(Self::No(plain))
            }
            Err(why) => Err(why),
        }
    }
}

/// A section of `INFO`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerInfo(String);

impl ServerInfo {
    /// A field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Fields `slave0`, `slave1`, ... as lists of `name=value`.
    pub fn replicas(&self) -> Vec<Vec<(&str, &str)>> {
        let lines = (0..).map_while(|number: u32| self.get(&format!("slave{number}")));
        lines.map(|line| line.split(',').filter_map(|pair| pair.split_once('=')).collect()).collect()
    }
}

/// How many entries and runs of a shard stand where, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// The shard's time.
    pub now: Timestamp,
    /// How far Redis' clock is behind it, ms.
    pub behind_ms: i64,
    /// Until then no lease ends.
    pub hold: Timestamp,
    /// Entries.
    pub entries: i64,
    /// Entries that are looked at when their time comes.
    pub due: i64,
    /// Entries that wait for a plan.
    pub parked: i64,
    /// Paused entries.
    pub paused: i64,
    /// Entries whose plan is missing or damaged.
    pub broken: i64,
    /// Entries with nothing left to fire.
    pub finished: i64,
    /// Active runs.
    pub live: i64,
    /// Places of runs: in lists, held, waiting, delayed; those that have ended since are taken off.
    pub placed: i64,
    /// Whether the lists that were counted are all.
    pub is_all_lists: bool,
    /// Entries that wait to be planned with newer zone data.
    pub stale: i64,
    /// Dead letters.
    pub dead: i64,
    /// When the newest of them failed.
    pub newest_dead: Option<Timestamp>,
    /// Nodes that were heard of within 10 s.
    pub live_nodes: i64,
    /// The entry that is due for longest, and since when; or the next one.
    pub oldest: Option<(String, Timestamp)>,
    /// Entries that are due for more than 5 s.
    pub late: i64,
}

impl Counts {
    /// Whether each entry and each run stands in exactly one place, as far as it was counted.
    pub fn is_balanced(&self) -> bool {
        let places = self.due + self.parked + self.paused + self.broken + self.finished;
        places == self.entries && (!self.is_all_lists || self.placed == self.live)
    }
}

const COUNTED: &[Key] = &[
    Key::Clock,
    Key::Entries,
    Key::Due,
    Key::Parked,
    Key::Paused,
    Key::Broken,
    Key::Finished,
    Key::Live,
    Key::Delayed,
    Key::Queues,
    Key::Stale,
    Key::Dead,
    Key::Seen,
];

impl Store {
    /// A section of `INFO`.
    pub async fn server_info(&self, section: &'static str) -> Result<Seen<ServerInfo>> {
        let answer = self.inner.client.command("INFO", vec![section.into()]).await;
        Seen::of(answer.and_then(text).map(ServerInfo))
    }

    /// A setting of the server; empty where it has none of this name.
    pub async fn server_setting(&self, name: &'static str) -> Result<Seen<String>> {
        let answer = self.inner.client.command("CONFIG", vec!["GET".into(), name.into()]).await;
        let value = answer.and_then(pairs).map(|found| found.into_iter().next().map(|(_, value)| value));
        Seen::of(value.map(|value| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()))
    }

    /// How long the slowest of this namespace's script calls took that the server has on record, us; and how many are.
    pub async fn slow_scripts(&self, over_us: i64) -> Result<Seen<(usize, i64)>> {
        let found = match Seen::of(self.inner.client.command("SLOWLOG", vec!["GET".into(), 128.into()]).await)? {
            Seen::Yes(found) => Reply::list(found)?.rest(),
            Seen::No(why) => return Ok(Seen::No(why)),
        };
        let ours = format!("upbeat:{{{}:", self.namespace());
        let (mut count, mut slowest) = (0, 0);
        for line in found {
            let mut line = Reply::list(line)?;
            line.next()?;
            line.next()?;
            let (took, words) = (line.number()?, line.texts()?);
            let is_script = words.first().is_some_and(|word| word.to_lowercase().starts_with("eval"));
            if is_script && took > over_us && words.iter().any(|word| word.starts_with(&ours)) {
                (count, slowest) = (count + 1, slowest.max(took));
            }
        }
        Ok(Seen::Yes((count, slowest)))
    }

    /// Counts of a shard, all at one moment.
    pub async fn counts(&self, shard: u16) -> Result<Counts> {
        self.refresh_lists(shard).await?;
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(COUNTED);
        keys.extend(lists.iter().map(|list| self.keys(shard).list(list)));
        let mut args: Vec<Value> = vec![(lists.len() as i64).into()];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        let mut reply = Reply::list(self.look(&self.scripts().counts, &keys, args).await?)?;
        let (now, behind_ms, hold) = (Timestamp(reply.number()?), reply.number()?, Timestamp(reply.number()?));
        let mut entries = Reply::list(reply.next()?)?;
        let mut runs = Reply::list(reply.next()?)?;
        let mut counts = Counts {
            now,
            behind_ms,
            hold,
            entries: entries.number()?,
            due: entries.number()?,
            parked: entries.number()?,
            paused: entries.number()?,
            broken: entries.number()?,
            finished: entries.number()?,
            live: runs.number()?,
            placed: runs.number()? - runs.number()? + runs.number()? + runs.number()? + runs.number()?,
            is_all_lists: reply.number()? == 1,
            stale: reply.number()?,
            dead: reply.number()?,
            ..Counts::default()
        };
        let score = |text: String| Timestamp(text.parse::<f64>().unwrap_or(-1.0) as i64);
        counts.newest_dead = Some(score(reply.text()?)).filter(|at| at.0 >= 0);
        counts.live_nodes = reply.number()?;
        let mut oldest = Reply::list(reply.next()?)?;
        let first = (oldest.text()?, score(oldest.text()?));
        counts.oldest = Some(first).filter(|(id, _)| !id.is_empty());
        counts.late = oldest.number()?;
        Ok(counts)
    }

    /// The first entries of a place that is looked at from time to time, each with when.
    pub async fn first_of(&self, shard: u16, place: super::Place, count: usize) -> Result<Vec<(EntryId, Timestamp)>> {
        let key = self.key(shard, place.key());
        let read = |(id, at): &(String, Vec<u8>)| {
            let at = String::from_utf8_lossy(at).parse::<f64>().ok()?;
            Some((EntryId::parse("entry", id).ok()?, Timestamp(at as i64)))
        };
        let mut first = Vec::new();
        for from in (0..count).step_by(RANGE) {
            let last = count.min(from + RANGE) - 1;
            let args = vec![key.as_str().into(), (from as i64).into(), (last as i64).into(), "WITHSCORES".into()];
            let found = pairs(self.inner.client.command("ZRANGE", args).await?)?;
            let is_end = found.len() < RANGE;
            first.extend(found.iter().filter_map(read));
            if is_end {
                break;
            }
        }
        Ok(first)
    }
}
