//! What operators see of a policy set: its layers, the files of each, and which engine runs it.

use super::rvm::{EngineInUse, EnginesInUse};
use super::set::{ContractRule, PolicySet};
use super::tree::LayerId;
use serde::Serialize;

/// A policy set in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `sha256:…`
    pub digest: String,
    /// Its layers, base first.
    pub layers: Vec<LayerReport>,
    /// The library modules; a layer is compiled with those that it refers to.
    pub libraries: Vec<String>,
}

/// One layer in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerReport {
    /// Which one.
    pub layer: LayerId,
    /// `sha256:…` of its modules, the libraries that it refers to, and the data.
    pub digest: String,
    /// Its modules.
    pub files: Vec<String>,
    /// The rules of the contract that it defines.
    pub defines: Vec<ContractRule>,
    /// What runs it.
    pub engine: &'static str,
    /// Why.
    pub why: String,
}

/// Reports on a set, with the engines in use where a daemon runs it; `tollgate check` knows only what may be.
pub fn report(set: &PolicySet, in_use: Option<&EnginesInUse>) -> Report {
    let layers = set.layers().map(|layer| {
        let (engine, why) = match (in_use.map(|in_use| in_use.of(layer)), &layer.interpreted) {
            (Some(EngineInUse::Rvm(why)), _) => ("rvm", why),
            (Some(EngineInUse::Interpreter(why)), _) => ("interpreter", why),
            (None, Some(why)) => ("interpreter", why.clone()),
            (None, None) => ("rvm", "if both engines agree on derived inputs when it is served".to_owned()),
        };
        LayerReport {
            layer: layer.id.clone(),
            digest: layer.digest.clone(),
            files: layer.files.clone(),
            defines: ContractRule::ALL.into_iter().filter(|name| layer.defines(*name)).collect(),
            engine,
            why,
        }
    });
    Report { digest: set.digest().to_owned(), layers: layers.collect(), libraries: set.libraries().to_vec() }
}
