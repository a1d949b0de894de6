//! How many runs may be open: whoever asks names its runs itself. Known runs go on; only what would open one more stops.

use crate::decide::command::Context;
use crate::state::{Draft, Opened};
use crate::vocabulary::{AgentId, Code, Reason};
use serde_json::json;

/// As many are open as may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunsFull {
    whose: String,
    open: usize,
    cap: usize,
}

/// Why no more runs of an agent may be opened; `None` while they may. `more` is what else this command opens.
pub(super) fn full(draft: &Draft<'_>, agent: &AgentId, more: &Opened, ctx: &Context<'_>) -> Option<RunsFull> {
    let runs = draft.runs();
    let own = runs.open_count_of(agent).saturating_add_signed(more.of(agent));
    let all = runs.open_count().saturating_add_signed(more.all());
    let (whose, open, cap) = if own >= ctx.limits.runs_per_agent {
        (format!("Agent {agent}"), own, ctx.limits.runs_per_agent)
    } else if all >= ctx.limits.runs {
        ("The gate".to_owned(), all, ctx.limits.runs)
    } else {
        return None;
    };
    Some(RunsFull { whose, open, cap })
}

impl RunsFull {
    /// A sentence that an operator understands.
    pub(super) fn sentence(&self) -> String {
        let Self { whose, open, cap } = self;
        format!("{whose} has {open} open runs, and {cap} is the most: complete or cancel some first. Known runs go on.")
    }

    /// Why an admission that would open another is denied.
    pub(super) fn reason(&self, agent: &AgentId) -> Reason {
        let mut reason = Reason::of(Code::RunLimit, self.sentence(), format!("runs:{agent}"));
        reason.details = Some(json!({"open": self.open, "cap": self.cap}));
        reason
    }
}
