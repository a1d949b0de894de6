//! A run's records: the snapshot, and what the run's own successful calls changed.
//!
//! A run sees its own changes, so a call is judged on the records as they stood at that call. What a successful call did
//! is determined by its arguments and the records, with three facts of the public benchmark (tau-bench's airline tools):
//! the ids of new reservations, that a certificate is gone once it has paid, and that neither seats nor refunds move
//! within a run. A certificate that was sent gets an id that the data does not have; no run uses one, and it is left out.

use super::source::Snapshot;
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The ids of the reservations that a run makes, in order.
const NEW_RESERVATIONS: [&str; 3] = ["HATHAT", "HATHAU", "HATHAV"];

/// The records as they stand at a call.
pub(crate) struct World<'a> {
    snapshot: &'a Snapshot,
    reservations: BTreeMap<String, Map<String, Value>>,
    users: BTreeMap<String, Map<String, Value>>,
    booked: usize,
}

impl<'a> World<'a> {
    /// Every run starts from the snapshot.
    pub(crate) fn at_start_of_run(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, reservations: BTreeMap::new(), users: BTreeMap::new(), booked: 0 }
    }

    /// A reservation as it stands; empty for one that is not known.
    pub(crate) fn reservation(&self, id: &str) -> Map<String, Value> {
        current(&self.reservations, &self.snapshot.reservations, id)
    }

    /// A user's profile as it stands; empty for one that is not known.
    pub(crate) fn user(&self, id: &str) -> Map<String, Value> {
        current(&self.users, &self.snapshot.users, id)
    }

    /// A flight on a date, by `HAT001 2024-05-16`.
    pub(crate) fn flight(&self, key: &str) -> Option<&'a Value> {
        self.snapshot.flights.get(key)
    }

    /// A user's known reservations as they stand, then those of them that the run changed as they were before it.
    pub(crate) fn reservations_then_and_now(&self, user: &str) -> Vec<Value> {
        let profile = self.user(user);
        let ids =
            || profile.get("reservations").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let now = ids().map(|id| self.reservation(id)).filter(|record| !record.is_empty()).map(Value::Object);
        let changed = ids().filter(|id| self.reservations.contains_key(*id));
        let before = changed.filter_map(|id| self.snapshot.reservations.get(id).cloned());
        now.chain(before).collect()
    }

    /// What a call that succeeded did to the records.
    pub(crate) fn apply(&mut self, name: &str, arguments: &Value) -> Result<()> {
        match name {
            "book_reservation" => self.book(arguments),
            "cancel_reservation" => self.change(arguments, |reservation| {
                reservation.insert("status".to_owned(), "cancelled".into());
                Ok(())
            }),
            "update_reservation_passengers" => {
                self.change(arguments, |reservation| copy(arguments, reservation, "passengers"))
            }
            "update_reservation_baggages" => self.change_bags(arguments),
            "update_reservation_flights" => self.change_flights(arguments),
            _ => Ok(()),
        }
    }

    fn book(&mut self, arguments: &Value) -> Result<()> {
        let id = *NEW_RESERVATIONS.get(self.booked).context("more bookings in a run than the benchmark has ids")?;
        let user = text(arguments, "user_id")?.to_owned();
        let mut record = Map::new();
        for field in [
            "user_id",
            "origin",
            "destination",
            "flight_type",
            "cabin",
            "passengers",
            "total_baggages",
            "nonfree_baggages",
            "insurance",
        ] {
            copy(arguments, &mut record, field)?;
        }
        let cabin = text(arguments, "cabin")?;
        let flights = list(arguments, "flights")?.iter().map(|flight| self.sold(flight, cabin));
        record.insert("flights".to_owned(), flights.collect::<Result<Vec<_>>>()?.into());
        record.insert("reservation_id".to_owned(), id.into());
        record.insert("payment_history".to_owned(), list(arguments, "payment_methods")?.clone().into());
        record.insert("created_at".to_owned(), self.local_now().into());
        for payment in list(arguments, "payment_methods")? {
            self.charge(&user, text(payment, "payment_id")?, whole(payment, "amount")?)?;
        }
        let mut profile = self.user(&user);
        if let Some(ids) = profile.get_mut("reservations").and_then(Value::as_array_mut) {
            ids.push(id.into());
        }
        self.users.insert(user, profile);
        self.reservations.insert(id.to_owned(), record);
        self.booked += 1;
        Ok(())
    }

    fn change_bags(&mut self, arguments: &Value) -> Result<()> {
        let before = Value::Object(self.reservation(text(arguments, "reservation_id")?));
        let added = whole(arguments, "nonfree_baggages")? - whole(&before, "nonfree_baggages")?;
        self.charge(text(&before, "user_id")?, text(arguments, "payment_id")?, 50 * added.max(0))?;
        self.change(arguments, |reservation| {
            copy(arguments, reservation, "total_baggages")?;
            copy(arguments, reservation, "nonfree_baggages")
        })
    }

    /// A flight that is kept in the same cabin keeps its price; the others are sold at the day's.
    fn change_flights(&mut self, arguments: &Value) -> Result<()> {
        let before = Value::Object(self.reservation(text(arguments, "reservation_id")?));
        let (cabin, held) = (text(arguments, "cabin")?, list(&before, "flights")?);
        let same_cabin = text(&before, "cabin")? == cabin;
        let mut flights = Vec::new();
        for asked in list(arguments, "flights")? {
            let same = |flight: &&Value| ["flight_number", "date"].iter().all(|key| flight.get(key) == asked.get(key));
            match held.iter().find(same) {
                Some(kept) if same_cabin => flights.push(kept.clone()),
                _ => flights.push(self.sold(asked, cabin)?),
            }
        }
        let passengers = i64::try_from(list(&before, "passengers")?.len())?;
        let price = |flights: &[Value]| flights.iter().map(|flight| whole(flight, "price")).sum::<Result<i64>>();
        let difference = passengers * (price(&flights)? - price(held)?);
        self.charge(text(&before, "user_id")?, text(arguments, "payment_id")?, difference)?;
        self.change(arguments, |reservation| {
            reservation.insert("flights".to_owned(), flights.into());
            copy(arguments, reservation, "cabin")
        })
    }

    fn change(&mut self, arguments: &Value, edit: impl FnOnce(&mut Map<String, Value>) -> Result<()>) -> Result<()> {
        let id = text(arguments, "reservation_id")?;
        let mut record = self.reservation(id);
        ensure!(!record.is_empty(), "a change of an unknown reservation, {id}, succeeded");
        edit(&mut record)?;
        self.reservations.insert(id.to_owned(), record);
        Ok(())
    }

    /// A certificate is gone when it has paid, a gift card holds less (or more, after a refund), a credit card is not
    /// known to change.
    fn charge(&mut self, user: &str, payment_id: &str, amount: i64) -> Result<()> {
        let mut profile = self.user(user);
        let methods =
            profile.get_mut("payment_methods").and_then(Value::as_object_mut).context("a user without wallet")?;
        let method = methods.get_mut(payment_id).with_context(|| format!("{user} has no {payment_id}, and it paid"))?;
        match text(method, "source")? {
            "certificate" => drop(methods.remove(payment_id)),
            "gift_card" => method["amount"] = json!(whole(method, "amount")? - amount),
            _ => {}
        }
        self.users.insert(user.to_owned(), profile);
        Ok(())
    }

    fn sold(&self, asked: &Value, cabin: &str) -> Result<Value> {
        let (number, date) = (text(asked, "flight_number")?, text(asked, "date")?);
        let flight =
            self.flight(&format!("{number} {date}")).with_context(|| format!("{number} {date} is not known"))?;
        let price = whole(flight.get("prices").context("a flight without prices was sold")?, cabin)?;
        Ok(json!({
            "origin": flight.get("origin"), "destination": flight.get("destination"),
            "flight_number": number, "date": date, "price": price,
        }))
    }

    /// The benchmark's present as its records write times: without the offset.
    fn local_now(&self) -> &str {
        self.snapshot.now.get(..19).unwrap_or(&self.snapshot.now)
    }
}

fn current(
    changed: &BTreeMap<String, Map<String, Value>>,
    before: &Map<String, Value>,
    id: &str,
) -> Map<String, Value> {
    changed.get(id).or_else(|| before.get(id)?.as_object()).cloned().unwrap_or_default()
}

fn copy(from: &Value, to: &mut Map<String, Value>, field: &str) -> Result<()> {
    let value = from.get(field).with_context(|| format!("no {field}"))?;
    to.insert(field.to_owned(), value.clone());
    Ok(())
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str> {
    value.get(field).and_then(Value::as_str).with_context(|| format!("no text {field}"))
}

fn whole(value: &Value, field: &str) -> Result<i64> {
    value.get(field).and_then(Value::as_i64).with_context(|| format!("no whole number {field}"))
}

fn list<'v>(value: &'v Value, field: &str) -> Result<&'v Vec<Value>> {
    value.get(field).and_then(Value::as_array).with_context(|| format!("no list {field}"))
}
