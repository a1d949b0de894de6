//! Which runs leave memory, and in which order.

use super::*;
use serde_json::json;

fn at(hour: i64) -> Timestamp {
    "2026-11-23T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

fn put(runs: &mut Runs, id: &str, state: &str, hour: i64) {
    let attempt = json!({"number": 1, "state": state, "cause": {"kind": "first"}, "queued_at": at(hour),
        "last_seen": at(hour)});
    let run = json!({"id": id, "agent": "a", "attempts": [attempt], "events": 1,
        "created_at": at(0), "updated_at": at(hour)});
    runs.apply(&Effect::Run(Arc::new(serde_json::from_value(run).unwrap())));
}

fn see(runs: &mut Runs, id: &str) {
    let event = json!({"run": id, "number": 1, "type": "tollgate.run.heartbeat", "source": "s", "id": "1", "attempt": 1,
        "taken_at": at(0), "standing": "counted", "data": null, "body": "b"});
    runs.apply(&Effect::RunEvent(Arc::new(serde_json::from_value(event).unwrap())));
}

#[test]
fn of_runs_that_are_over_the_last_ones_are_kept() {
    let mut runs = Runs::default();
    for hour in 0..6 {
        put(&mut runs, &format!("over-{hour}"), if hour % 2 == 0 { "completed" } else { "cancelled" }, hour);
    }
    put(&mut runs, "failed", "failed", 0);
    put(&mut runs, "going-on", "running", 0);
    let left = |runs: &mut Runs, hour: i64, most: usize| {
        runs.forget_beyond(at(hour), most);
        let mut left: Vec<String> = runs.back(None, None).map(|run| run.id.to_string()).collect();
        left.sort();
        assert_eq!(left.len(), runs.count());
        assert_eq!(runs.counts().map(|(_, count)| count).sum::<usize>(), left.len());
        assert_eq!(runs.moved.len(), left.len());
        let open = left.iter().filter(|run| ["failed", "going-on"].contains(&run.as_str())).count();
        assert_eq!((runs.open_count(), runs.over_count()), (open, left.len() - open));
        assert_eq!(runs.most_open().map(|(agent, open)| (agent.as_str(), open)), Some(("a", open)));
        left.join(" ")
    };
    assert_eq!(left(&mut runs, 23, 6), "failed going-on over-0 over-1 over-2 over-3 over-4 over-5");
    assert_eq!(left(&mut runs, 27, 4), "failed going-on over-2 over-3 over-4 over-5", "the last four are kept");
    // one that moves again is no longer the oldest
    put(&mut runs, "over-2", "completed", 28);
    assert_eq!(left(&mut runs, 40, 3), "failed going-on over-2 over-4 over-5");
    assert_eq!(left(&mut runs, 60, 2), "failed going-on over-2 over-5");
}

#[test]
fn of_too_many_that_ended_lately_those_that_were_cancelled_stay_longest() {
    let mut runs = Runs::default();
    put(&mut runs, "old", "cancelled", 0);
    for hour in 10..14 {
        put(&mut runs, &format!("over-{hour}"), if hour == 10 { "cancelled" } else { "completed" }, hour);
        see(&mut runs, &format!("over-{hour}"));
    }
    put(&mut runs, "failed", "failed", 0);
    let mut left = |hour: i64, most: usize| {
        runs.forget_beyond(at(hour), most);
        let mut left: Vec<String> = runs.back(None, None).map(|run| run.id.to_string()).collect();
        left.sort();
        assert_eq!(runs.seen.len(), left.iter().filter(|run| run.starts_with("over")).count(), "nothing of the others");
        left.join(" ")
    };
    assert_eq!(left(14, 5), "failed old over-10 over-11 over-12 over-13");
    assert_eq!(left(24, 4), "failed over-10 over-11 over-12 over-13", "first what ended a day ago");
    assert_eq!(left(24, 3), "failed over-10 over-12 over-13", "then what was completed");
    assert_eq!(left(24, 1), "failed over-10");
    assert_eq!(left(24, 0), "failed", "what is open stays");
    assert!(runs.over.is_empty() && runs.cancelled.is_empty() && runs.past.is_empty());
}

#[test]
fn of_a_run_that_left_nothing_is_remembered_when_its_hold_is_settled() {
    let mut runs = Runs::default();
    let hold = |state: &str| {
        let hold = json!({"id": "hold_1", "admission": "adm_1", "agent": "a", "state": state, "placed_at": at(0),
            "expires_at": at(1), "run": {"id": "run-1", "attempt": 1, "action": "draft_quote"}});
        Effect::Hold(Arc::new(serde_json::from_value(hold).unwrap()))
    };
    put(&mut runs, "run-1", "completed", 0);
    runs.apply(&hold("expired"));
    assert_eq!(runs.holds.len(), 1);
    runs.forget_beyond(at(30), 0);
    assert_eq!((runs.count(), runs.holds.len()), (0, 0));
    runs.apply(&hold("settled"));
    assert_eq!((runs.holds.len(), runs.as_effects().count()), (0, 0));
}

#[test]
fn a_run_that_goes_on_is_open_again() {
    let mut runs = Runs::default();
    for (state, open) in [("running", 1), ("completed", 0), ("running", 1), ("failed", 1), ("cancelled", 0)] {
        put(&mut runs, "run-1", state, 0);
        put(&mut runs, "run-1", state, 0);
        assert_eq!((runs.open_count(), runs.open_count_of(&"a".parse().unwrap())), (open, open), "{state}");
        assert_eq!(runs.open_count_of(&"b".parse().unwrap()), 0);
    }
    assert_eq!(runs.open, OpenRuns::default(), "and nothing of it stays");
}
