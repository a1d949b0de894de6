//! What was found wrong in the files of a running daemon: told in the log once, counted in a metric, and shown in the status
//! until the next start.

use parking_lot::Mutex;
use serde::Serialize;
use std::path::Path;

/// So many are kept.
const MOST: usize = 100;

/// One bad place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<Vec<Finding>>);

impl Findings {
    /// Something is wrong with a file. Said again, it is not news.
    pub(super) fn note(&self, file: &Path, what: &str) {
        let finding = Finding { file: file.display().to_string(), what: what.to_owned() };
        let mut findings = self.0.lock();
        if findings.len() < MOST && !findings.contains(&finding) {
            tracing::error!(file = finding.file, what, "damage was found in the state directory");
            metrics::counter!("tollgate_store_findings_total").increment(1);
            findings.push(finding);
        }
    }

    pub(super) fn all(&self) -> Vec<Finding> {
        self.0.lock().clone()
    }
}
