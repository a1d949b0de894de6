//! The first admin key: from the environment, or made at the first start and written to a file that only its owner can
//! read. Never to a log.

use crate::operations::{App, KeyRequest, Principal, Secret, create_key_with};
use crate::registry::Role;
use crate::vocabulary::ApiKeyId;
use anyhow::Context as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The file in the state directory.
const FILE: &str = "admin.key";

/// Where the first admin key is.
#[derive(Clone, Debug)]
pub enum FirstKey {
    /// There were keys already.
    None,
    /// The environment named it; it is known to whoever set it.
    Chosen,
    /// It was made, and this file holds it.
    Written(PathBuf),
    /// It was made, and is handed back to be shown once (`--json`).
    Shown(Secret),
}

/// Makes the first admin key where there is no key at all. `chosen` names it; `show` hands it back instead of writing it.
pub(super) async fn first_key(app: &App, chosen: Option<&str>, state: &Path, show: bool) -> anyhow::Result<FirstKey> {
    let chosen = chosen.map(Secret::chosen).transpose().context("TOLLGATE_ADMIN_KEY")?;
    if app.read(|state| state.api_keys().next().is_some()) {
        return Ok(FirstKey::None);
    }
    let (secret, news) = if let Some(secret) = chosen {
        (secret, FirstKey::Chosen)
    } else {
        let secret = Secret::random()?;
        let news = if show { FirstKey::Shown(secret.clone()) } else { FirstKey::Written(write(&secret, state)?) };
        (secret, news)
    };
    let request = KeyRequest {
        id: ApiKeyId::new("admin")?,
        holder: "first admin".to_owned(),
        roles: vec![Role::Admin],
        agents: None,
    };
    create_key_with(app, &Principal::tollgate(), request, &secret).await?;
    Ok(news)
}

/// The file is there before the key opens anything: a key that nobody knows would lock everybody out.
fn write(secret: &Secret, state: &Path) -> anyhow::Result<PathBuf> {
    let path = state.join(FILE);
    let open = || -> std::io::Result<()> {
        // A file of an earlier try that did not come to its end, or one with wider rights, is not written into.
        let _ = std::fs::remove_file(&path);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{}", secret.reveal())?;
        file.sync_all()
    };
    open().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
