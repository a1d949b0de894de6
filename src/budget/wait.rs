//! When what does not fit now would fit, if nothing else is spent: the end of a calendar window, or the moment at which
//! enough has left a rolling one.

use super::assess::{Demand, remaining};
use super::raise::limit_in_force;
use crate::vocabulary::Balance;
use jiff::Timestamp;

/// What is known of the future of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// The end of the calendar window.
    pub(super) resets_at: Option<Timestamp>,
    /// The earliest moment of use to ask again; `None` where waiting does not help.
    pub(super) retry_at: Option<Timestamp>,
}

/// Looks ahead. Raises that will have ended by then are not counted on.
pub(super) fn until_it_fits(demand: &Demand, now: Timestamp) -> Wait {
    let window = &demand.budget.spec.window;
    let Some(oldest) = window.oldest_bucket(now) else {
        let resets_at = demand.account.end;
        return Wait { resets_at, retry_at: resets_at.filter(|end| fits(demand, limit_at(demand, *end))) };
    };
    let buckets = demand.account.buckets.range(oldest..);
    let mut leaves = buckets.filter_map(|(bucket, _)| window.bucket_leaves(*bucket));
    let retry_at = leaves.find(|at| {
        let figures = demand.account.figures(window, *at);
        fits(demand, remaining(&demand.budget, limit_at(demand, *at), &figures))
    });
    Wait { resets_at: None, retry_at }
}

fn limit_at(demand: &Demand, at: Timestamp) -> Balance {
    limit_in_force(&demand.budget, &demand.account.key, at)
}

fn fits(demand: &Demand, left: Balance) -> bool {
    left > Balance::ZERO && demand.asked.balance() <= left
}
