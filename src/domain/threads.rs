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
    let parts: Vec<Vec<T>> = (0..threads).map(|_| rest.by_ref().take(size).collect()).collect();
    let mut done = Vec::with_capacity(count);
    for part in each_in_a_thread(parts, |part| part.into_iter().map(&work).collect::<Vec<R>>()) {
        done.extend(part);
    }
    done
}

/// The same with a thread for each.
pub(crate) fn each_in_a_thread<T: Send, R: Send>(all: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = all.into_iter().map(|one| scope.spawn(move || work(one))).collect();
        let join = |one: std::thread::ScopedJoinHandle<'_, R>| match one.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(join).collect()
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
