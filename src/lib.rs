//! Tollgate: the gate that an AI agent's runtime passes before every action and every retry.
//!
//! It evaluates Rego policy per agent and per entity type, places a hold on every spend budget that applies, and answers
//! in one durable step: allow, or deny with every reason and what would lift it.
//!
//! # The layers
//!
//! ```text
//! main → cli → server ─► http ─► operations ─► store (trait) ◄─ store/sled
//!                                    │
//!         core, pure:  decide → state → attention → admission, runs → budget, policy, registry → vocabulary      audit
//! ```
//!
//! # One admission, from top to bottom
//!
//! 1. [`http`] parses and authenticates the request (`http/routes/admissions.rs`, `http/wire/admission.rs`).
//! 2. [`operations::admit`] reads the clock once, reads registry and budgets at one moment, makes the policy's input,
//!    has the layers that apply judge it ([`policy::Engines::evaluate`], engines of the worker's own), masks what must
//!    not be recorded, and hands the question to the store with the versions that it was judged under.
//! 3. The store's single writer (`store/sled/writer`) takes what is there as one batch and calls [`decide::run`] for
//!    each command, in order, on a [`state::Draft`]. **An admission is decided in `decide/admit.rs`.**
//! 4. What the batch changes is one record of the journal, flushed before [`state::State::apply`] shows it to anybody
//!    and before any caller of the batch is answered.
//!
//! # Invariants
//!
//! The core (`vocabulary`, `registry`, `policy`, `budget`, `admission`, `runs`, `attention`, `state`, `decide`, `audit`) has no async, no
//! I/O, no clock and no logging, and sees nothing outside itself. State changes in [`state::State::apply`] alone, by
//! effects that are in the journal; effects carry absolute after-values, so recovery never decides again. Whatever
//! fails on the way is a denial with a `system` reason or an error, never an allow. The wall clock is read in [`clock`]
//! alone. `tests/it/tidy.rs` checks what of this can be seen in the sources.
//!
//! # Reading order
//!
//! [`vocabulary`], [`registry`], [`policy`], [`budget`], [`admission`], [`runs`], [`attention`], [`state`], [`decide`], [`audit`], [`store`],
//! [`operations`], [`http`], [`server`], [`cli`].

pub mod admission;
pub mod attention;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
pub mod http;
pub mod operations;
pub mod policy;
pub mod policy_dir;
pub mod registry;
pub mod runs;
pub mod server;
pub mod state;
pub mod store;
pub mod thread_time;
pub mod vocabulary;
