//! What became of many entries in one request, in little memory.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::domain::id::{EntryId, IdList};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::view::{At, ChangeView, Changes};

/// What can become of an entry.
const WORDS: [&str; 5] = ["added", "changed", "removed", "unchanged", "refused"];
/// Refusals that are explained; what is said of one may be long.
const EXPLAINED: usize = 1_000;
/// Warnings that are kept.
const WARNED: usize = 1_000;
/// In place of an instant or a revision that is not there.
const NOTHING: i64 = i64::MIN;

/// As [`Changes`], in about 45 bytes an entry; written as JSON it is the same.
#[derive(Debug, Clone, Default)]
pub struct ManyChanges {
    ids: IdList,
    records: Vec<Record>,
    /// The records by id, once they are sorted.
    order: Vec<u32>,
    /// Fields that differ; few lists of them are different.
    fields: Vec<Vec<Cow<'static, str>>>,
    messages: HashMap<u32, String>,
    warnings: Vec<String>,
    left_out: usize,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    next_before: i64,
    next_after: i64,
    revision: i64,
    word: u8,
    fields: u16,
}

impl ManyChanges {
    /// Adds what became of one more; [`ManyChanges::sort`] comes behind the last.
    pub(super) fn push(&mut self, id: &EntryId, view: ChangeView) {
        let word = WORDS.iter().position(|word| *word == view.change).unwrap_or(0) as u8;
        let fields = match self.fields.iter().position(|known| *known == view.fields) {
            Some(known) => known,
            None => {
                self.fields.push(view.fields);
                self.fields.len() - 1
            }
        };
        if let Some(message) = view.message.filter(|_| self.messages.len() < EXPLAINED) {
            self.messages.insert(self.records.len() as u32, message);
        }
        let ms = |at: Option<At>| at.map_or(NOTHING, |at| at.0.ms());
        self.ids.push(id);
        self.records.push(Record {
            next_before: ms(view.next_before),
            next_after: ms(view.next_after),
            revision: view.revision.map_or(NOTHING, |revision| revision.cast_signed()),
            word,
            fields: u16::try_from(fields).unwrap_or(u16::MAX),
        });
    }

    /// What deserves a look.
    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNED {
            self.warnings.push(warning);
        } else {
            self.left_out += 1;
        }
    }

    /// Puts them into the order of their ids.
    pub(super) fn sort(&mut self) {
        self.order = (0..self.records.len() as u32).collect();
        self.order.sort_unstable_by_key(|at| self.ids.get(*at as usize));
        if self.left_out > 0 {
            self.warnings.push(format!("{} warnings more", self.left_out));
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many of them became that: `added`, `changed`, `removed`, `unchanged`, `refused`.
    pub fn count(&self, change: &str) -> usize {
        self.records.iter().filter(|record| self.word(record) == change).count()
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = ChangeView> {
        self.order.iter().filter_map(|at| {
            let record = self.records.get(*at as usize)?;
            let at_of = |ms: i64| (ms != NOTHING).then_some(At(Timestamp(ms)));
            Some(ChangeView {
                id: self.ids.get(*at as usize)?.to_owned(),
                change: self.word(record),
                fields: self.fields.get(usize::from(record.fields)).cloned().unwrap_or_default(),
                next_before: at_of(record.next_before),
                next_after: at_of(record.next_after),
                revision: (record.revision != NOTHING).then_some(record.revision.cast_unsigned()),
                message: self.messages.get(at).cloned(),
            })
        })
    }

    /// What deserves a look, with the way out.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// As the answer of a request about few entries.
    pub fn to_changes(&self) -> Changes {
        Changes { changes: self.iter().collect(), warnings: self.warnings.clone(), ..Changes::default() }
    }

    fn word(&self, record: &Record) -> &'static str {
        WORDS[usize::from(record.word)]
    }
}

impl Serialize for ManyChanges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct All<'a>(&'a ManyChanges);
        impl Serialize for All<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter())
            }
        }
        let mut document = serializer.serialize_struct("ManyChanges", 2)?;
        document.serialize_field("changes", &All(self))?;
        document.serialize_field("warnings", &self.warnings)?;
        document.end()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn view(id: &str, change: &'static str, message: Option<&str>) -> ChangeView {
        ChangeView {
            id: id.to_owned(),
            change,
            fields: if change == "changed" { vec![Cow::Borrowed("paused")] } else { Vec::new() },
            next_before: Some(At(Timestamp(5_000))),
            next_after: (change != "removed").then_some(At(Timestamp(7_000))),
            revision: (change != "added").then_some(7),
            message: message.map(str::to_owned),
        }
    }

    #[test]
    fn many_changes_are_written_as_few_are() {
        let views = [view("c", "removed", None), view("a", "changed", None), view("b", "refused", Some("it moved"))];
        let mut many = ManyChanges::default();
        for one in &views {
            many.push(&EntryId::parse("entry", &one.id).unwrap(), one.clone());
        }
        many.warn("look".to_owned());
        many.sort();
        let [c, a, b] = views;
        let few = Changes { changes: vec![a, b, c], warnings: vec!["look".to_owned()], ..Changes::default() };
        assert_eq!(many.to_changes(), few);
        assert_eq!(serde_json::to_string_pretty(&many).unwrap(), serde_json::to_string_pretty(&few).unwrap());
        assert_eq!((many.len(), many.count("refused"), many.count("added")), (3, 1, 0));
    }

    #[test]
    fn what_many_say_is_kept_up_to_a_limit() {
        let mut many = ManyChanges::default();
        let id = EntryId::parse("entry", "a").unwrap();
        for _ in 0..EXPLAINED + 5 {
            many.push(&id, view("a", "refused", Some("why")));
            many.warn("look".to_owned());
        }
        many.sort();
        assert_eq!(many.iter().filter(|one| one.message.is_some()).count(), EXPLAINED);
        assert_eq!(many.warnings().last().map(String::as_str), Some("5 warnings more"));
    }
}
