//! The same work on many things, on as many threads as there are processors.

use std::sync::{Mutex, PoisonError};

/// So many of many small things are one piece of work; fewer are not worth a thread.
const PIECE: usize = 1000;

/// What `work` makes of each of many small things, in their order.
pub(crate) fn in_threads<T: Send, R: Send>(all: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let count = all.len();
    if count < 2 * PIECE {
        return all.into_iter().map(work).collect();
    }
    let mut rest = all.into_iter();
    let pieces: Vec<Vec<T>> = (0..count.div_ceil(PIECE)).map(|_| rest.by_ref().take(PIECE).collect()).collect();
    let mut done = Vec::with_capacity(count);
    for piece in pieces_in_threads(pieces, |piece| piece.into_iter().map(&work).collect::<Vec<R>>()) {
        done.extend(piece);
    }
    done
}

/// What `work` makes of each piece, in their order; whoever is done with one takes the next.
pub(crate) fn pieces_in_threads<T: Send, R: Send>(pieces: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces.len());
    if threads < 2 {
        return pieces.into_iter().map(work).collect();
    }
    let left = Mutex::new(pieces.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take_turns = || std::iter::from_fn(next).map(|(at, piece)| (at, work(piece))).collect::<Vec<(usize, R)>>();
    let mut done = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(take_turns)).collect();
        let mut done = Vec::new();
        for one in running {
            match one.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_come_back_in_their_order() {
        for count in [0, 1, 999, 2000, 7001] {
            let all: Vec<usize> = (0..count).collect();
            assert_eq!(in_threads(all, |one| one + 1), (1..=count).collect::<Vec<_>>());
        }
    }
}
