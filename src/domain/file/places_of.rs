//! The lines of one text, looked up once somebody asks: to take a long one apart costs twenty times its length.

use std::cell::{Cell, OnceCell};

use super::places::Places;
use super::read::is_json;
use crate::error::{Error, Problem};

/// In longer TOML the entry is searched for, and only that is taken apart.
const LONG_BYTES: usize = 1024 * 1024;

/// A text and where its fields stand.
#[derive(Debug)]
pub struct PlacesOf {
    name: String,
    text: String,
    whole: OnceCell<Places>,
    /// Where the last header was, and how many lines are before it: who asks about many asks in their order.
    last: Cell<(usize, usize)>,
}

impl PlacesOf {
    /// Those of the file `name` with this text.
    pub fn new(name: String, text: String) -> Self {
        Self { name, text, whole: OnceCell::new(), last: Cell::default() }
    }

    /// `error` with its line, unless it has one.
    pub fn placed(&self, error: Error) -> Error {
        let Problem { place, field, value, .. } = error.problem();
        if place.is_some() {
            return error;
        }
        let line = field.as_deref().and_then(|field| self.line(field, value.as_deref()));
        error.at(&self.name, line)
    }

    /// The entry that the field of a complaint belongs to, as its key is written.
    pub fn entry<'f>(&self, field: &'f str) -> Option<&'f str> {
        match self.search(field) {
            Some((id, _)) => Some(id),
            None => self.whole().entry(field),
        }
    }

    fn line(&self, field: &str, value: Option<&str>) -> Option<usize> {
        match self.search(field) {
            Some((_, places)) => places.line(field, value),
            None => self.whole().line(field, value),
        }
    }

    fn whole(&self) -> &Places {
        self.whole.get_or_init(|| Places::of(&self.name, &self.text))
    }

    /// The entry of a long text, and the places in it and in the defaults; `None` where all of it has to be taken apart.
    fn search<'f>(&self, field: &'f str) -> Option<(&'f str, Places)> {
        if self.text.len() < LONG_BYTES || self.whole.get().is_some() || is_json(&self.name, &self.text) {
            return None;
        }
        let mut id = field.strip_prefix("entries.")?;
        let at = loop {
            // Ids may hold dots: the longest one that there is is the one.
            match self.header(&format!("[entries.{id}]")).or_else(|| self.header(&format!("[entries.\"{id}\"]"))) {
                Some(at) => break at,
                None => id = id.rsplit_once('.')?.0,
            }
        };
        let header_end = self.text[at..].find(']').map_or(at, |end| at + end);
        let inner = format!("{}.", &self.text[at..header_end]);
        let entry = self.section(at, |header| header.starts_with(&inner));
        let (before, _) = self.lines_before(at);
        let places = Places::of_piece(&self.name, entry, before);
        let defaults =
            self.text.find("\n[defaults").map(|at| at + 1).or(self.text.starts_with("[defaults").then_some(0));
        let places = match defaults {
            None => places,
            Some(at) => {
                let before = self.text[..at].matches('\n').count();
                let section = self.section(at, |header| header.starts_with("[defaults."));
                places.with_defaults_of(&Places::of_piece(&self.name, section, before))
            }
        };
        Some((id, places))
    }

    /// Where a line begins with this header: behind the last one that was found, else anywhere.
    fn header(&self, header: &str) -> Option<usize> {
        let find = |from: usize| {
            let mut from = from;
            loop {
                let at = from + self.text[from..].find(header)?;
                if at == 0 || self.text.as_bytes()[at - 1] == b'\n' {
                    return Some(at);
                }
                from = at + header.len();
            }
        };
        let (last, _) = self.last.get();
        find(last).or_else(|| find(0))
    }

    /// From a header to the next one that does not belong to it.
    fn section(&self, at: usize, belongs: impl Fn(&str) -> bool) -> &str {
        let mut end = at;
        loop {
            match self.text[end..].find("\n[") {
                None => return &self.text[at..],
                Some(next) if belongs(&self.text[end + next + 1..]) => end += next + 1,
                Some(next) => return &self.text[at..end + next + 1],
            }
        }
    }

    fn lines_before(&self, at: usize) -> (usize, usize) {
        let (last, lines) = self.last.get();
        let newlines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
        let before = if at >= last { lines + newlines(&self.text[last..at]) } else { newlines(&self.text[..at]) };
        self.last.set((at, before));
        (before, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_long_file_is_found_without_taking_all_of_it_apart() {
        let entry = |n: usize| match n {
            2000 => "[entries.\"a.2000\"]\nevery = '1h'\n\n[entries.\"a.2000\".retry]\nmax = 1\n\n".to_owned(),
            n => format!("[entries.a-{n}]\nevery = '1h'\nexec = ['{}']\n\n", "x".repeat(100)),
        };
        let text = "[defaults]\ntz = 'UTC'\n\n".to_owned() + &(0..9000).map(entry).collect::<String>();
        assert!(text.len() > LONG_BYTES);
        let whole = Places::of("x.toml", &text);
        let places = PlacesOf::new("x.toml".to_owned(), text);
        for field in ["a-0.exec", "a-17", "a-8999.every", "a-3.tz", "a.2000.retry.max", "a.2000.every", "a-1.none"] {
            let field = format!("entries.{field}");
            assert_eq!(places.line(&field, None), whole.line(&field, None), "{field}");
            assert_eq!(places.entry(&field), whole.entry(&field), "{field}");
        }
        assert!(places.whole.get().is_none());
        assert_eq!(places.line("entries.nobody", None), whole.line("entries.nobody", None));
    }
}
