//! Making, changing and deleting budgets.

use super::definition::{Budget, BudgetSpec, FieldFault};
use crate::vocabulary::RaiseId;
use jiff::Timestamp;

/// Why a budget does not change so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Fields are at fault.
    #[error("{}", in_one_line(.0))]
    Fields(Vec<FieldFault>),
    /// Scope, unit, window and `each` never change.
    #[error("the {} of a budget never changes: make a new one", .0.join(", "))]
    Fixed(Vec<&'static str>),
    /// It was deleted.
    #[error("this budget was deleted; its id is not used again")]
    Deleted,
    /// No more raises fit.
    #[error("this budget has {0} raises in force; withdraw some, or write a higher limit")]
    TooManyRaises(usize),
    /// No such raise.
    #[error("this budget has no raise {0}")]
    NoSuchRaise(RaiseId),
    /// It is over already.
    #[error("the raise {0} is over already")]
    RaiseOver(RaiseId),
    /// A sum outgrew 128 bits.
    #[error("a sum of this budget does not fit")]
    Overflow,
}

impl BudgetError {
    /// The same as faults of fields, for a budget that stands at this place in a larger document.
    pub fn at(self, pointer: &str) -> Vec<FieldFault> {
        let inside = |at: &str, message: String| FieldFault::at(format!("{pointer}{at}"), message);
        match self {
            Self::Fields(faults) => faults.into_iter().map(|fault| inside(&fault.pointer, fault.message)).collect(),
            Self::Fixed(fields) => fields
                .into_iter()
                .map(|field| inside(&format!("/{field}"), "never changes: make a new budget".to_owned()))
                .collect(),
            other => vec![inside("/id", other.to_string())],
        }
    }
}

/// Every fault, for a log or a terminal.
fn in_one_line(faults: &[FieldFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A new budget, counting from `now` on.
pub fn create(spec: BudgetSpec, now: Timestamp) -> Result<Budget, BudgetError> {
    let faults = spec.faults();
    if !faults.is_empty() {
        return Err(BudgetError::Fields(faults));
    }
    Ok(Budget { spec, raises: Vec::new(), created_at: now, updated_at: now, revision: 1, deleted_at: None })
}

/// The budget written anew; its accounts and raises stay. The same again is no change, and keeps its revision.
pub fn replace(budget: &Budget, spec: BudgetSpec, now: Timestamp) -> Result<Budget, BudgetError> {
    if budget.deleted_at.is_some() {
        return Err(BudgetError::Deleted);
    }
    let fixed = budget.spec.fixed_fields_changed(&spec);
    if !fixed.is_empty() {
        return Err(BudgetError::Fixed(fixed));
    }
    let faults = spec.faults();
    if !faults.is_empty() {
        return Err(BudgetError::Fields(faults));
    }
    if budget.spec == spec {
        return Ok(budget.clone());
    }
    Ok(Budget { spec, updated_at: now, revision: budget.revision + 1, ..budget.clone() })
}

/// The budget deleted: it limits nothing any more.
pub fn delete(budget: &Budget, now: Timestamp) -> Result<Budget, BudgetError> {
    if budget.deleted_at.is_some() {
        return Err(BudgetError::Deleted);
    }
    Ok(Budget { deleted_at: Some(now), updated_at: now, revision: budget.revision + 1, ..budget.clone() })
}
