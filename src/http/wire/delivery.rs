//! Deliveries of the webhook on the wire.

use super::record::limit;
use crate::attention::Delivery;
use crate::http::check::Check;
use crate::http::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many deliveries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// How many, 1 to 500; 50 where it is not said.
    pub limit: Option<String>,
}

impl DeliveryQuery {
    /// How many, or the parameter at fault.
    pub fn limit(&self) -> Result<usize, Problem> {
        let mut check = Check::new("");
        let limit = limit(self.limit.as_deref(), &mut check);
        check.finish(Some(limit))
    }
}

/// What another Command Center is told of an item.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryAnswer {
    /// Its id, sent as `webhook-id` at every try.
    pub id: String,
    /// Of which item.
    pub item: String,
    /// The state that it came into.
    pub state: &'static str,
    /// When.
    pub queued_at: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next; `null` once it was taken or given up.
    pub next_at: Option<String>,
    /// When it was taken.
    pub delivered_at: Option<String>,
    /// It was given up.
    pub given_up: bool,
    /// Why the last try failed.
    pub last_failure: Option<String>,
}

impl From<&Delivery> for DeliveryAnswer {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.clone(),
            item: delivery.item.to_string(),
            state: delivery.state.as_str(),
            queued_at: delivery.queued_at.to_string(),
            tries: delivery.tries,
            next_at: delivery.next_at.map(|at| at.to_string()),
            delivered_at: delivery.delivered_at.map(|at| at.to_string()),
            given_up: delivery.is_given_up(),
            last_failure: delivery.last_failure.clone(),
        }
    }
}
