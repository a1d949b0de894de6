//! The part of an account's key that `each` makes: `agent=rfq-draft,run=run-17`.
//!
//! Dimensions stand in one order, whatever the order in which the budget names them. What separates the parts is
//! percent-encoded in their values, so that no agent can pass for another's account.

use super::scope::{Dimension, Facts};
use crate::vocabulary::RunId;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The label of an admission's account; `Err` names the dimensions that the request lacks.
pub(super) fn each_label(each: &[Dimension], facts: &Facts<'_>) -> Result<Arc<str>, Vec<Dimension>> {
    let named = Dimension::ALL.into_iter().filter(|dimension| each.contains(dimension));
    let lacking: Vec<Dimension> = named.clone().filter(|dimension| facts.get(*dimension).is_none()).collect();
    if !lacking.is_empty() {
        return Err(lacking);
    }
    let mut label = String::new();
    for dimension in named {
        push(&mut label, dimension, facts.get(dimension).unwrap_or_default());
    }
    Ok(label.into())
}

/// The label as accounts carry it, from one that a person wrote, with its dimensions in whatever order; `None` unless it
/// names exactly these dimensions, each with a value.
pub(super) fn canonical(text: &str, each: &[Dimension]) -> Option<String> {
    let values = values(text)?;
    if values.len() != each.len() || !each.iter().all(|dimension| values.contains_key(dimension)) {
        return None;
    }
    let mut label = String::with_capacity(text.len());
    for (dimension, value) in &values {
        push(&mut label, *dimension, value);
    }
    Some(label)
}

/// Its dimensions and their values; `None` where it is no label.
pub(super) fn values(text: &str) -> Option<BTreeMap<Dimension, String>> {
    let mut values = BTreeMap::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (name, encoded) = part.split_once('=')?;
        let dimension = Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == name)?;
        if values.insert(dimension, decode(encoded)?).is_some() {
            return None;
        }
    }
    Some(values)
}

fn push(label: &mut String, dimension: Dimension, value: &str) {
    let comma = if label.is_empty() { "" } else { "," };
    let _ = write!(label, "{comma}{}=", dimension.as_str());
    for letter in value.chars() {
        if matches!(letter, ',' | '=' | '%' | '/') {
            let _ = write!(label, "%{:02X}", u32::from(letter));
        } else {
            label.push(letter);
        }
    }
}

fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail.get(2..)?;
    }
    let value = String::from_utf8(bytes).ok()?;
    // The same rule as every name from outside.
    RunId::new(&value).ok().map(|_| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{ActionName, AgentId};

    #[test]
    fn labels_come_back_whatever_the_names_hold() {
        let (agent, action) = (AgentId::new("a=b,c/d%e ü|7").unwrap(), ActionName::new("x").unwrap());
        let run = RunId::new("run-17").unwrap();
        let facts = Facts { agent: &agent, team: None, entity_type: None, action: &action, run: Some(&run) };
        let each = [Dimension::Run, Dimension::Agent];
        let label = each_label(&each, &facts).unwrap();
        assert_eq!(&*label, "agent=a%3Db%2Cc%2Fd%25e ü|7,run=run-17");
        assert_eq!(canonical(&label, &each).as_deref(), Some(&*label));
        assert_eq!(canonical("run=run-17,agent=a%3db%2cc%2Fd%25e ü|7", &each).as_deref(), Some(&*label));
        assert_eq!(values(&label).unwrap()[&Dimension::Agent], agent.as_str());
        let lacking = each_label(&[Dimension::EntityType, Dimension::Team, Dimension::Run], &facts);
        assert_eq!(lacking, Err(vec![Dimension::Team, Dimension::EntityType]));
    }

    #[test]
    fn texts_that_are_no_labels() {
        for text in ["", "agent", "agent=", "agent=a,agent=b", "planet=earth", "agent=%4", "agent=%+4", "agent=%FF"] {
            assert_eq!(canonical(text, &[Dimension::Agent]), None, "{text}");
        }
        for text in ["agent=a,", "agent=a,run=r", "run=r", "agent= a", "agent=%0A"] {
            assert_eq!(canonical(text, &[Dimension::Agent]), None, "{text}");
        }
        assert_eq!(canonical("agent=a", &[Dimension::Agent]).as_deref(), Some("agent=a"));
    }
}
