//! What needs an owner's decision: what a failure is ([`Classifier`]), what is the same trouble ([`Fingerprint`]), and
//! the item that carries it from its opening to its end ([`Item`]). Pure: the state keeps items, `decide` opens and
//! changes them, and `operations` re-checks them.
//!
//! Reading order: `class`, `classifier`, `rules`, `normalise`, `fingerprint`, `item`, `trouble`, `denial`, `act`,
//! `waits`, `groups`, `words`.

mod act;
mod class;
mod classifier;
mod denial;
mod fingerprint;
mod groups;
mod item;
mod normalise;
mod rules;
mod trouble;
mod waits;
mod words;

#[cfg(test)]
mod item_tests;

pub use act::{Act, ActRefusal};
pub use class::Class;
pub use classifier::{Classified, Classifier, Example, LONGEST_MESSAGE, Rule, Swallowed};
pub use denial::{Denied, SAME_DENIALS, class_of};
pub use fingerprint::Fingerprint;
pub use groups::{Group, GroupBy, groups};
pub use item::{Check, Decided, Item, ItemKind, ItemState, Place, Resolution, ResolutionCategory, Subject, Suggestion};
pub use normalise::normalise;
pub use rules::RuleFault;
pub use trouble::Trouble;
pub use waits::{Cause, waits_on, wakes_at};
