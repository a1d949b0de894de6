//! The policy set at a start, and the watcher that keeps it in step with the directory.

use super::build::Options;
use crate::operations::{
    App, OperationError, PolicyRoom, Taken, inputs_of, newest_decisions, note_not_taken, offer_tree,
};
use crate::policy::{PolicySet, ThreadClock as _, Tree, check};
use crate::policy_dir::{ReadTreeError, Watcher, read_tree, watch};
use crate::store::Store;
use crate::thread_time::ThreadTime;
use anyhow::bail;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long after a set could not be stored it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The room with a first set: what the journal says is in force, if it is kept and still checks; else what the directory
/// holds. The directory's own set is offered right behind.
pub(super) fn room(store: &dyn Store, options: &Options) -> anyhow::Result<PolicyRoom> {
    let limits = options.config.policy_limits();
    let in_force = crate::store::read(store, |state| state.policy_set().map(|head| head.digest.clone()));
    if let Some(digest) = in_force {
        match PolicySet::from_stored(&digest, |address| store.blob(address))? {
            Ok(set) => return Ok(PolicyRoom::new(Arc::new(set), limits)),
            Err(error) => tracing::error!(target: "tollgate::policy", %error, "the set in force cannot be used"),
        }
    }
    let tree = read_tree(&options.policies, &options.data)?;
    match check(&tree) {
        Ok(set) => Ok(PolicyRoom::new(Arc::new(set), limits)),
        Err(problems) => {
            let mut text = String::from("the policies do not check, and there is no earlier set to serve:");
            for problem in problems {
                let _ = write!(text, "\n  {problem}");
            }
            bail!(text)
        }
    }
}

/// Offers what the directory holds, and tells what became of it.
pub(super) async fn offer(app: &App, options: &Options) -> anyhow::Result<String> {
    let tree = read_tree(&options.policies, &options.data)?;
    let hash = tree.hash();
    tell(&offer_tree(app, &tree).await?);
    Ok(hash)
}

/// Between two layers, no less than this.
const SHORTEST_REST: Duration = Duration::from_millis(1);
/// How often the last layer's work, at most, and its waiting go into the rest behind it.
const RESTS: (u32, u32) = (3, 8);

/// How long admissions have the processors for themselves, once a layer took `worked` of CPU in `passed`. Where it had to
/// wait for a processor, somebody else needs them: comparing takes a quarter of one then, and as much as is idle
/// otherwise, for until all layers are compared the slower engine serves.
fn rest(worked: Duration, passed: Duration) -> Duration {
    let waited = passed.saturating_sub(worked);
    (waited * RESTS.1).min(worked * RESTS.0).max(SHORTEST_REST)
}

/// Recorded inputs that a layer is compared on, out of so many decisions, and how long a look at these serves.
const RECORDED: usize = 8;
const NEWEST: usize = 2_000;
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Compares the engines on every layer of each set that comes into force, on a thread that ends with the app.
pub(super) fn compare_engines(app: &Arc<App>) -> anyhow::Result<()> {
    let (listener, changes) = std::sync::mpsc::channel();
    app.policy.set_listener(listener);
    let app = Arc::downgrade(app);
    std::thread::Builder::new().name("engines".to_owned()).spawn(move || {
        while changes.recv().is_ok() {
            let (mut newest, mut looked_at) = (Vec::new(), None);
            while let Some(app) = app.upgrade() {
                let digest = app.read(|state| state.policy_set().map(|head| head.digest.clone()));
                let Some(comparison) = digest.and_then(|digest| app.policy.next_to_compare(&digest)) else { break };
                let clock = Arc::clone(app.guard.clock());
                let now = clock.monotonic();
                if looked_at.is_none_or(|at| now.saturating_sub(at) >= LOOK_AGAIN_AFTER) {
                    (newest, looked_at) = (newest_decisions(&app, NEWEST), Some(now));
                }
                let recorded = inputs_of(&newest, comparison.layer(), RECORDED);
                // a daemon that ends meanwhile is not kept
                drop(app);
                let began = (ThreadTime.cpu(), clock.monotonic());
                comparison.run(&recorded);
                let worked = ThreadTime.cpu().saturating_sub(began.0);
                let rest = rest(worked, clock.monotonic().saturating_sub(began.1));
                if changes.recv_timeout(rest) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        }
    })?;
    Ok(())
}

/// Watches the directories for as long as the answer lives; news are taken in by `task`.
pub(super) fn keep_in_step(
    app: Arc<App>,
    options: &Options,
    last: String,
) -> anyhow::Result<(Watcher, impl Future<Output = ()> + use<>)> {
    let (news, mut trees) = mpsc::unbounded_channel();
    let watcher = watch(&options.policies, &options.data, last, move |tree| {
        let _ = news.send(tree);
    })?;
    let task = async move {
        let mut next = trees.recv().await;
        while let Some(tree) = next {
            next = match take(&app, &tree).await {
                Ok(()) => trees.recv().await,
                // the reason is not the tree's own: once more, unless the directory changes meanwhile
                Err(_) => match tokio::time::timeout(AGAIN_AFTER, trees.recv()).await {
                    Ok(newer) => newer,
                    Err(_) => Some(tree),
                },
            };
        }
    };
    Ok((watcher, task))
}

/// Offers a tree, or notes why there is none. An error means that the store did not take it.
async fn take(app: &App, tree: &Result<Tree, ReadTreeError>) -> Result<(), OperationError> {
    let tree = match tree {
        Ok(tree) => tree,
        Err(error) => {
            tracing::error!(target: "tollgate::policy", %error, "the policies cannot be read; the old set goes on serving");
            note_not_taken(app, error.to_string());
            return Ok(());
        }
    };
    match offer_tree(app, tree).await {
        Ok(taken) => tell(&taken),
        Err(error) => {
            tracing::error!(target: "tollgate::policy", %error, "a policy set was not taken; the old one goes on serving");
            note_not_taken(app, error.to_string());
            return Err(error);
        }
    }
    Ok(())
}

fn tell(taken: &Taken) {
    match taken {
        Taken::Published(head) => {
            tracing::info!(target: "tollgate::policy", digest = %head.digest, "policy set in force");
        }
        Taken::Unchanged => {}
        Taken::Refused(refused) => {
            for problem in &refused.problems {
                tracing::error!(target: "tollgate::policy", %problem, "policy set refused; the old one goes on serving");
            }
            if !refused.lost.is_empty() {
                let (digest, lost) = (refused.digest.as_deref().unwrap_or_default(), refused.lost.join(", "));
                tracing::error!(target: "tollgate::policy", digest, lost, "policy set lost modules and waits for a confirmation; the old one goes on serving");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_takes_what_is_idle_and_a_quarter_of_a_processor_beside_others() {
        let ms = Duration::from_millis;
        // (CPU, passed, rest)
        for (worked, passed, resting) in
            [(8, 8, 1), (8, 9, 8), (8, 11, 24), (8, 16, 24), (8, 80, 24), (0, 0, 1), (8, 0, 1)]
        {
            assert_eq!(rest(ms(worked), ms(passed)), ms(resting), "{worked} of {passed} ms");
        }
    }
}
