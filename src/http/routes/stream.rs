//! The live stream: server-sent events, resumable by `Last-Event-ID`.
//! The format is the WHATWG's (HTML, section 9.2, server-sent events).

use super::super::caller::{Caller, Gate};
use super::super::connections::Busy;
use super::super::edge::Edge;
use super::super::extract::Query;
use super::super::problem::Problem;
use super::super::wire::stream::{StreamQuery, reload, written};
use crate::operations::{self, Watching};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// How many writes may wait for a slow reader.
const WAITING: usize = 64;
/// How often something is sent, so that nobody on the way thinks the connection dead.
const ALIVE: Duration = Duration::from_secs(15);

/// Watch
///
/// Server-sent events: `run`, `run_event`, `item`, `admission`, each with an id. Who comes back sends the last one in
/// `Last-Event-ID` and goes on behind it. `reload` says that some were missed: read anew what you show.
#[utoipa::path(get, path = "/api/v1/stream", operation_id = "read_stream", tag = "attention",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = String)))]
pub async fn read_stream(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    query: Query<StreamQuery>,
) -> Result<HttpResponse, Problem> {
    let seen = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let (filter, last) = query.0.asked(seen)?;
    let watching = operations::watch(&gate, &caller.0, filter, last)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let edge = request.app_data::<web::ThinData<Arc<Edge>>>();
    let longest = edge.map_or(ALIVE, |edge| Duration::from_millis(edge.config.reader_timeout_ms));
    let reader = Reader { sender, longest, busy: Busy::of(&request) };
    actix_web::rt::spawn(write(watching, reader));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .body(Events(receiver)))
}

/// Writes until the reader is gone or the daemon stops.
async fn write(mut watching: Watching, reader: Reader) {
    let mut first = vec![Bytes::from_static(b": tollgate\n\n")];
    if watching.missed {
        first.push(reload());
    }
    first.extend(watching.backlog.drain(..).map(|notice| written(&notice)));
    for bytes in first {
        if !reader.takes(bytes).await {
            return;
        }
    }
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        let bytes = tokio::select! {
            notice = watching.live.recv() => match notice {
                Ok(notice) if watching.filter.fits(&notice) => written(&notice),
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => reload(),
                Err(RecvError::Closed) => return,
            },
            _ = alive.tick() => Bytes::from_static(b":\n\n"),
            _ = watching.closed.wait_for(|closed| *closed) => return,
            () = reader.sender.closed() => return,
        };
        if !reader.takes(bytes).await {
            return;
        }
    }
}

/// Who reads.
struct Reader {
    sender: mpsc::Sender<Bytes>,
    /// How long what waits may wait.
    longest: Duration,
    busy: Option<Busy>,
}

impl Reader {
    /// Whether it took something. One that reads nothing for too long is let go of; it may come back.
    async fn takes(&self, bytes: Bytes) -> bool {
        let sent = tokio::time::timeout(self.longest, self.sender.send(bytes)).await;
        if sent.is_err() {
            self.busy.iter().for_each(Busy::close);
        }
        sent.is_ok_and(|sent| sent.is_ok())
    }
}

/// What is written, as a body without an end.
struct Events(mpsc::Receiver<Bytes>);

impl MessageBody for Events {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(Ok))
    }
}
