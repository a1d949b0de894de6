//! What admissions would be answered, one after the other, each against what those before it would take. Nothing of it
//! is ever made durable: it is no command.

use super::admit::{admit, facts};
use super::command::{Admit, Answer, Context, Refusal};
use crate::admission::{AdmissionAnswer, Decision};
use crate::budget::{self, Account, AccountKey, Accounts as _};
use crate::registry::Actor;
use crate::state::{Draft, State};
use crate::vocabulary::{AdmissionId, HoldId};
use std::collections::HashMap;

/// What was taken so far: accounts as they would stand.
pub type Taken = HashMap<AccountKey, Account>;

/// One admission of a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The question, judged by policy.
    pub ask: Admit,
    /// Whether it takes what it asks for, if it is allowed: those behind it then find less.
    pub takes: bool,
}

/// The answer to each, in order.
pub fn rehearse(
    state: &State,
    asks: &[Rehearsed],
    taken: &mut Taken,
    ctx: &Context<'_>,
) -> Vec<Result<AdmissionAnswer, Refusal>> {
    let mut draft = Draft::new(state);
    super::expire_due(&mut draft, ctx, super::DUE_AT_ONCE);
    taken.values().for_each(|account| draft.put_account(account.clone()));
    asks.iter().map(|rehearsed| one(&mut draft, rehearsed, taken, ctx)).collect()
}

fn one(
    draft: &mut Draft<'_>,
    rehearsed: &Rehearsed,
    taken: &mut Taken,
    ctx: &Context<'_>,
) -> Result<AdmissionAnswer, Refusal> {
    let mut ask = rehearsed.ask.clone();
    ask.request.dry_run = true;
    let Answer::DryRun(answer) = admit(draft, &ask, &Actor::tollgate(), ctx)? else { return Err(Refusal::Stale) };
    if rehearsed.takes && answer.decision == Decision::Allow {
        take(draft, &ask, taken, ctx)?;
    }
    Ok(*answer)
}

/// Sets aside on the draft what it asks for.
fn take(draft: &mut Draft<'_>, ask: &Admit, taken: &mut Taken, ctx: &Context<'_>) -> Result<(), Refusal> {
    let request = &ask.request;
    let team = draft.state().agent(&request.agent).and_then(|agent| agent.spec.team.clone());
    let facts = facts(request, team.as_ref());
    let budgets = draft.state().matching(&facts);
    let assessment = budget::assess(ctx.now, &facts, &request.estimate, &budgets, draft);
    let unfit = |error: crate::vocabulary::IdError| Refusal::Over(error.to_string());
    let hold = HoldId::new(ctx.id("hold_")).map_err(unfit)?;
    let admission = AdmissionId::new(ctx.id("adm_")).map_err(unfit)?;
    let placed =
        budget::place(assessment, hold, admission, request.agent.clone(), ctx.now, jiff::Timestamp::MAX, draft)?;
    for line in placed.hold.lines {
        if let Some(account) = draft.account(&line.account) {
            taken.insert(line.account, account.clone());
        }
    }
    Ok(())
}
