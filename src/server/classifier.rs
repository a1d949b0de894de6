//! The classifier's rules: the data directory's own, or those that Tollgate comes with.

use crate::attention::Classifier;
use anyhow::{Context as _, bail};
use std::path::Path;
use std::sync::Arc;

/// The file in the data directory.
const FILE: &str = "classifier.toml";

/// Reads them. Every fault of a file is told with its line, and so is an example that another rule swallows.
pub fn read_classifier(data: &Path) -> anyhow::Result<Arc<Classifier>> {
    let path = data.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Classifier::shared()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let told = |faults: Vec<String>| format!("{} is not right:\n  {}", path.display(), faults.join("\n  "));
    let classifier = match Classifier::parse(&text) {
        Ok(classifier) => classifier,
        Err(faults) => bail!(told(faults.iter().map(ToString::to_string).collect())),
    };
    let swallowed = classifier.check_examples();
    if !swallowed.is_empty() {
        bail!(told(swallowed.iter().map(ToString::to_string).collect()));
    }
    Ok(Arc::new(classifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_or_the_built_in_ones_and_every_fault_by_line() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_classifier(dir.path()).unwrap().rules().len(), Classifier::shared().rules().len());
        let rule = |code: &str, pattern: &str| {
            format!(
                "[[rule]]\nname = \"own-{code}\"\nmessage = '{pattern}'\ncode = \"{code}\"\ntitle = \"t\"\nexplanation = \"e\"\nexamples = [{{ message = \"a pattern\" }}]\n"
            )
        };
        let file = dir.path().join(FILE);
        std::fs::write(&file, rule("timeout", "pattern")).unwrap();
        assert_eq!(read_classifier(dir.path()).unwrap().rules().len(), 1);
        std::fs::write(&file, format!("{}{}", rule("tiemout", "("), rule("rate_limited", "["))).unwrap();
        let error = read_classifier(dir.path()).unwrap_err().to_string();
        for wanted in ["classifier.toml", "line 3: ", "line 4: ", "line 10: "] {
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
        std::fs::write(&file, format!("{}{}", rule("timeout", "pattern"), rule("rate_limited", "pattern"))).unwrap();
        let error = read_classifier(dir.path()).unwrap_err().to_string();
        assert!(error.contains("rule \"own-rate_limited\" does not decide its example"), "{error}");
    }
}
