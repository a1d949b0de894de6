//! `tollgate restore`: a state directory made from a backup, checked before and after.

use crate::store::sled::copy::{CopyError, restore};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Make a state directory from a backup, checked before and after
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A backup
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// A state directory that is empty or not there yet
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
}

/// 0: restored and checked. 1: the backup is damaged. 2: it could not be restored.
pub fn run(args: &RestoreArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    match restore(&args.from, &args.state) {
        Ok(manifest) => {
            let state = args.state.display();
            writeln!(out, "{} records are in {state}, up to head {}", manifest.records, manifest.head)?;
            Ok(0)
        }
        Err(CopyError::Check(error)) if error.is_damage() => {
            writeln!(out, "DAMAGED: {error}")?;
            Ok(1)
        }
        Err(error @ CopyError::Manifest { .. }) => {
            writeln!(out, "DAMAGED: {error}")?;
            Ok(1)
        }
        Err(error) => Err(error.into()),
    }
}
