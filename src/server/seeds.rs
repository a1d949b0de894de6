//! Seed files: what `data/budgets.toml`, `data/agents.toml` and `data/entity_types.toml` hold is taken in at the first
//! start. From then on the API is the truth, and a file that differs from what was taken in is only told of.

use crate::budget::{BudgetSpec, parse_seed};
use crate::decide::Command;
use crate::operations::{App, Principal, apply_budgets, put_agent, put_entity_type};
use crate::registry::{AgentSpec, EntityTypeSpec};
use crate::vocabulary::{AgentId, EntityType};
use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// The seed files, in the order in which they are taken in.
const FILES: [&str; 3] = ["entity_types.toml", "agents.toml", "budgets.toml"];

/// What became of a seed file at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedNews {
    /// It was taken in.
    Taken(PathBuf),
    /// It has changed since, and was not taken in again.
    Changed(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Agents {
    #[serde(default)]
    agent: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityTypes {
    #[serde(default)]
    entity_type: Vec<toml::Table>,
}

/// The budgets of a file, each of them usable.
pub fn read_budgets(path: &Path) -> anyhow::Result<Vec<BudgetSpec>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_budgets(&text).with_context(|| format!("{} is not right", path.display()))
}

/// Or every field at fault, one a line.
fn parse_budgets(text: &str) -> anyhow::Result<Vec<BudgetSpec>> {
    parse_seed(text).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("{}", lines.join("\n"))
    })
}

/// Takes in what was never taken in, and tells of what has changed since.
pub(super) async fn plant(app: &App, data: &Path) -> anyhow::Result<Vec<SeedNews>> {
    let mut news = Vec::new();
    for file in FILES {
        let path = data.join(file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let sha256 = format!("{:x}", Sha256::digest(text.as_bytes()));
        let known = app.read(|state| state.seed(file).map(str::to_owned));
        match known {
            Some(known) if known == sha256 => {}
            Some(_) => news.push(SeedNews::Changed(path)),
            None => {
                take(app, file, &text).await.with_context(|| format!("{} is not right", path.display()))?;
                app.commit(&Principal::tollgate(), Command::NoteSeed { file: file.to_owned(), sha256 }).await?;
                news.push(SeedNews::Taken(path));
            }
        }
    }
    Ok(news)
}

async fn take(app: &App, file: &str, text: &str) -> anyhow::Result<()> {
    let me = Principal::tollgate();
    match file {
        "budgets.toml" => {
            apply_budgets(app, &me, parse_budgets(text)?).await?;
        }
        "agents.toml" => {
            for mut table in toml::from_str::<Agents>(text)?.agent {
                let id = AgentId::new(name_of(&mut table, "id")?)?;
                let spec: AgentSpec = table.try_into().with_context(|| format!("agent {id}"))?;
                put_agent(app, &me, id, spec).await?;
            }
        }
        _ => {
            for mut table in toml::from_str::<EntityTypes>(text)?.entity_type {
                let name = EntityType::new(name_of(&mut table, "type")?)?;
                let spec: EntityTypeSpec = table.try_into().with_context(|| format!("entity type {name}"))?;
                put_entity_type(app, &me, name, spec).await?;
            }
        }
    }
    Ok(())
}

fn name_of(table: &mut toml::Table, field: &str) -> anyhow::Result<String> {
    match table.remove(field) {
        Some(toml::Value::String(name)) => Ok(name),
        _ => bail!("each entry needs {field} = \"…\""),
    }
}
