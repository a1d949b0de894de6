//! One question to the gate: what is asked, the document that policy sees, what is masked, and what is recorded.
//! Where it is *decided* is `decide::admit`.

mod answer;
mod input;
mod mask;
mod rate;
mod record;
mod request;

pub use answer::{AdmissionAnswer, Decision, HeldBudget, HoldAnswer};
pub use input::{BudgetAdvice, ConnectorAdvice, InputDocument, InputParts, input_document};
pub use mask::{Mask, MaskKey, Masked};
pub use rate::{Buckets, Rate, Shares};
pub use record::{DecisionRecord, Judged, is_action_of_its_run};
pub use request::{Action, Entity, Kind, Request, RunRef};
