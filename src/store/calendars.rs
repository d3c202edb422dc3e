//! Named calendars: one hash of the namespace, in shard 0, which every shard's planning reads.

use fred::types::Value;

use crate::domain::calendar::{CALENDARS_MAX, Calendars, StoredCalendar};
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::CalendarName;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::store::Store;
use crate::store::kept::Kept;
use crate::store::keys::Key;
use crate::store::reply::{Reply, maybe_bytes, pairs};
use crate::store::scripts::digest;

/// The shard that keeps the calendars of a namespace.
const SHARD: u16 = 0;
/// The least version of a program that can read the calendars made here.
pub const CALENDAR_VERSION: u32 = 1;

/// A change of a calendar.
#[derive(Debug, Clone)]
pub struct CalendarCall<'a> {
    /// The same request gets the same answer for 24 h.
    pub request: &'a str,
    /// What was asked for: the same request id with other content is a conflict.
    pub content: &'a str,
    /// Its name.
    pub name: &'a CalendarName,
    /// Revision that the change was decided on; 0 where it must not exist.
    pub revision: u64,
    /// What stands there afterwards; nothing to remove it.
    pub calendar: Option<&'a StoredCalendar>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// It had another revision than the change was decided on: this one.
    Conflict(u64),
    /// There are as many as a namespace may have.
    Full,
    /// Written or removed.
    Done {
        /// Its revision; of a removed one, the last.
        revision: u64,
        /// Whether it did not exist before.
        is_new: bool,
    },
}

const PUT_CALENDAR_KEYS: &[Key] = &[Key::Clock, Key::Calendars, Key::Requests, Key::Requested, Key::CalendarRevisions];
/// Old revisions of a calendar that are kept, at most; those older than the ledger go before.
const REVISIONS_KEPT: i64 = 100;

impl Store {
    /// Calendars by name; those that do not exist are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where one is damaged, [`Error::Conflict`] where only a newer program can read it.
    pub async fn calendars(&self, names: &[CalendarName]) -> Result<Calendars> {
        let mut found = Calendars::default();
        if names.is_empty() {
            return Ok(found);
        }
        let mut args: Vec<Value> = vec![self.key(SHARD, Key::Calendars).into()];
        args.extend(names.iter().map(|name| Value::from(name.as_str())));
        let texts = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest();
        for (name, text) in names.iter().zip(texts) {
            if let Some(text) = maybe_bytes(text)? {
                found.0.insert(name.clone(), read(name, &text)?);
            }
        }
        Ok(found)
    }

    /// All calendars of the namespace.
    ///
    /// # Errors
    ///
    /// As [`Store::calendars`].
    pub async fn all_calendars(&self) -> Result<Calendars> {
        let args = vec![self.key(SHARD, Key::Calendars).into()];
        let mut found = Calendars::default();
        for (name, text) in pairs(self.inner.client.command("HGETALL", args).await?)? {
            let name = CalendarName::parse("calendar", &name)?;
            let calendar = read(&name, &text)?;
            found.0.insert(name, calendar);
        }
        Ok(found)
    }

    /// The entry with the dates of the calendars that it names, as they stand now.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] about `exclude`, with the names that exist, where one of them does not.
    pub async fn resolve(&self, entry: Entry) -> Result<Entry> {
        let names = entry.schedule.exclude.calendars();
        if names.is_empty() {
            return Ok(entry);
        }
        let found = self.calendars(names).await?;
        match names.iter().all(|name| found.get(name).is_some()) {
            true => entry.with_calendars(&found),
            // The complaint names those that there are.
            false => entry.with_calendars(&self.all_calendars().await?),
        }
    }

    /// The entry with the dates by which its revision was written, as far as they are kept, else as they stand now.
    ///
    /// # Errors
    ///
    /// As [`Store::resolve`].
    pub async fn resolve_as_written(&self, entry: Entry, definition: &Definition) -> Result<Entry> {
        self.resolve_before(entry, definition, Timestamp(i64::MIN)).await
    }

    /// The same, with the present dates of calendars that have not changed since `cursor`.
    pub(super) async fn resolve_before(
        &self,
        entry: Entry,
        definition: &Definition,
        cursor: Timestamp,
    ) -> Result<Entry> {
        let names = entry.schedule.exclude.calendars();
        let mut found = self.calendars(names).await?;
        let mut old = Vec::new();
        for name in names {
            let named = definition.calendars.get(name.as_str());
            let has_changed = |stands: &StoredCalendar| Some(&stands.revision) != named && stands.at >= cursor;
            match named {
                Some(revision) if found.0.get(name).is_none_or(has_changed) => old.push((name.clone(), *revision)),
                _ => {}
            }
        }
        if old.is_empty() {
            return self.resolve(entry).await;
        }
        for kept in self.calendar_revisions(&old).await? {
            if let Some(calendar) = kept.calendar {
                found.0.insert(kept.name, calendar);
            }
        }
        entry.with_calendars(&found)
    }

    /// Writes or removes a calendar.
    pub async fn put_calendar(&self, call: &CalendarCall<'_>) -> Result<CalendarAnswer> {
        let keys = self.keys(SHARD).all(PUT_CALENDAR_KEYS);
        // Strings, numbers and lists: serde_json has nothing to refuse.
        let text = call.calendar.map(|calendar| serde_json::to_string(calendar).unwrap_or_default());
        let args: Vec<Value> = vec![
            call.request.into(),
            digest(&[call.content.as_bytes()]).into(),
            call.name.as_str().into(),
            call.revision.to_string().into(),
            text.unwrap_or_default().into(),
            (CALENDARS_MAX as i64).into(),
            REVISIONS_KEPT.into(),
        ];
        let mut reply = Reply::list(self.eval(&self.scripts().put_calendar, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "other" => Ok(CalendarAnswer::OtherRequest),
            "full" => Ok(CalendarAnswer::Full),
            "conflict" => Ok(CalendarAnswer::Conflict(reply.number()?.max(0).cast_unsigned())),
            "done" => {
                let revision = reply.number()?.max(0).cast_unsigned();
                Ok(CalendarAnswer::Done { revision, is_new: reply.text()? == "added" })
            }
            other => Err(Error::internal(format!("put_calendar answered {other}"))),
        }
    }

    /// What a change of a calendar was answered, if it came before.
    pub async fn put_calendar_before(&self, request: &str, content: &str) -> Result<Option<CalendarAnswer>> {
        Ok(match self.kept(SHARD, request, content).await? {
            Kept::Nothing => None,
            Kept::Other => Some(CalendarAnswer::OtherRequest),
            Kept::Answer(answer) => {
                let revision = answer[1].as_f64().unwrap_or(0.0) as u64;
                Some(CalendarAnswer::Done { revision, is_new: answer[2] == "added" })
            }
        })
    }
}

pub(super) fn read(name: &CalendarName, text: &[u8]) -> Result<StoredCalendar> {
    let version = serde_json::from_slice::<serde_json::Value>(text).ok().and_then(|value| value["v"].as_u64());
    if version.is_some_and(|version| version > u64::from(CALENDAR_VERSION)) {
        let message = format!("{name} was written by a newer upbeat and can't be read by this one");
        return Err(Error::Conflict(Problem::new("calendar", message).value(name.as_str()).hint("update upbeat")));
    }
    serde_json::from_slice(text).map_err(|why| {
        let problem = Problem::new("calendar", format!("calendar {name} is damaged: {why}")).value(name.as_str());
        Error::Corrupt(problem.hint(format!("write it again: upbeat calendars put {name} -f FILE")))
    })
}
