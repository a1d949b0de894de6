//! Brings what becomes durable to those who watch.

use crate::operations::App;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Goes on until the store is gone.
pub(super) async fn keep_telling(app: Arc<App>) {
    let mut batches = app.store.follow();
    loop {
        match batches.recv().await {
            Ok(batch) => app.notices.tell(&batch),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(target: "tollgate::stream", missed, "batches were missed; who watches reads anew");
                app.notices.lost(app.store.status().seq);
            }
            Err(RecvError::Closed) => return,
        }
    }
}
