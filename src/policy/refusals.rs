//! The reasons that Tollgate gives by itself where a layer is missing, fails, or says no.

use super::set::{ContractRule, Layer};
use super::tree::{LayerId, short};
use crate::vocabulary::{Code, Reason};
use jiff::Timestamp;
use std::time::Duration;

/// `policy:entities/rfq.rego`
pub(super) fn target(layer: &Layer) -> String {
    let file = layer.files.first().map_or_else(|| layer.id.usual_file(), |file| short(file).to_owned());
    format!("policy:{file}")
}

pub(super) fn missing(id: &LayerId) -> Reason {
    let target = format!("policy:{}", id.usual_file());
    match id {
        LayerId::Agent(agent) => {
            Reason::of(Code::AgentPolicyMissing, format!("There is no policy for the agent {agent}."), target)
        }
        LayerId::Entity(entity) => {
            Reason::of(Code::EntityPolicyMissing, format!("There is no policy for the entity type {entity}."), target)
        }
        LayerId::Base => Reason::of(Code::PolicyError, "The policy set has no base.", target),
    }
}

pub(super) fn not_permitted(layer: &Layer, must_say: Option<ContractRule>) -> Reason {
    let rule = must_say.map_or("allow", ContractRule::as_str);
    let message = match (&layer.id, must_say) {
        (_, Some(ContractRule::AllowWithoutEntity)) => {
            format!("The policy of {} does not allow this action without an entity (`{rule}`).", layer.id)
        }
        _ => format!("The policy of {} does not allow this action (`{rule}`).", layer.id),
    };
    Reason::of(Code::NotPermitted, message, target(layer))
}

pub(super) fn error_reason(layer: &Layer, why: &str, place: Option<(String, u32)>) -> Box<Reason> {
    let message = format!("The policy of {} failed: {why}.", layer.id);
    let (target, rule) = match place {
        Some((file, line)) if file.starts_with("policies/") => {
            (format!("policy:{}", short(&file)), Some(format!("{}:{line}", short(&file))))
        }
        _ => (target(layer), None),
    };
    Box::new(Reason { rule, ..Reason::of(Code::PolicyError, message, target) })
}

pub(super) fn time_reason(layer: &Layer, limit: Duration) -> Box<Reason> {
    let message = format!("The policy of {} took longer than its limit of {} ms.", layer.id, limit.as_millis());
    Box::new(Reason::of(Code::PolicyTimeout, message, target(layer)))
}

/// A built-in was stopped at its cap.
pub(super) fn memory_reason(layer: &Layer, why: &str) -> Box<Reason> {
    let message = format!("The policy of {} reached its limit of memory: {why}.", layer.id);
    Box::new(Reason::of(Code::PolicyTimeout, message, target(layer)))
}

pub(super) fn quarantined(layer: &Layer, until: Timestamp) -> Reason {
    let message =
        format!("The policy of {} reached its limit several times in a row and is not run until {until}.", layer.id);
    Reason { retry_at: Some(until.to_string()), ..Reason::of(Code::PolicyQuarantined, message, target(layer)) }
}

pub(super) fn invalid(layer: &Layer, why: &str) -> Reason {
    let message = format!("The policy of {} answered in a shape that is not allowed: {why}.", layer.id);
    Reason::of(Code::PolicyOutputInvalid, message, target(layer))
}
