//! What another Command Center is told of an item: one delivery for each state that it comes into, tried until it is
//! taken, with what became of each try.

use super::item::Item;
use super::kinds::ItemState;
use crate::vocabulary::ItemId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long is waited behind each try, in seconds; behind the last it is given up, a day and a half after the first.
const WAITS_S: [i64; 12] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 21_600, 28_800, 28_800];
/// How long a told failure may be, in characters.
const LONGEST_FAILURE: usize = 300;

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id, the same at every try: receivers know repeats by it.
    pub id: String,
    /// Of which item.
    pub item: ItemId,
    /// The state that it came into.
    pub state: ItemState,
    /// What is told.
    pub data: Value,
    /// When the item came into it.
    pub queued_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next; `None` once it was taken or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// When it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

impl Delivery {
    /// That an item is in this state now.
    pub fn of(item: &Item, now: Timestamp) -> Self {
        let data = json!({
            "id": item.id, "kind": item.kind, "state": item.state, "class": item.class, "why": item.why(),
            "suggested_action": item.suggestion(), "run_id": item.run(), "agent": item.place.agent, "owner": item.owner,
            "due_at": item.due_at, "without_decision": item.lacks_decision(now), "revision": item.revision,
        });
        Self {
            id: format!("{}.{}", item.id, item.revision),
            item: item.id.clone(),
            state: item.state,
            data,
            queued_at: now,
            tries: 0,
            next_at: Some(now),
            delivered_at: None,
            last_failure: None,
        }
    }

    /// Behind a try: taken, or why not. What is over stays as it is.
    #[must_use]
    pub fn tried(&self, outcome: &Result<(), String>, now: Timestamp) -> Self {
        let mut next = self.clone();
        if self.next_at.is_none() {
            return next;
        }
        next.tries += 1;
        match outcome {
            Ok(()) => {
                next.delivered_at = Some(now);
                next.next_at = None;
                next.last_failure = None;
            }
            Err(why) => {
                next.last_failure = Some(why.chars().filter(|c| !c.is_control()).take(LONGEST_FAILURE).collect());
                let wait = usize::try_from(self.tries).ok().and_then(|tries| WAITS_S.get(tries));
                next.next_at = wait.and_then(|wait| now.checked_add(SignedDuration::from_secs(*wait)).ok());
            }
        }
        next
    }

    /// It is not tried any more.
    #[must_use]
    pub fn given_up(&self, why: &str) -> Self {
        Self { next_at: None, last_failure: Some(why.to_owned()), ..self.clone() }
    }

    /// Whether it was given up.
    pub fn is_given_up(&self) -> bool {
        self.next_at.is_none() && self.delivered_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            id: "item_1.1".to_owned(),
            item: ItemId::new("item_1").unwrap(),
            state: ItemState::Open,
            data: Value::Null,
            queued_at: Timestamp::UNIX_EPOCH,
            tries: 0,
            next_at: Some(Timestamp::UNIX_EPOCH),
            delivered_at: None,
            last_failure: None,
        }
    }

    #[test]
    fn it_is_tried_with_growing_waits_and_given_up_in_the_end() {
        let mut delivery = delivery();
        let mut waits = Vec::new();
        while let Some(at) = delivery.next_at {
            let next = delivery.tried(&Err("no answer".to_owned()), at);
            waits.extend(next.next_at.map(|next| next.duration_since(at).as_secs()));
            delivery = next;
        }
        assert_eq!(waits, WAITS_S);
        assert!(delivery.is_given_up());
        assert_eq!((delivery.tries, delivery.last_failure.as_deref()), (13, Some("no answer")));
    }

    #[test]
    fn a_target_that_is_down_for_an_hour_gets_it_all_the_same_and_once() {
        let mut delivery = delivery();
        let back = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        while let Some(at) = delivery.next_at.filter(|at| *at < back) {
            delivery = delivery.tried(&Err("503".to_owned()), at);
        }
        let at = delivery.next_at.unwrap();
        let taken = delivery.tried(&Ok(()), at);
        assert_eq!((taken.delivered_at, taken.next_at, taken.is_given_up()), (Some(at), None, false));
        assert_eq!(taken.tried(&Err("late".to_owned()), at), taken, "what was taken stays taken");
    }
}
