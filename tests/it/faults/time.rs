//! Time through the daemon: midnights, days that are not 24 hours long, clocks that are set, and holds whose time comes.

use crate::support::{Daemon, example, until};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The figures of a budget's accounts by the account's name: held, unsettled, spent.
fn figures(daemon: &Daemon, budget: &str, account: &str) -> [String; 3] {
    let usage = daemon.admin().get(&format!("/api/v1/budgets/{budget}/usage")).expect(200);
    let items = usage["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["account"] == account).unwrap_or_else(|| panic!("{}", usage.text()));
    ["held", "unsettled", "spent"].map(|name| found[name].as_str().unwrap().to_owned())
}

#[test]
fn a_hold_of_before_midnight_books_on_its_own_day() {
    let daemon = Daemon::start();
    daemon.admin().daily_budget("b", "1.00").expect(201);
    daemon.clock().advance_to(at("2026-11-24T04:59:59.9Z"));
    let late = daemon.admin().ask("late", "0.60").allowed();
    assert_eq!(late["hold"]["budgets"][0]["resets_at"], "2026-11-24T00:00:00-05:00");
    daemon.admin().ask("too much for the day", "0.60").denied("budget_exceeded");
    daemon.clock().advance(Duration::from_millis(200));
    let early = daemon.admin().ask("early", "0.60").allowed();
    assert_eq!(early["hold"]["budgets"][0]["remaining"], "0.40", "the new day has all of its own");
    daemon.admin().settle(&late.hold(), "0.70").expect(200);
    assert_eq!(figures(&daemon, "b", "2026-11-23@America/New_York"), ["0", "0", "0.70"]);
    assert_eq!(figures(&daemon, "b", "2026-11-24@America/New_York"), ["0.60", "0", "0"]);
    // the same behind a restart
    let daemon = daemon.restart();
    assert_eq!(figures(&daemon, "b", "2026-11-23@America/New_York"), ["0", "0", "0.70"]);
    assert_eq!(figures(&daemon, "b", "2026-11-24@America/New_York"), ["0.60", "0", "0"]);
}

/// (zone, the window's kind, its first moment, the first moment behind it)
const WINDOWS: [(&str, &str, &str, &str); 8] = [
    ("America/New_York", "month", "2027-02-01T00:00:00-05:00", "2027-03-01T00:00:00-05:00"),
    ("America/New_York", "day", "2027-03-14T00:00:00-05:00", "2027-03-15T00:00:00-04:00"), // 23 hours
    ("Australia/Lord_Howe", "day", "2027-04-04T00:00:00+11:00", "2027-04-05T00:00:00+10:30"), // 24 and a half
    ("Africa/Cairo", "day", "2027-04-30T01:00:00+03:00", "2027-05-01T00:00:00+03:00"),     // no midnight
    ("America/New_York", "day", "2027-11-07T00:00:00-04:00", "2027-11-08T00:00:00-05:00"), // 25 hours
    ("America/New_York", "week", "2027-11-15T00:00:00-05:00", "2027-11-22T00:00:00-05:00"),
    ("America/New_York", "month", "2028-01-01T00:00:00-05:00", "2028-02-01T00:00:00-05:00"),
    ("America/New_York", "day", "2028-02-29T00:00:00-05:00", "2028-03-01T00:00:00-05:00"), // a leap day
];

/// What is spent in a window's first second counts until its last, and not a second longer.
#[test]
fn civil_windows_are_as_long_as_they_are() {
    let daemon = Daemon::start();
    for (n, (zone, kind, start, end)) in WINDOWS.into_iter().enumerate() {
        daemon.clock().advance_to(at(start) - SignedDuration::from_secs(1));
        let id = format!("b{n}");
        let window = json!({"kind": kind, "time_zone": zone});
        let made = json!({"id": id, "unit": "usd", "limit": "1", "window": window});
        let etag = daemon.admin().post("/api/v1/budgets", &made).expect(201).header("etag").unwrap().to_owned();
        let key = |what: &str| format!("{id} {what}");
        daemon.admin().ask(&key("before"), "0.60").allowed();
        daemon.clock().advance_to(at(start));
        daemon.admin().ask(&key("first"), "0.60").allowed();
        let seen = daemon.admin().get(&format!("/api/v1/budgets/{id}")).expect(200);
        assert_eq!((&seen["window"]["start"], &seen["window"]["end"]), (&json!(start), &json!(end)), "{zone} {kind}");
        daemon.clock().advance_to(at(end) - SignedDuration::from_secs(1));
        // expired holds free what they held, so what is to stay is settled
        let first = daemon.admin().ask(&key("first"), "0.60").expect(200).hold();
        daemon.admin().settle(&first, "0.60").expect(200);
        let denied = daemon.admin().ask(&key("last"), "0.60").denied("budget_exceeded");
        assert_eq!(denied["retry_at"], end, "{zone} {kind}");
        daemon.clock().advance_to(at(end));
        daemon.admin().ask(&key("next"), "0.60").allowed();
        daemon.admin().delete_if(&format!("/api/v1/budgets/{id}"), &etag).expect(200);
    }
}

/// An hour back, a year ahead: no admission until the clocks agree or an admin says so; holds neither expire by it nor
/// are they kept from being settled.
#[test]
fn a_clock_that_is_set_stops_admissions_and_expires_nothing() {
    for jump in [-3600, 365 * 24 * 3600] {
        let daemon = Daemon::start();
        daemon.admin().daily_budget("b", "5.00").expect(201);
        let right = daemon.now();
        let holds: Vec<_> = (0..3).map(|n| daemon.admin().ask(&format!("{n}"), "1").allowed().hold()).collect();
        daemon.clock().set_wall(right + SignedDuration::from_secs(jump));
        daemon.admin().ask("jumped", "1").problem(503, "clock_jumped");
        let mut dry = example("dry", "1");
        dry["dry_run"] = json!(true);
        daemon.admin().admit(&dry).problem(503, "clock_jumped");
        let batch = json!({"items": [example("in a batch", "1")]});
        let batch = daemon.admin().post("/api/v1/admissions/batch", &batch).expect(200);
        assert_eq!(
            (&batch["items"][0]["status"], &batch["items"][0]["problem"]["code"]),
            (&json!(503), &json!("clock_jumped"))
        );
        daemon.nobody().get("/readyz").problem(503, "not_ready");
        daemon.nobody().get("/healthz").expect(200);
        // a batch is committed meanwhile: it settles, it extends, and it does not expire the rest
        let settled = daemon.admin().settle(&holds[0], "1").expect(200);
        assert_eq!(settled["settlement"]["at"], right.to_string());
        daemon.admin().post(&format!("/api/v1/holds/{}/extend", holds[1]), &json!({"ttl_s": 1200})).expect(200);
        for hold in &holds[1..] {
            assert_eq!(daemon.admin().get(&format!("/api/v1/holds/{hold}")).expect(200)["state"], "pending", "{jump}");
        }
        // back: as if nothing had been
        daemon.clock().set_wall(right);
        let answer = daemon.admin().ask("jumped", "1").allowed();
        assert_eq!(answer["hold"]["budgets"][0]["remaining"], "1");
        // while it has jumped what is due by the steady clock does expire
        daemon.clock().set_wall(right + SignedDuration::from_secs(jump));
        daemon.clock().advance(Duration::from_secs(600));
        until("the hold has expired", || {
            daemon.admin().get(&format!("/api/v1/holds/{}", holds[2])).expect(200)["state"] == "expired"
        });
        assert_eq!(daemon.admin().get(&format!("/api/v1/holds/{}", holds[1])).expect(200)["state"], "pending");
    }
}

#[test]
fn a_confirmed_clock_is_gone_by_and_time_never_runs_back() {
    let daemon = Daemon::start();
    let right = daemon.now();
    let hold = daemon.admin().ask("one", "1").allowed().hold();
    daemon.clock().set_wall(right - SignedDuration::from_secs(3600));
    daemon.admin().ask("two", "1").problem(503, "clock_jumped");
    daemon.holder(&["operator"], &[]).post("/api/v1/clock/confirm", &json!({})).problem(403, "forbidden");
    daemon.admin().post("/api/v1/clock/confirm", &json!({})).expect(200);
    let answer = daemon.admin().ask("two", "1").allowed();
    assert_eq!(answer["decided_at"], right.to_string(), "the later of the last journalled time and the clock");
    // ahead by a year, and an admin stands by it: then the holds' time has come
    daemon.clock().set_wall(right + SignedDuration::from_hours(365 * 24));
    daemon.admin().post("/api/v1/clock/confirm", &json!({})).expect(200);
    daemon.admin().ask("three", "1").allowed();
    assert_eq!(daemon.admin().get(&format!("/api/v1/holds/{hold}")).expect(200)["state"], "expired");
    let confirmed = daemon.admin().get("/api/v1/audit?op=clock.confirm").expect(200);
    assert_eq!(confirmed["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_start_with_the_clock_behind_the_journal_waits_for_a_word() {
    let daemon = Daemon::start();
    let right = daemon.now();
    daemon.admin().ask("one", "1").allowed();
    daemon.clock().set_wall(right - SignedDuration::from_hours(1));
    let daemon = daemon.restart();
    daemon.admin().ask("two", "1").problem(503, "clock_jumped");
    daemon.nobody().get("/readyz").problem(503, "not_ready");
    daemon.clock().set_wall(right);
    daemon.admin().ask("two", "1").allowed();
    daemon.nobody().get("/readyz").expect(200);

    daemon.clock().set_wall(right - SignedDuration::from_hours(1));
    let daemon = daemon.restart();
    daemon.admin().ask("three", "1").problem(503, "clock_jumped");
    daemon.admin().post("/api/v1/clock/confirm", &json!({})).expect(200);
    let answer = daemon.admin().ask("three", "1").allowed();
    assert_eq!(answer["decided_at"], right.to_string());
}

#[test]
fn expiry_is_journalled_and_final_and_the_money_can_still_be_booked() {
    let daemon = Daemon::start();
    daemon.admin().daily_budget("b", "5.00").expect(201);
    let hold = daemon.admin().ask("one", "2").allowed().hold();
    let path = format!("/api/v1/holds/{hold}");
    daemon.clock().advance(Duration::from_millis(599_999));
    daemon.admin().post(&format!("{path}/extend"), &json!({"ttl_s": 1})).expect(200);
    daemon.clock().advance(Duration::from_millis(1_001));
    // nobody asks for anything: the daemon expires it by itself
    until("it has expired", || daemon.admin().get(&path).expect(200)["state"] == "expired");
    let account = "2026-11-23@America/New_York";
    assert_eq!(figures(&daemon, "b", account), ["0", "2", "0"]);
    assert_eq!(daemon.admin().get("/api/v1/budgets/b").expect(200)["remaining"], "5");
    let trail = daemon.admin().get("/api/v1/audit?op=hold.expire&include_admissions=true").expect(200);
    assert_eq!(trail["items"].as_array().unwrap().len(), 1, "{}", trail.text());

    let daemon = daemon.restart();
    let still = |daemon: &Daemon| daemon.admin().get(&path).expect(200)["state"].clone();
    assert_eq!(
        (still(&daemon), figures(&daemon, "b", account)),
        (json!("expired"), ["0", "2", "0"].map(str::to_owned))
    );
    daemon.admin().post(&format!("{path}/extend"), &json!({"ttl_s": 60})).problem(409, "hold_expired");
    daemon.admin().release(&hold).problem(409, "hold_expired");
    // asked again under its key: the first answer, and no new hold
    assert_eq!(daemon.admin().ask("one", "2").allowed().hold(), hold);
    assert_eq!(still(&daemon), json!("expired"));
    daemon.admin().settle(&hold, "1.5").expect(200);
    assert_eq!(figures(&daemon, "b", account), ["0", "0", "1.50"]);
    daemon.admin().settle(&hold, "1.5").expect(200);
    daemon.admin().settle(&hold, "1.6").problem(409, "hold_settled");
    let settled = daemon.restart().admin().get(&path).expect(200);
    assert_eq!((&settled["state"], &settled["release"]), (&json!("settled"), &Value::Null));
}
