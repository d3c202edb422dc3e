//! Pages that are read and made ready while those before them are used; in their order, and never more than a few.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Pages that are on their way at a time. With fewer Redis waits for its client; more only take memory.
const PAGES: usize = 4;

/// How often a page is read, at most: among thousands of them one may get no answer, and reading it again changes nothing.
const TRIES: usize = 3;

/// What `read` reads, again where no answer came.
pub(super) async fn again<T, F: Future<Output = Result<T>>>(read: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match read().await {
            Err(Error::Unavailable(why)) if why.message.contains("no answer") => {}
            read => return read,
        }
    }
    read().await
}

/// Pages on their way, the first of them first; what is left of them is given up when this is dropped.
pub(super) struct Ahead<T>(VecDeque<JoinHandle<Result<T>>>);

impl<T: Send + 'static> Ahead<T> {
    /// None yet.
    pub fn new() -> Self {
        Self(VecDeque::with_capacity(PAGES))
    }

    /// Whether one more may begin.
    pub fn has_room(&self) -> bool {
        self.0.len() < PAGES
    }

    /// Begins with one more.
    pub fn begin(&mut self, page: impl Future<Output = Result<T>> + Send + 'static) {
        self.0.push_back(tokio::spawn(page));
    }

    /// The next one; `None` where none has begun.
    pub async fn next(&mut self) -> Result<Option<T>> {
        let Some(first) = self.0.pop_front() else { return Ok(None) };
        match first.await {
            Ok(page) => page.map(Some),
            Err(why) => match why.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(why) => Err(Error::internal(format!("a page was given up: {why}"))),
            },
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
