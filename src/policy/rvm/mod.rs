//! The second engine, three times as fast as the interpreter, and where it may be trusted.
//!
//! Reading order: `subset` says what can be proven of a module by reading it, `machine` compiles a layer and runs it,
//! `compare` has both engines judge derived inputs, `in_use` remembers what came out, with the code that was compared.

mod compare;
mod in_use;
mod machine;
mod subset;
#[cfg(test)]
mod tests;

pub use in_use::{EngineInUse, EnginesInUse};

pub use compare::{Agreed, agree};
pub use machine::Code;

pub(super) use compare::constant;
pub(super) use in_use::Known;
pub(super) use machine::Machine;
pub(super) use subset::{ALWAYS_ARRAYS, Found, of_module};
