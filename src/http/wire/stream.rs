//! The live stream on the wire.

use crate::http::check::Check;
use crate::http::problem::Problem;
use crate::operations::{Notice, NoticeFilter, NoticeId, NoticeKind};
use actix_web::web::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

/// What is watched.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Of this run.
    pub run: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of these kinds, with commas between them: `run`, `run_event`, `item`, `admission`.
    pub kind: Option<String>,
}

impl StreamQuery {
    /// The filter, and the last notice that was seen, or every parameter at fault.
    pub fn asked(&self, seen: Option<&str>) -> Result<(NoticeFilter, Option<NoticeId>), Problem> {
        let mut check = Check::new("");
        let mut kinds = Vec::new();
        for text in self.kind.iter().flat_map(|kinds| kinds.split(',')) {
            match NoticeKind::parse(text.trim()) {
                Some(kind) => kinds.push(kind),
                None => check.fault("?kind", "must be run, run_event, item or admission, with commas between them"),
            }
        }
        let filter = NoticeFilter {
            run: check.optional("?run", self.run.as_deref()),
            agent: check.optional("?agent", self.agent.as_deref()),
            kinds,
        };
        let last = check.optional("Last-Event-ID", seen.filter(|seen| !seen.is_empty()));
        check.finish(Some((filter, last)))
    }
}

/// A notice as a server-sent event. JSON holds no line ends, so one data line is enough.
pub fn written(notice: &Notice) -> Bytes {
    Bytes::from(format!("id: {}\nevent: {}\ndata: {}\n\n", notice.id, notice.kind.as_str(), notice.data))
}

/// That some were missed.
pub fn reload() -> Bytes {
    Bytes::from_static(b"event: reload\ndata: {\"why\":\"some were missed: read anew what you show\"}\n\n")
}
