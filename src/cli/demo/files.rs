//! The demo's policies and data: the repository's own, carried in the binary, so that the demo needs nothing beside it.
//! They are written out to be read and changed.

use anyhow::Context as _;
use std::path::Path;

const FILES: &[(&str, &str)] = &[
    ("policies/base.rego", include_str!("../../../policies/base.rego")),
    ("policies/agents/rfq_draft.rego", include_str!("../../../policies/agents/rfq_draft.rego")),
    ("policies/entities/rfq.rego", include_str!("../../../policies/entities/rfq.rego")),
    ("policies/lib/dates.rego", include_str!("../../../policies/lib/dates.rego")),
    ("data/budgets.toml", include_str!("../../../data/budgets.toml")),
    ("data/agents.toml", include_str!("../../../data/agents.toml")),
    ("data/entity_types.toml", include_str!("../../../data/entity_types.toml")),
];

/// Writes them below `dir`.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    for (name, text) in FILES {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
