//! The runtime that a daemon lives on, for whoever starts one.

/// Runs a future to its end on a runtime of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    actix_web::rt::System::new().block_on(future)
}

/// Runs a future beside the others of this thread.
pub fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> tokio::task::JoinHandle<F::Output> {
    actix_web::rt::spawn(future)
}
