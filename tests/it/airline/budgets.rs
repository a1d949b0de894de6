//! The budgets that the runs are measured against: one for the whole organisation, one for each run.

use serde_json::{Value, json};

/// The bodies of `POST /api/v1/budgets`, or the rows of a `budgets.toml`.
pub(crate) fn all() -> [Value; 2] {
    [
        json!({
            "id": "airline-day", "scope": {}, "unit": "usd", "limit": "20.00",
            "window": {"kind": "day", "time_zone": "America/New_York"}, "enforcement": "hard",
            "alert_at_percent": [50, 80, 100],
        }),
        json!({
            "id": "airline-run", "scope": {"agent": "airline"}, "each": ["run"], "unit": "usd", "limit": "0.25",
            "window": {"kind": "lifetime"}, "enforcement": "hard",
        }),
    ]
}
