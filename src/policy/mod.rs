//! Policy: Rego layers that judge an input document.
//!
//! [`check()`] makes a [`PolicySet`] out of a [`Tree`]. Each worker asks its own [`Engines`]. regorus is named here alone.
//! Reading order: `tree`, `check`, `outline`, `lint`, `set`, `evaluate`, `asking`, `output`; then `compile` and `builtins`.

#[cfg(test)]
mod adversarial_tests;
mod asking;
mod assemble;
mod attribute;
mod builtins;
mod cases;
mod check;
mod compile;
mod data;
mod engines;
mod evaluate;
mod explain;
mod facts;
mod growth;
mod input;
mod limits;
mod lint;
mod outline;
mod output;
#[cfg(test)]
mod output_tests;
mod parallel;
mod problem;
mod refusals;
#[cfg(test)]
mod renewal_tests;
mod report;
mod resolve;
mod rvm;
mod set;
mod syntax;
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod walk;
mod weight;

pub use cases::{CaseResult, Difference, run_cases};
pub use check::{check, check_after};
pub use engines::{Built, Engines};
pub use evaluate::{Conditions, Layers, Outcome};
pub use explain::{Explanation, FiredRule};
pub use input::{Input, Unfit};
pub use limits::{Limits, Quarantine, ThreadClock};
pub use problem::Problem;
pub use report::{LayerReport, Report, report};
pub use rvm::{Agreed, Code, EngineInUse, EnginesInUse, agree};
pub use set::{ContractRule, Layer, PolicySet, StoredSetError, lost_modules};
pub use testing::{Coverage, TestReport, TestResult, run_tests};
pub use text::Text;
pub use tree::{LayerId, Tree};
