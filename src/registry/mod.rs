//! What Tollgate knows of its own accord, never from a runtime: agents, entity types, pauses, and the keys that callers
//! hold. Plain values; the state keeps them, `decide` changes them.

mod agent;
mod api_key;
mod entity_type;
mod masks;
mod pause;

pub use agent::{Agent, AgentSpec, Mode, ModeSpec};
pub use api_key::{Actor, ApiKey, Role, Roles};
pub use entity_type::{EntityTypeRecord, EntityTypeSpec, SchemaError, SchemaFault, compile_schema};
pub use pause::{Pause, PauseEnd, PauseTarget};
