//! Values that hold themselves many times over, and what comparing them would cost.
//!
//! A value that is put into another is not copied, so forty rules such as `d1 := [d0, d0]` make a value of 2^40 parts in no
//! time. Comparing two of these (`==`, `in`, members of a set, keys) goes through all parts in one step of the interpreter, at
//! the end of which its timer looks. So check counts how often values occur in each other, and refuses comparisons that may
//! cost too much.
//!
//! `size` is the arithmetic, `scope` says what a variable may be, `program` how large a value, `cost` what is compared.

mod cost;
mod program;
mod scope;
mod size;
#[cfg(test)]
mod tests;

pub(super) use cost::problems;
