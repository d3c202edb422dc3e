//! The lines of one text, looked up once somebody asks: to take a long one apart costs twenty times its length.

use std::cell::{OnceCell, RefCell};

use super::pieces::{Latest, Pieces};
use super::places::Places;
use super::without_mark;
use crate::error::{Error, Problem};

/// A text and where its fields stand.
#[derive(Debug)]
pub struct PlacesOf {
    name: String,
    text: String,
    /// Where it was read so: then no more of it is looked at than has to be.
    pieces: Option<Pieces>,
    whole: OnceCell<Places>,
    latest: RefCell<Latest<Places>>,
}

impl PlacesOf {
    pub(super) fn new(name: String, text: String, pieces: Option<Pieces>) -> Self {
        let (whole, latest) = Default::default();
        Self { name, text, pieces, whole, latest }
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

    /// As [`Places::line`].
    pub fn line(&self, field: &str, value: Option<&str>) -> Option<usize> {
        self.with(field, |places| places.line(field, value))
    }

    /// As [`Places::entry`].
    pub fn entry<'f>(&self, field: &'f str) -> Option<&'f str> {
        self.with(field, |places| places.entry(field))
    }

    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.as_ref().map_or(0, Pieces::count)
    }

    fn with<T>(&self, field: &str, ask: impl FnOnce(&Places) -> T) -> T {
        match &self.pieces {
            None => ask(self.whole.get_or_init(|| Places::of(&self.name, &self.text))),
            Some(pieces) => {
                let mut latest = self.latest.borrow_mut();
                ask(latest.of(pieces.near(field), |near| pieces.places(&self.name, without_mark(&self.text), near)))
            }
        }
    }
}
