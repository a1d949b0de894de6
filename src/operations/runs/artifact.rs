//! What a run made, as far as it is kept here.

use super::show::visible;
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::runs::Artifact;
use crate::vocabulary::RunId;

/// The largest content that is kept, in bytes.
pub const LARGEST_ARTIFACT: usize = 256 * 1024;

/// The content of an artifact of this run, by its digest.
pub fn artifact_content(
    app: &App,
    principal: &Principal,
    run: &RunId,
    digest: &str,
) -> Result<(Artifact, Vec<u8>), OperationError> {
    let run = visible(app, principal, Operation::ReadRuns, run)?;
    let missing = || OperationError::NotFound { what: "artifact", id: digest.to_owned() };
    let is_it = |artifact: &&Artifact| artifact.stored && artifact.digest.as_deref() == Some(digest);
    let artifact = run.artifacts.iter().rev().find(is_it).cloned().ok_or_else(missing)?;
    let content = app.store.blob(digest)?.ok_or_else(missing)?;
    Ok((artifact, content))
}
