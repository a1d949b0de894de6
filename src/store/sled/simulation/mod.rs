//! Long lives of the embedded store under a simulated clock and on a simulated disk, step by step on one thread: the writer,
//! the core, the journal, recovery, checkpoints, retention and the database behind are the real ones. A small reference
//! keeps its own books of what was answered, and both are compared all the way. The same seed is the same life.
//!
//! A short run is part of the tests; how to live a long one stands in `docs/architecture.md`.

mod asks;
mod disk;
mod judge;
mod life;
mod machine;
mod random;
mod reference;
