//! The lines of one text, looked up once somebody asks: to take a long one apart costs twenty times its length.

use std::cell::OnceCell;

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
    headers: OnceCell<Vec<Header>>,
    defaults: OnceCell<Places>,
}

/// Where an entry begins in a long text.
#[derive(Debug)]
struct Header {
    /// Of the line, bytes.
    at: u32,
    /// Of its id in that line, bytes.
    id: (u8, u16),
    /// Lines before it.
    before: u32,
}

impl PlacesOf {
    /// Those of the file `name` with this text.
    pub fn new(name: String, text: String) -> Self {
        let (whole, headers, defaults) = Default::default();
        Self { name, text, whole, headers, defaults }
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
            Some((_, header)) => self.places_at(header).line(field, value),
            None => self.whole().line(field, value),
        }
    }

    fn whole(&self) -> &Places {
        self.whole.get_or_init(|| Places::of(&self.name, &self.text))
    }

    /// The entry of a long text, and where it begins; `None` where all of it has to be taken apart.
    fn search<'f>(&self, field: &'f str) -> Option<(&'f str, &Header)> {
        if self.text.len() < LONG_BYTES || self.whole.get().is_some() || is_json(&self.name, &self.text) {
            return None;
        }
        let headers = self.headers.get_or_init(|| headers(&self.text));
        let mut id = field.strip_prefix("entries.")?;
        loop {
            // Ids may hold dots: the longest one that there is is the one.
            if let Ok(found) = headers.binary_search_by_key(&id, |header| header.id(&self.text)) {
                return Some((id, &headers[found]));
            }
            id = id.rsplit_once('.')?.0;
        }
    }

    /// The places in an entry and in the defaults.
    fn places_at(&self, header: &Header) -> Places {
        let at = header.at as usize;
        let header_end = self.text[at..].find(']').map_or(at, |end| at + end);
        let inner = format!("{}.", &self.text[at..header_end]);
        let entry = self.section(at, |header| header.starts_with(&inner));
        Places::of_piece(&self.name, entry, header.before as usize).with_defaults_of(self.defaults())
    }

    fn defaults(&self) -> &Places {
        self.defaults.get_or_init(|| {
            let first = self.text.starts_with("[defaults").then_some(0);
            let Some(at) = first.or_else(|| self.text.find("\n[defaults").map(|at| at + 1)) else {
                return Places::default();
            };
            let before = self.text[..at].matches('\n').count();
            let section = self.section(at, |header| header.starts_with("[defaults."));
            Places::of_piece(&self.name, section, before)
        })
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
}

impl Header {
    fn id<'t>(&self, text: &'t str) -> &'t str {
        let start = self.at as usize + usize::from(self.id.0);
        text.get(start..start + usize::from(self.id.1)).unwrap_or_default()
    }
}

/// The headers of all entries by id, found in one way through the text.
fn headers(text: &str) -> Vec<Header> {
    let mut headers = Vec::new();
    let mut at = 0;
    for (before, line) in text.split_inclusive('\n').enumerate() {
        if let Some(id) = id_of_header(line) {
            // A text has 512 MiB at most, see `FILE_MAX_BYTES`.
            headers.push(Header { at: at as u32, id, before: before as u32 });
        }
        at += line.len();
    }
    // Stable: of two that are alike the first is told.
    headers.sort_by_key(|header| header.id(text));
    headers.dedup_by_key(|header| header.id(text));
    headers
}

/// Where the id stands in `[entries.a]` or `[entries."a.b"]`, and how long it is; not in the header of a table of an entry.
fn id_of_header(line: &str) -> Option<(u8, u16)> {
    const BEFORE: &str = "[entries.";
    let name = line.strip_prefix(BEFORE)?;
    let quote = name.chars().next().filter(|first| ['"', '\''].contains(first));
    let (start, end) = match quote {
        Some(quote) => (1, 1 + name[1..].find(quote)?),
        None => (0, name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))?),
    };
    let rest = &name[end + start..];
    let is_whole = rest.trim_start().starts_with(']') && end > start;
    let length = u16::try_from(end - start).ok()?;
    is_whole.then_some((BEFORE.len() as u8 + start as u8, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_long_file_is_found_without_taking_all_of_it_apart() {
        let entry = |n: usize| match n {
            2000 => "[entries.\"a.2000\"]\nevery = '1h'\n\n[entries.\"a.2000\".retry]\nmax = 1\n\n".to_owned(),
            3000 => "[entries.b] # bare\nevery = '1h'\n\n[entries.b.retry]\nmax = 1\n\n".to_owned(),
            n => format!("[entries.a-{n}]\nevery = '1h'\nexec = ['{}']\n\n", "x".repeat(100)),
        };
        let text = "[defaults]\ntz = 'UTC'\n\n".to_owned() + &(0..9000).map(entry).collect::<String>();
        assert!(text.len() > LONG_BYTES);
        let whole = Places::of("x.toml", &text);
        let places = PlacesOf::new("x.toml".to_owned(), text);
        for field in [
            "a-0.exec",
            "a-17",
            "a-8999.every",
            "a-3.tz",
            "b.retry.max",
            "b",
            "a.2000.retry.max",
            "a.2000.every",
            "a-1.none",
        ] {
            let field = format!("entries.{field}");
            assert_eq!(places.line(&field, None), whole.line(&field, None), "{field}");
            assert_eq!(places.entry(&field), whole.entry(&field), "{field}");
        }
        assert!(places.whole.get().is_none());
        assert_eq!(places.line("entries.nobody", None), whole.line("entries.nobody", None));
    }
}
