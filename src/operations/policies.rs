//! Policy sets: taken from the directory, refused, confirmed, shown.

use super::app::{App, RefusedSet};
use super::error::OperationError;
use super::records::stored_set;
use super::roles::{Operation, Principal};
use crate::decide::{Answer, Command};
use crate::policy::{PolicySet, Problem, Report, Text, Tree, check, check_after, lost_modules};
use crate::state::PolicySetHead;
use crate::store::{ReadError, Store};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// What became of a tree.
#[derive(Clone, Debug)]
pub enum Taken {
    /// It is in force now.
    Published(PolicySetHead),
    /// It was in force already.
    Unchanged,
    /// It was refused; the old one goes on serving.
    Refused(RefusedSet),
}

/// Offers what the policy directory holds now. A set that does not check, or that lost a module, is refused, visibly.
pub async fn offer_tree(app: &App, tree: &Tree) -> Result<Taken, OperationError> {
    let now = app.now();
    let (before, tree) = (app.policy.newest(), tree.clone());
    let checked = off_the_runtime(move || match before {
        Some(before) => check_after(&tree, &before),
        None => check(&tree),
    });
    let set = match checked.await? {
        Ok(set) => Arc::new(set),
        Err(problems) => {
            return Ok(refuse(app, RefusedSet { at: now, problems, lost: Vec::new(), digest: None, set: None }));
        }
    };
    let head = app.read(|state| state.policy_set().cloned());
    if head.as_ref().is_some_and(|head| head.digest == set.digest()) {
        app.policy.announce(set);
        *app.refused.write() = None;
        return Ok(Taken::Unchanged);
    }
    let lost = in_force(app).map(|current| lost_modules(&current, &set)).unwrap_or_default();
    if !lost.is_empty() {
        let digest = Some(set.digest().to_owned());
        return Ok(refuse(app, RefusedSet { at: now, problems: Vec::new(), lost, digest, set: Some(set) }));
    }
    publish(app, &Principal::tollgate(), set, None).await.map(Taken::Published)
}

/// Notes that what the policy directory holds could not be taken for a reason that lies outside of it: it cannot be read,
/// or the store takes no writes. The old set goes on serving, visibly.
pub fn note_not_taken(app: &App, why: String) {
    let problem =
        Problem { file: "policies".to_owned(), line: 0, column: 0, code: "not_taken".to_owned(), message: why };
    let refused = RefusedSet { at: app.now(), problems: vec![problem], lost: Vec::new(), digest: None, set: None };
    refuse(app, refused);
}

fn refuse(app: &App, refused: RefusedSet) -> Taken {
    metrics::counter!("tollgate_policy_sets_refused_total").increment(1);
    *app.refused.write() = Some(refused.clone());
    Taken::Refused(refused)
}

/// Lets a set serve that waits because it lost a module.
pub async fn confirm_policy_set(
    app: &App,
    principal: &Principal,
    digest: &str,
    reason: Option<String>,
) -> Result<PolicySetHead, OperationError> {
    principal.may(Operation::ConfirmPolicySet)?;
    let waiting = app.refused.read().as_ref().filter(|refused| refused.digest.as_deref() == Some(digest)).cloned();
    let set = waiting.and_then(|refused| refused.set);
    let set = set.ok_or_else(|| OperationError::NotFound { what: "waiting policy set", id: digest.to_owned() })?;
    publish(app, principal, set, reason).await
}

/// Its text is durable before the journal names it, and every worker can find it before the state does.
pub(super) async fn publish(
    app: &App,
    principal: &Principal,
    set: Arc<PolicySet>,
    reason: Option<String>,
) -> Result<PolicySetHead, OperationError> {
    // what is announced beside would be dropped when this one is in force
    let _alone = app.policy.alone().await;
    let digest = set.digest().to_owned();
    let (store, before, kept) = (Arc::clone(&app.store), in_force(app), Arc::clone(&set));
    off_the_runtime(move || keep(store.as_ref(), &kept, before.as_deref())).await??;
    metrics::counter!("tollgate_policy_layers_compiled_total").increment(set.compiled().len() as u64);
    app.policy.announce(set);
    let answer = app.commit(principal, Command::PublishPolicySet { digest: digest.clone(), reason }).await;
    match answer {
        Ok(Answer::PolicySet(head)) => {
            app.policy.settle_on(&digest);
            *app.refused.write() = None;
            Ok(head)
        }
        Ok(other) => Err(OperationError::Internal(format!("a policy set was answered by {other:?}"))),
        Err(error) => Err(error),
    }
}

/// The set that the journal says is in force: what is of it is kept.
fn in_force(app: &App) -> Option<Arc<PolicySet>> {
    let digest = app.read(|state| state.policy_set().map(|head| head.digest.clone()));
    digest.and_then(|digest| app.policy.set(&digest))
}

/// Checking thousands of modules and flushing them takes a while; whatever else the daemon does beside goes on.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, OperationError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| OperationError::Internal("taking a policy set was cut off".to_owned()))
}

/// Texts that are flushed at the same time where there are many: the disk does several almost as fast as one.
const FLUSHED_TOGETHER: usize = 8;

/// Keeps a set's text beside the journal, but for what is there already.
fn keep(store: &dyn Store, set: &PolicySet, before: Option<&PolicySet>) -> Result<(), ReadError> {
    let texts = set.to_stored_after(before);
    let put =
        |part: &[(String, Text)]| part.iter().try_for_each(|(digest, text)| store.put_blob(digest, text.as_bytes()));
    std::thread::scope(|scope| {
        let parts = texts.chunks(texts.len().div_ceil(FLUSHED_TOGETHER).max(FLUSHED_TOGETHER));
        let workers: Vec<_> = parts.map(|part| scope.spawn(move || put(part))).collect();
        let cut_off = || Err(ReadError::Failed("keeping a policy set was cut off".to_owned()));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| cut_off()))
    })
}

/// The sets that were in force, newest first, and what waits or was refused.
#[derive(Clone, Debug, Serialize)]
pub struct PolicySets {
    /// Newest first; the first one is in force.
    pub items: Vec<PolicySetHead>,
    /// What the directory holds and was not taken.
    pub refused: Option<RefusedView>,
}

/// A set that was not taken, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedView {
    /// When it was found.
    pub at: Timestamp,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Modules that it lost; it can be confirmed.
    pub lost_modules: Vec<String>,
    /// Its digest, if it checks.
    pub digest: Option<String>,
}

/// What serves and what was refused.
pub fn policy_sets(app: &App, principal: &Principal) -> Result<PolicySets, OperationError> {
    principal.may(Operation::ReadPolicies)?;
    let mut items = app.read(|state| state.policy_sets().to_vec());
    items.reverse();
    Ok(PolicySets { items, refused: refused(app) })
}

/// What the directory holds and was not taken: the reason why the old set still serves.
pub fn refused(app: &App) -> Option<RefusedView> {
    app.refused.read().as_ref().map(|refused| RefusedView {
        at: refused.at,
        problems: refused.problems.clone(),
        lost_modules: refused.lost.clone(),
        digest: refused.digest.clone(),
    })
}

/// One set, with its files.
pub fn policy_set(app: &App, principal: &Principal, digest: &str) -> Result<Arc<PolicySet>, OperationError> {
    principal.may(Operation::ReadPolicies)?;
    match app.policy.set(digest) {
        Some(set) => Ok(set),
        None => stored_set(app, digest),
    }
}

/// Which engine each layer of the set in force is on, and why.
pub fn policy_report(app: &App, principal: &Principal) -> Result<Report, OperationError> {
    principal.may(Operation::ReadPolicies)?;
    let digest = app.read(|state| state.policy_set().map(|head| head.digest.clone()));
    let set = digest.and_then(|digest| app.policy.set(&digest));
    set.map(|set| app.policy.report(&set))
        .ok_or_else(|| OperationError::Internal("no policy set is in force".to_owned()))
}
