//! Groups: views over items, by what they have in common. They own nothing, so one success never hides another run's
//! failure.

use super::item::Item;
use super::storm::Storm;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// By what items are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The same trouble.
    Fingerprint,
    /// The same fix.
    Fix,
}

/// Items that have something in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The fingerprint, or the fix: a remedy's target, or a reason's code.
    pub key: String,
    /// What it is called: a title, or a sentence.
    pub title: String,
    /// The page that fixes it.
    pub href: Option<String>,
    /// How many items.
    pub items: usize,
    /// How many runs among them.
    pub runs: usize,
    /// Those without a decision.
    pub without_decision: usize,
    /// The earliest.
    pub first_seen: Timestamp,
    /// The latest.
    pub last_seen: Timestamp,
    /// The storm that is under way of this trouble.
    pub storm: Option<Storm>,
}

/// The groups, largest first, then by key. An item that several fixes would free stands in each of their groups.
pub fn groups<'a>(items: impl Iterator<Item = &'a Item>, by: GroupBy, now: Timestamp) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for item in items {
        match by {
            GroupBy::Fingerprint => {
                let title = format!("{}: {}", item.title, item.message);
                add(&mut groups, item.fingerprint.as_str(), || (title, None), item, now);
            }
            GroupBy::Fix => {
                let mut seen = BTreeSet::new();
                for reason in item.open_reasons() {
                    let key = reason.remedy.target.as_deref().unwrap_or(&reason.code);
                    if !seen.insert(key) {
                        continue;
                    }
                    add(&mut groups, key, || (reason.message.clone(), reason.remedy.href.clone()), item, now);
                }
            }
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| b.items.cmp(&a.items).then_with(|| a.key.cmp(&b.key)));
    groups
}

fn add(
    groups: &mut BTreeMap<String, Group>,
    key: &str,
    words: impl FnOnce() -> (String, Option<String>),
    item: &Item,
    now: Timestamp,
) {
    let group = groups.entry(key.to_owned()).or_insert_with(|| {
        let (title, href) = words();
        Group {
            key: key.to_owned(),
            title,
            href,
            items: 0,
            runs: 0,
            without_decision: 0,
            first_seen: item.first_seen,
            last_seen: item.last_seen,
            storm: None,
        }
    });
    group.items += 1;
    group.runs += usize::from(item.run().is_some());
    group.without_decision += usize::from(item.lacks_decision(now));
    group.first_seen = group.first_seen.min(item.first_seen);
    group.last_seen = group.last_seen.max(item.last_seen);
}
