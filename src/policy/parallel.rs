//! Check's threads: with a deep stack, for a module's nesting is bounded only once it has been read, and on all
//! processors where there is much to do.

use std::thread::{Builder, ScopedJoinHandle, available_parallelism, scope};

/// The stack that check walks syntax trees on.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Fewer items than this are done one after the other.
const WORTH_A_THREAD: usize = 32;

/// Runs check itself. `None` if it could not be run to its end.
pub(super) fn on_a_deep_stack<R: Send>(work: impl FnOnce() -> R + Send) -> Option<R> {
    scope(|scope| {
        let worker = Builder::new().name("check".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, work);
        worker.map(ScopedJoinHandle::join).ok().and_then(Result::ok)
    })
}

/// Does something for each item; the answers are in the order of the items.
pub(super) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = available_parallelism().map_or(1, usize::from).min(items.len() / WORTH_A_THREAD);
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let all = |part: &[T]| part.iter().map(&work).collect::<Vec<R>>();
    scope(|scope| {
        let all = &all;
        let start = |part| {
            let worker = Builder::new().name("check".to_owned()).stack_size(STACK_BYTES);
            worker.spawn_scoped(scope, move || all(part)).map_err(|_| part)
        };
        let started: Vec<_> = items.chunks(items.len().div_ceil(threads)).map(start).collect();
        let answers = started.into_iter().flat_map(|worker| match worker {
            Ok(worker) => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // no thread is to be had: then here
            Err(part) => all(part),
        });
        answers.collect()
    })
}
