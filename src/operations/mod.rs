//! What the daemon can do, one verb a file. The API, the console and the command line call these, so nothing can be done
//! on one face and not on another.

mod roles;
mod secret;

pub use roles::{Forbidden, OPERATIONS, Operation, OperationRow, Principal};
pub use secret::{SHORTEST_SECRET, Secret, SecretError, sha256};
