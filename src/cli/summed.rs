//! Warnings in tables: one that many entries share is one line, with the first few of them and how many more there are.
//!
//! Programs read each with its entry; only what is drawn for people is summed here.

use std::collections::HashMap;

use crate::cli::apply::counted;
use crate::cli::output::Printer;
use crate::domain::id::EntryId;

/// Entries that are named with what they share; so few have a line each.
const NAMED: usize = 3;
/// Lines, at most: nobody reads more, and memory stays bounded whatever many entries have to say.
const LINES_MAX: usize = 1_000;

/// Warnings as they come in, in the order in which each was first met.
#[derive(Debug, Default)]
pub struct Summed {
    groups: Vec<Group>,
    /// Where what is said stands among the groups.
    known: HashMap<String, usize>,
    beyond: usize,
}

#[derive(Debug)]
struct Group {
    /// What all of them say, with `ID` in place of their own.
    said: String,
    /// The first lines as they were.
    first: Vec<String>,
    ids: Vec<String>,
    count: usize,
}

impl Summed {
    /// One more about an entry.
    pub fn add(&mut self, id: &str, said: &str) {
        self.note(Some(id), said, || format!("{id}: {said}"));
    }

    /// One more as services word it: `ID: what is said`, or what belongs to no entry.
    pub fn add_worded(&mut self, warning: &str) {
        let split = warning.split_once(": ").filter(|(id, _)| EntryId::parse("entry", id).is_ok());
        match split {
            Some((id, said)) => self.add(id, said),
            None => self.note(None, warning, || warning.to_owned()),
        }
    }

    /// All of them, a line each; a way out stands behind a line break.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for group in &self.groups {
            match group.count.checked_sub(group.first.len()) {
                None | Some(0) => lines.extend(group.first.iter().cloned()),
                Some(more) if group.ids.is_empty() => {
                    lines.push(format!("{} ({} times)", group.said, counted(more + 1)))
                }
                Some(more) => {
                    let (names, more) = (group.ids.join(", "), counted(more));
                    lines.push(format!("{names} and {more} more (-o json has all): {}", group.said));
                }
            }
        }
        if self.beyond > 0 {
            lines.push(format!("{} warnings more; -o json has all", counted(self.beyond)));
        }
        lines
    }

    /// The same of what a service warns about.
    pub fn worded(warnings: &[String]) -> Self {
        let mut summed = Self::default();
        warnings.iter().for_each(|warning| summed.add_worded(warning));
        summed
    }

    /// Writes them to standard error.
    pub fn tell(&self, printer: Printer) {
        self.lines().iter().for_each(|line| printer.warning(line));
    }

    fn note(&mut self, id: Option<&str>, said: &str, line: impl FnOnce() -> String) {
        let key = format!("{} {}", id.is_some(), id.map_or_else(|| said.to_owned(), |id| nameless(said, id)));
        let Some(group) = self.known.get(&key).and_then(|at| self.groups.get_mut(*at)) else {
            if self.groups.len() == LINES_MAX {
                self.beyond += 1;
                return;
            }
            let said = key.split_once(' ').map(|(_, said)| said.to_owned()).unwrap_or_default();
            let ids = id.map(str::to_owned).into_iter().collect();
            self.known.insert(key, self.groups.len());
            self.groups.push(Group { said, first: vec![line()], ids, count: 1 });
            return;
        };
        group.count += 1;
        if let Some(id) = id.filter(|_| group.ids.len() < NAMED) {
            group.ids.push(id.to_owned());
            group.first.push(line());
        }
    }
}

/// What is said about an entry, with `ID` where its id is a word of it: `upbeat why ID`.
fn nameless(said: &str, id: &str) -> String {
    let mut text = String::with_capacity(said.len());
    for word in said.split_inclusive([' ', '\n', ';', ',']) {
        match word.strip_prefix(id) {
            Some(rest) if rest.len() <= 1 && !rest.starts_with(|c: char| c.is_alphanumeric()) => {
                text.push_str("ID");
                text.push_str(rest);
            }
            _ => text.push_str(word),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_entries_share_is_one_line_with_their_number() {
        let mut summed = Summed::default();
        (0..1_234).for_each(|at| summed.add(&format!("e-{at}"), &format!("failing; upbeat why e-{at}")));
        summed.add("x", "nobody serves it");
        let line = "e-0, e-1, e-2 and 1,231 more (-o json has all): failing; upbeat why ID";
        assert_eq!(summed.lines(), [line, "x: nobody serves it"]);
    }

    #[test]
    fn what_few_entries_share_keeps_a_line_each() {
        let mut summed = Summed::default();
        for warning in
            ["a: is late\nupbeat why a", "b: is late\nupbeat why b", "no live node may run exec in queue default"]
        {
            summed.add_worded(warning);
        }
        assert_eq!(
            summed.lines(),
            ["a: is late\nupbeat why a", "b: is late\nupbeat why b", "no live node may run exec in queue default"]
        );
    }

    #[test]
    fn warnings_of_their_own_are_told_up_to_a_limit_and_the_rest_is_counted() {
        let mut summed = Summed::default();
        (0..LINES_MAX + 20).for_each(|at| summed.add_worded(&format!("e-{at}: has {at}")));
        let lines = summed.lines();
        assert_eq!((lines.len(), lines[LINES_MAX].as_str()), (LINES_MAX + 1, "20 warnings more; -o json has all"));
    }

    #[test]
    fn an_id_is_found_as_a_whole_word_only() {
        assert_eq!(nameless("a run of a is late, upbeat why a; a-b", "a"), "ID run of ID is late, upbeat why ID; a-b");
        assert_eq!(nameless("upbeat why job-1", "job-1"), "upbeat why ID");
        assert_eq!(nameless("upbeat why job-12", "job-1"), "upbeat why job-12");
    }
}
