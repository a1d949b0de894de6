//! What budgets say to people: the sentence of a denial and the figures behind it.

use super::assess::Demand;
use super::label;
use super::scope::Dimension;
use super::wait::Wait;
use crate::vocabulary::{Balance, Unit};
use serde_json::{Value, json};

/// `Daily budget of rfq-draft: 0.42 USD asked, 0.10 USD left; it resets at 2026-11-24T00:00:00-05:00.`
pub(super) fn exceeded(demand: &Demand, wait: &Wait) -> String {
    let spec = &demand.budget.spec;
    let asked = demand.asked.balance();
    let left = if demand.remaining > Balance::ZERO {
        format!("{} left", amount(demand.remaining, &spec.unit))
    } else {
        match Balance::ZERO.checked_sub(demand.remaining) {
            Some(over) if over > Balance::ZERO => format!("nothing left ({} over the limit)", amount(over, &spec.unit)),
            _ => "nothing left".to_owned(),
        }
    };
    let asked_part =
        if asked > Balance::ZERO { format!("{} asked, ", amount(asked, &spec.unit)) } else { String::new() };
    let local = |at| spec.window.local(at);
    let outlook = match (wait.resets_at, wait.retry_at) {
        (Some(at), Some(_)) => format!("; it resets at {}", local(at)),
        (None, Some(at)) => format!("; it would fit at {}", local(at)),
        // Not even a fresh window has that much.
        _ if asked > demand.limit => format!("; the limit is {}, so this never fits", amount(demand.limit, &spec.unit)),
        (Some(at), None) => format!("; it resets at {}, and will not fit then either", local(at)),
        (None, None) => String::new(),
    };
    format!("{} budget of {}: {asked_part}{left}{outlook}.", spec.window.adjective(), whom(demand))
}

/// The figures behind a denial or a warning.
pub(super) fn details(demand: &Demand, wait: &Wait) -> Value {
    let spec = &demand.budget.spec;
    let asked = demand.asked.balance();
    let short_by = asked.checked_sub(demand.remaining).unwrap_or(Balance::from_nanos(i128::MAX));
    json!({
        "budget": spec.id, "account": demand.account.key.to_string(), "unit": spec.unit,
        "asked": asked, "remaining": demand.remaining, "short_by": short_by, "limit": demand.limit,
        "resets_at": wait.resets_at.map(|at| spec.window.local(at)),
    })
}

/// `0.42 USD`, `12000 tokens`.
fn amount(balance: Balance, unit: &Unit) -> String {
    match unit.as_str() {
        "usd" => format!("{balance} USD"),
        other => format!("{balance} {other}"),
    }
}

/// `rfq-draft`, `the organisation`, `team sales, run run-17`: what the scope fixes, and which account under `each`.
fn whom(demand: &Demand) -> String {
    let scope = &demand.budget.spec.scope;
    let each = label::values(&demand.account.key.each).unwrap_or_default();
    let named = Dimension::ALL.into_iter().filter_map(|dimension| {
        let value = scope.get(dimension).or_else(|| each.get(&dimension).map(String::as_str))?;
        Some(if dimension == Dimension::Agent { value.to_owned() } else { format!("{} {value}", dimension.in_words()) })
    });
    let parts: Vec<String> = named.collect();
    if parts.is_empty() { "the organisation".to_owned() } else { parts.join(", ") }
}
