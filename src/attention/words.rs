//! What an item says of itself: one sentence why it needs attention, and why that is suggested.

use super::class::Class;
use super::item::Item;
use super::kinds::{ItemKind, ItemState, Suggestion};
use super::subject::Subject;
use jiff::Timestamp;

impl Item {
    /// Why it needs attention, in one sentence.
    pub fn why(&self) -> String {
        let again = match self.came_back {
            0 => "",
            _ => " again",
        };
        let step = self.place.step.as_ref().map_or_else(String::new, |step| format!(" at step {step}"));
        let agent = self.place.agent.as_ref().map_or_else(|| "An agent".to_owned(), ToString::to_string);
        let told = self.message.trim().trim_end_matches('.');
        match (self.kind, &self.subject) {
            (ItemKind::FailedRun, Subject::Run(run)) => format!("Run {run} failed{again}{step}: {told}."),
            (ItemKind::StuckRun, Subject::Run(run)) => format!("Run {run} is stuck{again}{step}: {told}."),
            (ItemKind::BlockedAction, Subject::Run(run)) => format!("Run {run} is blocked{again}{step}: {told}."),
            (ItemKind::BlockedAction, _) => {
                let action = self.place.action.as_ref().map_or_else(String::new, |action| format!(" {action}"));
                format!("{agent} may not{again}{action}: {told}.")
            }
            (ItemKind::MissedSchedule, Subject::Schedule(schedule)) => {
                format!("Schedule {schedule} did not fire{again}: {told}.")
            }
            (ItemKind::BudgetAlert, Subject::Budget { budget, .. }) => {
                format!("Budget {budget} was passed{again}: {told}.")
            }
            _ => format!("{told}."),
        }
    }

    /// Why that is suggested. `contact` is whom an escalation would go to.
    pub fn why_suggested(&self, contact: Option<&str>) -> String {
        match self.suggestion() {
            Suggestion::Retry if self.state == ItemState::ReadyToRetry => {
                "What it waited for is put right: a retry would go through now.".to_owned()
            }
            Suggestion::Retry => "This kind of failure passes by itself.".to_owned(),
            Suggestion::Cancel => "It was cancelled, and its runtime has not confirmed that it stopped.".to_owned(),
            Suggestion::Escalate => {
                let to = contact.map_or_else(|| "an admin".to_owned(), str::to_owned);
                format!("The same step failed {} times: {to} should look at it.", self.same_step_failures)
            }
            Suggestion::FixSetup => {
                let open = self.open_reasons().count();
                match open {
                    0 => "Something must be put right before a retry can help.".to_owned(),
                    1 => "One thing must be put right before a retry can help.".to_owned(),
                    _ => format!("{open} things must be put right before a retry can help."),
                }
            }
            Suggestion::Inspect if self.same_step_failures > 1 => {
                let to = self.escalated_to.clone().unwrap_or_else(|| "somebody who knows more".to_owned());
                format!("The same step failed {} times, and {to} has it.", self.same_step_failures)
            }
            Suggestion::Inspect if self.kind == ItemKind::StuckRun => {
                "Look at its schedule, its workers and whether other runs move: nothing is lost by that.".to_owned()
            }
            Suggestion::Inspect if self.class == Class::Unknown => {
                "Nothing is known of this failure, and nothing says that a retry helps.".to_owned()
            }
            Suggestion::Inspect => "Look at what happened first.".to_owned(),
        }
    }

    /// Whether its due time has passed.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.state != ItemState::Resolved && self.due_at.is_some_and(|due| now >= due)
    }
}
