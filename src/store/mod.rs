//! Where answers become durable.

pub mod sled;
