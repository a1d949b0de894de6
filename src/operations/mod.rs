//! What the daemon can do, one verb a file. The API, the console and the command line call these, so nothing can be done
//! on one face and not on another.

mod admit;
mod app;
mod error;
mod policy_room;
mod roles;
mod schemas;
mod secret;

pub use admit::{Admitted, admit, admit_batch};
pub use app::{App, RefusedSet};
pub use error::OperationError;
pub use policy_room::PolicyRoom;
pub use roles::{Forbidden, OPERATIONS, Operation, OperationRow, Principal};
pub use schemas::Schemas;
pub use secret::{SHORTEST_SECRET, Secret, SecretError, sha256};
