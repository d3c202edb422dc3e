//! Expressions that are written alike are compiled once while somebody has them: a file of 100,000 entries has few that differ.
//!
//! Nothing is kept alive here. `H` is another number for each entry, so what has it is not shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Compiled;

/// Fewer are not worth a look for those that are gone.
const LOOK_AT: usize = 1024;

#[derive(Default)]
struct Shared {
    known: HashMap<Box<str>, Weak<Compiled>>,
    /// At so many those that are gone are taken out.
    look_at: usize,
}

static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Shared>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The expression as somebody else has it.
pub(super) fn find(text: &str) -> Option<Arc<Compiled>> {
    lock().as_ref()?.known.get(text)?.upgrade()
}

/// Lets others find it for as long as somebody has it.
pub(super) fn keep(text: &str, compiled: &Arc<Compiled>) {
    let mut shared = lock();
    let shared = shared.get_or_insert_default();
    if shared.known.len() >= shared.look_at {
        shared.known.retain(|_, compiled| compiled.strong_count() > 0);
        shared.look_at = LOOK_AT.max(2 * shared.known.len());
    }
    shared.known.insert(text.into(), Arc::downgrade(compiled));
}
