//! Many ids in little memory: one text with all of them, and where each stands in it.

use crate::domain::id::EntryId;

/// Bits for the length of an id, which is 200 bytes at most.
const LENGTH_BITS: u32 = 8;

/// Ids of entries, in the order in which they were put in until they are sorted; 8 bytes each beside their text.
#[derive(Debug, Clone, Default)]
pub struct IdList {
    text: String,
    /// Where each begins, and in the last bits how long it is.
    places: Vec<u64>,
}

impl IdList {
    /// Puts one more in.
    pub fn push(&mut self, id: &EntryId) {
        self.places.push((self.text.len() as u64) << LENGTH_BITS | id.as_str().len() as u64);
        self.text.push_str(id.as_str());
    }

    /// Sorts them; each is there once afterwards.
    pub fn sort(&mut self) {
        let Self { text, places } = self;
        places.sort_unstable_by(|a, b| text_at(text, *a).cmp(text_at(text, *b)));
        places.dedup_by(|a, b| text_at(text, *a) == text_at(text, *b));
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Leaves the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.places.truncate(count);
    }

    /// The texts of all of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.places.iter().map(|place| text_at(&self.text, *place))
    }

    /// The text of one; `at` counts from 0.
    pub fn get(&self, at: usize) -> Option<&str> {
        self.places.get(at).map(|place| text_at(&self.text, *place))
    }

    /// Whether it is among them; they must be sorted.
    pub fn has(&self, id: &str) -> bool {
        self.places.binary_search_by(|place| text_at(&self.text, *place).cmp(id)).is_ok()
    }

    /// At most `count` of them from the place `from` on; none behind the end.
    pub fn page(&self, from: usize, count: usize) -> Vec<EntryId> {
        let page = self.places.iter().skip(from).take(count);
        // What was put in was an id.
        page.map(|place| EntryId(text_at(&self.text, *place).to_owned())).collect()
    }
}

impl FromIterator<EntryId> for IdList {
    fn from_iter<I: IntoIterator<Item = EntryId>>(ids: I) -> Self {
        let mut list = Self::default();
        ids.into_iter().for_each(|id| list.push(&id));
        list
    }
}

impl From<&[EntryId]> for IdList {
    fn from(ids: &[EntryId]) -> Self {
        let mut list = Self::default();
        ids.iter().for_each(|id| list.push(id));
        list
    }
}

fn text_at(text: &str, place: u64) -> &str {
    let begin = usize::try_from(place >> LENGTH_BITS).unwrap_or(usize::MAX);
    let length = (place & ((1 << LENGTH_BITS) - 1)) as usize;
    text.get(begin..begin + length).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> IdList {
        names.iter().map(|name| EntryId::parse("entry", name).unwrap()).collect()
    }

    #[test]
    fn sorted_ids_are_there_once_each_and_come_in_pages() {
        let longest = "x".repeat(200);
        let mut ids = list(&["b", "日報", "a.b", "a", "b", &longest, "a-b"]);
        ids.sort();
        let all: Vec<&str> = ids.iter().collect();
        let mut expected = vec!["a", "a-b", "a.b", "b", &longest, "日報"];
        expected.sort_unstable();
        assert_eq!(all, expected);
        assert!(ids.has("a-b") && ids.has("日報") && !ids.has("c"));
        let pages: Vec<EntryId> = (0..4).flat_map(|page| ids.page(page * 2, 2)).collect();
        assert_eq!(pages.iter().map(EntryId::as_str).collect::<Vec<_>>(), expected);
        ids.truncate(2);
        assert_eq!((ids.len(), ids.get(1), ids.get(2)), (2, Some("a-b"), None));
    }
}
