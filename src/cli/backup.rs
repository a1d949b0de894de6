//! `tollgate backup`: a checked copy of a state directory, also while the daemon runs.

use crate::store::sled::copy::{CopyError, MANIFEST, backup};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Copy a state directory, and check the copy; the daemon may go on running
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The state directory; the daemon may go on using it
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// A directory that is empty or not there yet
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// 0: copied and checked. 1: the state is damaged. 2: it could not be copied.
pub fn run(args: &BackupArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    match backup(&args.state, &args.to) {
        Ok(manifest) => {
            let to = args.to.display();
            writeln!(out, "{} records and {} policy files are in {to}", manifest.records, manifest.blobs)?;
            writeln!(out, "head {} (also in {MANIFEST}; note it elsewhere)", manifest.head)?;
            Ok(0)
        }
        Err(CopyError::Check(error)) if error.is_damage() => {
            writeln!(out, "DAMAGED: {error}")?;
            Ok(1)
        }
        Err(error) => Err(error.into()),
    }
}
