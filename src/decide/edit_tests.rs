//! Edits of budgets as commands: revisions, repeats, files, and the alerts that an edit brings.

use super::gate_tests::{Gate, ask};
use super::{Answer, BudgetEdit, Command, RaiseCommand, Refusal, RegistryCommand};
use crate::budget::{BudgetError, BudgetSpec};
use crate::registry::PauseTarget;
use crate::state::FirstAnswer;
use serde_json::{Value, json};

fn spec(change: &Value) -> BudgetSpec {
    let mut fields =
        json!({"id": "d", "unit": "usd", "limit": "10", "window": {"kind": "day"}, "alert_at_percent": [80]});
    for (name, value) in change.as_object().unwrap() {
        fields[name] = value.clone();
    }
    serde_json::from_value(fields).unwrap()
}

fn edit(gate: &mut Gate, edit: BudgetEdit) -> Result<Answer, Refusal> {
    gate.one(Command::Budget(edit))
}

fn raise(limit: &str, key: &str) -> RaiseCommand {
    RaiseCommand {
        budget: "d".parse().unwrap(),
        limit: limit.parse().unwrap(),
        account: None,
        all: false,
        reason: "worth it".to_owned(),
        evidence: None,
        ends_at: None,
        permanent: false,
        key: key.parse().unwrap(),
        body: limit.to_owned(),
    }
}

#[test]
fn an_edit_that_changes_nothing_writes_nothing_and_one_of_an_old_revision_is_refused() {
    let mut gate = Gate::new("2026-11-23T12:00:00Z");
    edit(&mut gate, BudgetEdit::Create(spec(&json!({})))).unwrap();
    edit(&mut gate, BudgetEdit::Replace(spec(&json!({})), Some(1))).unwrap();
    assert!(gate.entries.is_empty());
    let current = Refusal::Revision { current: 1 };
    assert_eq!(edit(&mut gate, BudgetEdit::Replace(spec(&json!({"limit": "9"})), Some(2))).unwrap_err(), current);
    assert_eq!(edit(&mut gate, BudgetEdit::Delete("d".parse().unwrap(), Some(2))).unwrap_err(), current);
    edit(&mut gate, BudgetEdit::Replace(spec(&json!({"limit": "9"})), None)).unwrap();
    edit(&mut gate, BudgetEdit::Delete("d".parse().unwrap(), Some(2))).unwrap();
    let again = edit(&mut gate, BudgetEdit::Create(spec(&json!({})))).unwrap_err();
    assert!(matches!(again, Refusal::Exists { .. }), "a deleted id is not used again");
    let deleted = Refusal::Budget(BudgetError::Deleted);
    assert_eq!(edit(&mut gate, BudgetEdit::Raise(raise("11", "k"))).unwrap_err(), deleted);
}

#[test]
fn a_raise_asked_twice_raises_once_and_withdrawn_twice_is_withdrawn_once() {
    let mut gate = Gate::new("2026-11-23T12:00:00Z");
    edit(&mut gate, BudgetEdit::Create(spec(&json!({})))).unwrap();
    let Ok(Answer::Raise(_, first)) = edit(&mut gate, BudgetEdit::Raise(raise("11", "k"))) else { panic!() };
    let again = edit(&mut gate, BudgetEdit::Raise(raise("11", "k")));
    assert!(matches!(again, Ok(Answer::Repeated(FirstAnswer::Raise(_, id))) if id == first.id));
    let other = edit(&mut gate, BudgetEdit::Raise(raise("12", "k"))).unwrap_err();
    assert_eq!(other, Refusal::IdempotencyConflict { admission: None });
    let withdraw = || BudgetEdit::Withdraw("d".parse().unwrap(), first.id.clone(), "no more".to_owned());
    edit(&mut gate, withdraw()).unwrap();
    assert_eq!(gate.entries.len(), 1);
    edit(&mut gate, withdraw()).unwrap();
    assert!(gate.entries.is_empty());
}

#[test]
fn an_edit_that_brings_a_threshold_near_tells_of_it() {
    let mut gate = Gate::new("2026-11-23T12:00:00Z");
    edit(&mut gate, BudgetEdit::Create(spec(&json!({})))).unwrap();
    let Ok(Answer::Raise(_, raised)) = edit(&mut gate, BudgetEdit::Raise(raise("20", "k"))) else { panic!() };
    // placed in the batch that the edit ends
    let admit = Command::Admit(Box::new(ask("a", "1", &[("usd", "8")])));
    let withdraw = BudgetEdit::Withdraw("d".parse().unwrap(), raised.id.clone(), "no more".to_owned());
    gate.batch(vec![admit, Command::Budget(withdraw)]);
    let alerts = gate.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((&alerts[0]["percent"], &alerts[0]["limit"]), (&json!(80), &json!("10")));
    edit(&mut gate, BudgetEdit::Replace(spec(&json!({"limit": "8", "alert_at_percent": [80, 100]})), Some(3))).unwrap();
    assert_eq!(gate.alerts().iter().map(|alert| alert["percent"].clone()).collect::<Vec<_>>(), [100], "80 was told");
}

#[test]
fn a_file_of_budgets_is_taken_whole_or_not_at_all() {
    let mut gate = Gate::new("2026-11-23T12:00:00Z");
    edit(&mut gate, BudgetEdit::Create(spec(&json!({})))).unwrap();
    edit(&mut gate, BudgetEdit::Create(spec(&json!({"id": "gone"})))).unwrap();
    edit(&mut gate, BudgetEdit::Delete("gone".parse().unwrap(), Some(1))).unwrap();
    let bad = vec![
        spec(&json!({"id": "new"})),
        spec(&json!({"unit": "tokens", "scope": {"agent": "a"}})),
        spec(&json!({"id": "new"})),
        spec(&json!({"id": "low", "limit": "-1", "alert_at_percent": [0]})),
        spec(&json!({"id": "gone"})),
    ];
    let Err(Refusal::Budget(BudgetError::Fields(faults))) = edit(&mut gate, BudgetEdit::Apply(bad)) else { panic!() };
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    let wanted = [
        "/budgets/1/scope",
        "/budgets/1/unit",
        "/budgets/2/id",
        "/budgets/3/limit",
        "/budgets/3/alert_at_percent/0",
        "/budgets/4/id",
    ];
    assert_eq!(pointers, wanted);
    assert_eq!(gate.state.budgets().count(), 2);

    let file = || vec![spec(&json!({"limit": "20"})), spec(&json!({"id": "new"}))];
    let applied = edit(&mut gate, BudgetEdit::Apply(file())).unwrap();
    let Answer::Applied { created, replaced, deleted, unchanged } = applied else { panic!() };
    assert_eq!((created.len(), replaced.len(), deleted.len(), unchanged.len()), (1, 1, 0, 0));
    edit(&mut gate, BudgetEdit::Apply(file())).unwrap();
    assert!(gate.entries.is_empty(), "the same file again changes nothing");
    let Ok(Answer::Applied { deleted, .. }) = edit(&mut gate, BudgetEdit::Apply(Vec::new())) else { panic!() };
    assert_eq!(deleted.len(), 2);
}

#[test]
fn of_pauses_that_are_over_the_last_thousand_are_kept() {
    let mut gate = Gate::new("2026-11-23T12:00:00Z");
    let pause = |gate: &mut Gate, reason: String| {
        let target = PauseTarget::Action("send".parse().unwrap());
        match gate.one(Command::Registry(RegistryCommand::Pause { target, reason, ends_at: None })) {
            Ok(Answer::Pause(pause)) => pause,
            other => panic!("{other:?}"),
        }
    };
    let lasting = pause(&mut gate, "it lasts".to_owned());
    for n in 0..1_020 {
        let ended = pause(&mut gate, n.to_string());
        gate.one(Command::Registry(RegistryCommand::EndPause(ended.id.clone()))).unwrap();
    }
    assert_eq!(gate.state.pauses().count(), 1_001);
    assert!(gate.state.pauses().any(|pause| pause.id == lasting.id), "one in force is kept, however old");
    assert!(!gate.state.pauses().any(|pause| pause.reason == "0"), "the oldest are gone");
}
