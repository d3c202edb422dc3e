//! The same work on many things, on as many threads as there are processors.

/// Fewer are not worth a thread.
const THREAD_ITEMS: usize = 1000;

/// What `work` makes of each, in their order.
pub(crate) fn in_threads<T: Send, R: Send>(all: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(all.len() / THREAD_ITEMS);
    if threads < 2 {
        return all.into_iter().map(work).collect();
    }
    let (size, count) = (all.len().div_ceil(threads), all.len());
    let mut rest = all.into_iter();
    std::thread::scope(|scope| {
        let work = &work;
        let part = |_| {
            let part: Vec<T> = rest.by_ref().take(size).collect();
            scope.spawn(move || part.into_iter().map(work).collect::<Vec<R>>())
        };
        let running: Vec<_> = (0..threads).map(part).collect();
        let mut done = Vec::with_capacity(count);
        for one in running {
            match one.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
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
