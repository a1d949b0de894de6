//! What needs an owner's decision: what a failure is ([`Classifier`]), what is the same trouble ([`Fingerprint`]), and
//! the item that carries it from its opening to its end ([`Item`]). Pure: the state keeps items, `decide` opens and
//! changes them, and `operations` re-checks them.
//!
//! Reading order: `class`, `classifier`, `rules`, `normalise`, `fingerprint`, `kinds`, `subject`, `item`, `trouble`, `denial`, `watch`,
//! `act`, `waits`, `groups`, `words`, `delivery`, `storm`.

mod act;
mod class;
mod classifier;
mod delivery;
mod denial;
mod fingerprint;
mod groups;
mod item;
mod kinds;
mod normalise;
mod rules;
mod storm;
mod subject;
mod trouble;
mod waits;
mod watch;
mod words;

#[cfg(test)]
mod item_tests;
#[cfg(test)]
mod watch_tests;

pub use act::{Act, ActRefusal};
pub use class::Class;
pub use classifier::{Classified, Classifier, Example, LONGEST_MESSAGE, Rule, Swallowed};
pub use delivery::Delivery;
pub use denial::{Denied, SAME_DENIALS, StepDenied, class_of};
pub use fingerprint::Fingerprint;
pub use groups::{Group, GroupBy, groups};
pub use item::{Check, Decided, Item, Place, Resolution};
pub use kinds::{ItemKind, ItemState, ResolutionCategory, Suggestion};
pub use normalise::normalise;
pub use rules::RuleFault;
pub use storm::{Storm, StormLimits, Storms};
pub use subject::Subject;
pub use trouble::Trouble;
pub use waits::{Cause, waits_on, wakes_at};
pub use watch::{Change, of_run, of_schedule};
