//! `build(options)`, then `address()`, then `run()`.

use super::caps;
use super::classifier::read_classifier;
use super::first_key::{FirstKey, first_key};
use super::notices;
use super::policy;
use super::recheck;
use super::seeds::{self, SeedNews};
use super::storms;
use super::webhook;
use super::webhook_target::Target;
use crate::admission::MaskKey;
use crate::attention::Storms;
use crate::audit::CheckpointFault;
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::operations::{App, Notices, Schemas, Throttle, note_not_taken};
use crate::policy_dir::Watcher;
use crate::store::Store;
use crate::store::sled::journal::{Disk, OsDisk};
use crate::store::sled::mask_key::{MASK_KEY_FILE, read_mask_key};
use crate::store::sled::{Recovery, Settings, Sled};
use anyhow::Context as _;
use parking_lot::{Mutex, RwLock};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: String,
    /// The state directory.
    pub state: PathBuf,
    /// The policy directory.
    pub policies: PathBuf,
    /// The data directory: policy data and seed files.
    pub data: PathBuf,
    /// The configuration.
    pub config: Config,
    /// The first admin key, if the environment names it.
    pub admin_key: Option<String>,
    /// A first admin key that had to be made is handed back instead of written to a file.
    pub show_key: bool,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// A daemon that is ready to answer.
pub struct Server {
    app: Arc<App>,
    http: http::Bound,
    first_key: FirstKey,
    seeds: Vec<SeedNews>,
    recovery: Recovery,
    background: Vec<JoinHandle<()>>,
    rechecking: JoinHandle<()>,
    watcher: Option<Watcher>,
}

/// Stops a running server: it drains and ends.
#[derive(Clone)]
pub struct Stop(http::Stop, Arc<Notices>);

impl Stop {
    /// Takes no more connections, answers what is under way, and ends.
    pub async fn stop(&self) {
        // who watches would be waited for
        self.1.close();
        self.0.stop().await;
    }
}

/// A daemon without its faces.
pub struct Assembled {
    /// The operations.
    pub app: Arc<App>,
    /// The first admin key, if this start made one.
    pub first_key: FirstKey,
    /// What became of the seed files.
    pub seeds: Vec<SeedNews>,
    /// What the start found in the journal.
    pub recovery: Recovery,
    /// The hash of the policy tree that was offered.
    tree_hash: String,
}

/// Opens the store, takes in policy and seeds, makes the first key.
pub async fn assemble(options: &Options) -> anyhow::Result<Assembled> {
    assemble_on(options, Box::new(OsDisk)).await
}

async fn assemble_on(options: &Options, disk: Box<dyn Disk>) -> anyhow::Result<Assembled> {
    // before the store is opened: what that finds is counted
    http::metrics::install();
    let mut settings = Settings::new(&options.state);
    settings.segment_bytes = options.config.store.segment_bytes;
    settings.writer.queue = options.config.store.queue;
    settings.writer.batch = options.config.store.max_batch;
    settings.limits = options.config.limits();
    let classifier = read_classifier(&options.data)?;
    settings.limits.classifier = Arc::clone(&classifier);
    settings.keeping = options.config.keeping();
    settings.scrubbing = options.config.scrubbing();
    let (store, recovery) = Sled::open_on(&settings, Arc::clone(&options.clock), disk)
        .with_context(|| format!("cannot open the state directory {}", options.state.display()))?;
    tell_recovery(&recovery);
    let guard = Arc::clone(store.clock());
    let store: Arc<dyn Store> = Arc::new(store);
    let notices = Arc::new(Notices::new(store.status().seq));
    let app = Arc::new(App {
        policy: policy::room(store.as_ref(), options)?,
        store,
        guard,
        schemas: Schemas::default(),
        mask: options.config.mask(),
        mask_key: mask_key(&options.state, recovery.records)?,
        dispatch: Notify::new(),
        clocks: options.config.runs.clocks(),
        caps: options.config.caps(),
        classifier,
        notices,
        storms: Mutex::new(Storms::new(options.config.attention.storms())),
        throttle: Arc::new(Throttle::new(options.config.allowance())),
        deadline: Duration::from_millis(options.config.store.deadline_ms),
        refused: RwLock::new(None),
    });
    let tree_hash = match policy::offer(&app, options).await {
        Ok(hash) => hash,
        Err(error) if app.read(|state| state.policy_set().is_none()) => {
            return Err(error).context("no policy set is in force");
        }
        Err(error) => {
            tracing::error!(target: "tollgate::policy", %error, "the directory's policies were not taken; the old set serves");
            note_not_taken(&app, format!("{error:#}"));
            String::new()
        }
    };
    anyhow::ensure!(app.read(|state| state.policy_set().is_some()), "no policy set is in force");
    let seeds = seeds::plant(&app, &options.data).await?;
    seeds.iter().for_each(tell_seed);
    let first_key = first_key(&app, options.admin_key.as_deref(), &options.state, options.show_key).await?;
    Ok(Assembled { app, first_key, seeds, recovery, tree_hash })
}

/// Puts a daemon together and binds its address. When this returns it answers as soon as it is run.
pub async fn build(options: Options) -> anyhow::Result<Server> {
    build_on(options, Box::new(OsDisk)).await
}

/// The same, with the journal on another disk: tests bring one that waits or fails.
pub async fn build_on(options: Options, disk: Box<dyn Disk>) -> anyhow::Result<Server> {
    let Assembled { app, first_key, seeds, recovery, tree_hash } = assemble_on(&options, disk).await?;
    let rechecking = tokio::task::spawn(recheck::keep_rechecking(Arc::clone(&app)));
    let mut background = vec![
        tokio::task::spawn(notices::keep_telling(Arc::clone(&app))),
        tokio::task::spawn(storms::keep_counting(Arc::clone(&app))),
        tokio::task::spawn(caps::keep_looking(Arc::clone(&app))),
    ];
    if let Some(webhook) = &options.config.attention.webhook {
        background.push(tokio::task::spawn(webhook::keep_delivering(Arc::clone(&app), Target::of(webhook)?)));
    }
    let mut watcher = None;
    if options.config.policy.watch {
        let (watching, task) = policy::keep_in_step(Arc::clone(&app), &options, tree_hash)?;
        watcher = Some(watching);
        background.push(tokio::task::spawn(task));
    }
    policy::compare_engines(&app)?;
    let http = http::bind(Arc::clone(&app), options.config.http.clone(), &options.listen)
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    Ok(Server { app, http, first_key, seeds, recovery, background, rechecking, watcher })
}

fn tell_seed(news: &SeedNews) {
    match news {
        SeedNews::Taken(path) => {
            tracing::info!(target: "tollgate::seeds", path = %path.display(), "seed file taken in");
        }
        SeedNews::Changed(path) => tracing::warn!(
            target: "tollgate::seeds", path = %path.display(),
            "seed file has changed since it was taken in; the daemon goes by what it has (see `tollgate budget apply`)"
        ),
    }
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// The operations behind it.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The first admin key, if this start made one.
    pub fn first_key(&self) -> &FirstKey {
        &self.first_key
    }

    /// What became of the seed files.
    pub fn seeds(&self) -> &[SeedNews] {
        &self.seeds
    }

    /// What the start found in the journal.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// How to stop it from elsewhere.
    pub fn stop_handle(&self) -> Stop {
        Stop(self.http.stop_handle(), Arc::clone(&self.app.notices))
    }

    /// Answers until it is stopped; then everything that was begun is answered, and everything queued is durable.
    pub async fn run(self) -> anyhow::Result<()> {
        let served = self.http.run().await;
        drop(self.watcher);
        self.app.notices.close();
        for task in self.background {
            task.abort();
            // its part of the daemon is let go of only when it has ended
            let _ = task.await;
        }
        // a round that has begun comes to the end of its chunk
        let _ = self.rechecking.await;
        let store = Arc::clone(&self.app.store);
        tokio::task::spawn_blocking(move || store.shut_down()).await?;
        Ok(served?)
    }
}

fn tell_recovery(recovery: &Recovery) {
    let torn = recovery.torn.as_ref().map(|torn| format!("{torn:?}"));
    let put_aside = recovery.put_aside.as_ref().map(|aside| format!("{aside:?}"));
    for bad in &recovery.bad_checkpoints {
        match bad.fault {
            CheckpointFault::Unread(_) => {
                tracing::error!(target: "tollgate::store", %bad, "a checkpoint could not be read; the one before it was used");
            }
            _ => {
                tracing::error!(target: "tollgate::store", %bad, "a checkpoint is no good and was put aside; the one before it was used");
            }
        }
    }
    let (records, checkpoint) = (recovery.records, recovery.checkpoint);
    tracing::info!(target: "tollgate::store", records, checkpoint, torn, put_aside, "journal read");
}

/// The key that masked values are digested with: made at the first start, kept where only its owner can read it. A changed
/// byte of it would quietly make every idempotency key another's, so the file carries a checksum.
fn mask_key(state: &Path, records: u64) -> anyhow::Result<MaskKey> {
    let path = state.join(MASK_KEY_FILE);
    let context = || format!("cannot read or make {}", path.display());
    match std::fs::read(&path) {
        Ok(bytes) => match read_mask_key(&bytes) {
            Some(key) => Ok(MaskKey::new(key)),
            None => anyhow::bail!(
                "{} is not as it was written: without it masked values and idempotency keys of the past cannot be matched; \
                 take it from a backup",
                path.display()
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::ensure!(
                records == 0,
                "{} is not there, and the journal has {records} records: without it masked values and idempotency keys of \
                 the past cannot be matched; take it from a backup",
                path.display()
            );
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path).with_context(context)?;
            let whole = [&bytes[..], &crc32fast::hash(&bytes).to_le_bytes()].concat();
            file.write_all(&whole).and_then(|()| file.sync_all()).with_context(context)?;
            Ok(MaskKey::new(bytes))
        }
        Err(error) => Err(error).with_context(context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_key_is_made_for_an_empty_journal_alone() {
        let state = tempfile::tempdir().unwrap();
        let refused = mask_key(state.path(), 3).unwrap_err().to_string();
        assert!(refused.contains(MASK_KEY_FILE) && refused.contains("backup"), "{refused}");
        assert!(!state.path().join(MASK_KEY_FILE).exists());
        let made = mask_key(state.path(), 0).unwrap();
        assert_eq!(mask_key(state.path(), 3).unwrap().digest(b"x"), made.digest(b"x"));
    }
}
