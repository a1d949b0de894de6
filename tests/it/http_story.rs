//! What a runtime, an operator and an admin do with the API, from beginning to end.

use crate::support::{Daemon, example};
use serde_json::json;
use tollgate::http::wire::answer::AdmissionAnswer;

#[test]
fn ask_act_settle() {
    let daemon = Daemon::start();
    daemon.admin().daily_budget("rfq-draft-daily", "5.00").expect(201);
    let runtime = daemon.holder(&["runtime"], &["rfq-draft"]);
    let asked = runtime.ask("one", "0.42").allowed();
    let answer: AdmissionAnswer = serde_json::from_str(asked.text()).expect("the answer is as OpenAPI has it");
    let held = &answer.hold.expect("a hold").budgets[0];
    assert_eq!((held.held.as_str(), held.remaining.as_str()), ("0.42", "4.58"));
    assert_eq!(held.resets_at.as_deref(), Some("2026-11-24T00:00:00-05:00"));
    assert_eq!(runtime.ask("one", "0.42").expect(200).text(), asked.text(), "the first answer again, word for word");
    runtime.ask("one", "0.43").problem(409, "idempotency_conflict");

    let settled = runtime.settle(&asked.hold(), "0.40").expect(200);
    assert_eq!((&settled["state"], &settled["settlement"]["actual"][0]["amount"]), (&json!("settled"), &json!("0.40")));
    runtime.settle(&asked.hold(), "0.40").expect(200);
    runtime.settle(&asked.hold(), "0.41").problem(409, "hold_settled");
    runtime.release(&asked.hold()).problem(409, "hold_not_pending");
    let budget = daemon.admin().get("/api/v1/budgets/rfq-draft-daily").expect(200);
    assert_eq!(
        (&budget["spent"], &budget["held"], &budget["remaining"]),
        (&json!("0.40"), &json!("0"), &json!("4.60"))
    );
    assert_eq!(budget["window"]["end"], "2026-11-24T00:00:00-05:00");
}

#[test]
fn a_denial_says_what_would_lift_it_and_a_raise_does() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "0.10").expect(201);
    let mut body = example("one", "0.42");
    body["entity"]["properties"].as_object_mut().unwrap().remove("due_date");
    let denied = admin.admit(&body).denied("missing_data").denied("budget_exceeded");
    let answer: AdmissionAnswer = serde_json::from_str(denied.text()).expect("the answer is as OpenAPI has it");
    assert_eq!(answer.reasons.len(), 2, "{}", denied.text());
    assert!(answer.hold.is_none());

    let raise = json!({"limit": "1.00", "reason": "a second quote", "idempotency_key": "raise-1"});
    let raised = admin.post("/api/v1/budgets/rfq-draft-daily/raises", &raise).expect(201);
    assert_eq!(admin.post("/api/v1/budgets/rfq-draft-daily/raises", &raise).expect(201)["id"], raised["id"]);
    admin.ask("two", "0.42").allowed();
    let id = raised["id"].as_str().unwrap();
    let path = format!("/api/v1/budgets/rfq-draft-daily/raises/{id}");
    let headers = [("content-type", "application/json")];
    let withdrawn = admin.send("DELETE", &path, &headers, br#"{"reason": "not needed"}"#).expect(200);
    assert_eq!(withdrawn["limit_in_force"], "0.10");
    admin.ask("three", "0.42").denied("budget_exceeded");
}

#[test]
fn a_raise_that_is_asked_again_is_answered_though_a_hundred_newer_ones_pushed_it_out() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "0.10").expect(201);
    let raise = |n: u32, ends_at: Option<&str>| {
        let mut body =
            json!({"limit": "1.00", "reason": format!("raise {n}"), "idempotency_key": format!("raise-{n}")});
        body["ends_at"] = json!(ends_at);
        admin.post("/api/v1/budgets/rfq-draft-daily/raises", &body).expect(201)
    };
    let first = raise(0, Some("2026-11-23T17:00:30Z"));
    daemon.clock().advance(std::time::Duration::from_secs(60));
    for n in 1..=100 {
        raise(n, None);
    }
    let shown = admin.get("/api/v1/budgets/rfq-draft-daily").expect(200);
    assert!(shown["raises"].as_array().unwrap().iter().all(|raise| raise["id"] != first["id"]), "it was pushed out");
    assert_eq!(raise(0, Some("2026-11-23T17:00:30Z")).text(), first.text());
    assert_eq!(raise(50, None)["reason"], "raise 50");
}

#[test]
fn a_decision_is_found_and_explained() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.ask("one", "1").allowed();
    let mut body = example("two", "1");
    body["entity"]["properties"].as_object_mut().unwrap().remove("due_date");
    let denied = admin.admit(&body).denied("missing_data");
    let found = admin.get("/api/v1/admissions?decision=deny&code=missing_data&agent=rfq-draft").expect(200);
    assert_eq!((&found["items"][0]["id"], found["items"].as_array().unwrap().len()), (&denied["id"], 1));
    let page = admin.get("/api/v1/admissions?limit=1").expect(200);
    assert_eq!(page["items"][0]["id"], denied["id"], "newest first");
    let cursor = page["next"].as_str().unwrap();
    assert_eq!(
        admin.get(&format!("/api/v1/admissions?limit=1&cursor={cursor}")).expect(200)["items"][0]["decision"],
        "allow"
    );

    let id = denied["id"].as_str().unwrap();
    let explained = admin.get(&format!("/api/v1/admissions/{id}?explain=true")).expect(200);
    let fired = explained["explanation"]["fired"].as_array().unwrap();
    let rule = fired.iter().find(|rule| rule["code"] == "missing_data").unwrap();
    assert!(rule["rule"].as_str().unwrap().contains("entities/rfq.rego:"), "{rule}");
    assert_eq!(explained["answer"], *denied.json());
}

#[test]
fn a_batch_answers_each_item_on_its_own_and_in_order() {
    let daemon = Daemon::start();
    daemon.admin().daily_budget("rfq-draft-daily", "1.00").expect(201);
    let mut unknown = example("three", "0.10");
    unknown["estimat"] = json!([]);
    let items =
        [example("one", "0.60"), example("two", "-1"), unknown, example("four", "0.60"), example("five", "0.40")];
    let answer = daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
    let outcomes: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(outcomes, [200, 400, 400, 200, 200], "{}", answer.text());
    let items = &answer["items"];
    assert_eq!((&items[0]["answer"]["decision"], &items[3]["answer"]["decision"]), (&json!("allow"), &json!("deny")));
    assert_eq!(items[4]["answer"]["decision"], "allow");
    assert_eq!(items[1]["problem"]["errors"][0]["pointer"], "/items/1/estimate/0/amount");
    assert_eq!(items[2]["problem"]["errors"][0]["pointer"], "/items/2/estimat");
    daemon.admin().post("/api/v1/admissions/batch", &json!({"items": []})).problem(400, "invalid_request");
}

#[test]
fn a_budget_is_changed_only_by_who_saw_it() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let made = admin.daily_budget("b", "5.00").expect(201);
    assert_eq!((made.header("location"), made.header("etag")), (Some("/api/v1/budgets/b"), Some("\"1\"")));
    admin.daily_budget("b", "5.00").problem(409, "already_exists");
    let body = json!({"scope": {"agent": "rfq-draft"}, "unit": "usd", "limit": "6", "window": {"kind": "day", "time_zone": "America/New_York"}});
    admin.put("/api/v1/budgets/b", &body).problem(428, "precondition_required");
    admin.put_if("/api/v1/budgets/b", "\"7\"", &body).problem(412, "revision_conflict");
    let changed = admin.put_if("/api/v1/budgets/b", "\"1\"", &body).expect(200);
    assert_eq!((changed.header("etag"), &changed["limit"]), (Some("\"2\""), &json!("6")));
    let mut other = body.clone();
    other["unit"] = json!("tokens");
    let refused = admin.put_if("/api/v1/budgets/b", "\"2\"", &other).problem(422, "immutable_field");
    assert_eq!(refused["errors"][0]["pointer"], "/unit");
    admin.delete("/api/v1/budgets/b").problem(428, "precondition_required");
    admin.delete_if("/api/v1/budgets/b", "\"2\"").expect(200);
    assert!(admin.get("/api/v1/budgets/b").expect(200)["deleted_at"].is_string());
    admin.daily_budget("b", "5.00").problem(409, "already_exists");
    let spec = json!({"id": "c", "unit": "usd", "limit": "1", "window": {"kind": "lifetime"}});
    let bad = json!({"budgets": [
        spec,
        {"id": "Bad", "unit": "usd", "limit": "-1", "window": {"kind": "rolling", "length_s": 1}, "alert_at_percent": [0]},
        {"id": "e", "unit": "usd", "limit": "1e9", "window": {"kind": "lifetime", "length_s": 60}, "each": ["run", "run"]},
    ]});
    let refused = admin.put("/api/v1/budgets", &bad).problem(400, "invalid_request");
    let pointers: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    let wanted =
        ["1/id", "1/limit", "1/window/length_s", "1/alert_at_percent/0", "2/limit", "2/window/length_s", "2/each/1"];
    assert_eq!(pointers, wanted.map(|place| format!("/budgets/{place}")), "every fault of every budget");
    let large =
        json!({"budgets": [{"id": "c", "unit": "tokens", "limit": "400000000000", "window": {"kind": "lifetime"}}]});
    assert_eq!(admin.put("/api/v1/budgets", &large).expect(200)["created"], json!(["c"]), "a limit is a balance");
    let spec = json!({"id": "d", "unit": "usd", "limit": "1", "window": {"kind": "lifetime"}});
    let applied = admin.put("/api/v1/budgets", &json!({"budgets": [spec]})).expect(200);
    assert_eq!((&applied["created"], &applied["deleted"]), (&json!(["d"]), &json!(["c"])));
    admin.get("/api/v1/budgets/d/usage").expect(200);
}

#[test]
fn budgets_are_listed_page_by_page() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let budgets: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|id| json!({"id": id, "unit": "usd", "limit": "1", "window": {"kind": "lifetime"}}))
        .to_vec();
    admin.put("/api/v1/budgets", &json!({"budgets": budgets})).expect(200);
    admin.delete_if("/api/v1/budgets/c", "*").expect(200);
    let page = |query: &str| {
        let page = admin.get(&format!("/api/v1/budgets{query}")).expect(200);
        let ids = page["items"].as_array().unwrap().iter().map(|b| b["id"].as_str().unwrap().to_owned());
        (ids.collect::<String>(), page["next"].clone())
    };
    assert_eq!(page(""), ("abde".to_owned(), json!(null)));
    assert_eq!(page("?limit=2"), ("ab".to_owned(), json!("b")));
    assert_eq!(page("?limit=2&cursor=b"), ("de".to_owned(), json!(null)), "nothing is left behind the last one");
    assert_eq!(page("?cursor=zz"), (String::new(), json!(null)));
    admin.get("/api/v1/budgets?cursor=%20").problem(400, "invalid_request");
    admin.get("/api/v1/budgets?limit=0").problem(400, "invalid_request");
}

#[test]
fn what_is_paused_is_denied_until_the_pause_ends() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let pause = json!({"target": {"kind": "agent", "id": "rfq-draft"}, "reason": "wrong prices"});
    let pause = admin.post("/api/v1/pauses", &pause).expect(201);
    admin.ask("one", "1").denied("paused");
    assert_eq!(admin.get("/api/v1/pauses").expect(200)["items"][0]["in_force"], true);
    admin.delete(&format!("/api/v1/pauses/{}", pause["id"].as_str().unwrap())).expect(200);
    assert_eq!(admin.get("/api/v1/pauses").expect(200)["items"], json!([]));
    assert_eq!(admin.get("/api/v1/pauses?ended=true").expect(200)["items"][0]["in_force"], false);
    admin.ask("two", "1").allowed();
}

#[test]
fn the_audit_trail_names_who_did_it() {
    let daemon = Daemon::start();
    let budgets = daemon.holder(&["budget_admin"], &[]);
    budgets.daily_budget("b", "5.00").expect(201);
    let trail = daemon.admin().get("/api/v1/audit?op=budget.").expect(200);
    let entry = &trail["items"][0];
    assert_eq!((&entry["op"], &entry["subject"]), (&json!("budget.create"), &json!("budget:b")));
    assert_eq!(entry["actor"], json!({"key": "test-budget-admin", "name": "a test"}));
}

#[test]
fn an_agent_and_an_entity_type_are_registered() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.put("/api/v1/agents/rfq-draft", &json!({"team": "quotes", "labels": {"stage": "live"}})).expect(200);
    let mode = json!({"mode": "observe", "reason": "trial"});
    let refused = admin.put("/api/v1/agents/rfq-draft/mode", &mode).problem(400, "invalid_request");
    assert_eq!(refused["errors"][0]["pointer"], "/ends_at");
    let mode = json!({"mode": "observe", "reason": "trial", "ends_at": "2026-11-24T00:00:00Z"});
    assert_eq!(admin.put("/api/v1/agents/rfq-draft/mode", &mode).expect(200)["mode"], "observe");
    let mut body = example("one", "1");
    body["entity"]["properties"].as_object_mut().unwrap().remove("due_date");
    let observed = admin.admit(&body).allowed();
    assert_eq!(observed["would_deny"][0]["code"], "missing_data");
    daemon.clock().advance_to("2026-11-24T00:00:00Z".parse().unwrap());
    assert_eq!(admin.get("/api/v1/agents/rfq-draft").expect(200)["mode"], "enforce");
    body["idempotency_key"] = json!("two");
    admin.admit(&body).denied("missing_data");

    let schema = json!({"type": "object", "properties": {"due_date": {"type": "string"}}});
    admin.put("/api/v1/entity-types/rfq", &json!({"schema": schema})).expect(200);
    body["idempotency_key"] = json!("three");
    body["entity"]["properties"]["due_date"] = json!(7);
    admin.admit(&body).denied("malformed_input");
    let remote = json!({"schema": {"$ref": "https://example.com/x"}});
    assert_eq!(
        admin.put("/api/v1/entity-types/rfq", &remote).problem(400, "invalid_request")["errors"][0]["pointer"],
        "/schema"
    );
    admin.delete("/api/v1/entity-types/rfq").expect(200);
    admin.get("/api/v1/entity-types/rfq").problem(404, "not_found");
}

#[test]
fn policies_are_shown_with_their_engines() {
    let daemon = Daemon::start();
    let report = daemon.admin().get("/api/v1/policies/report").expect(200);
    assert_eq!(report["layers"][0]["kind"], "base");
    for layer in report["layers"].as_array().unwrap() {
        let why = layer["why"].as_str().unwrap();
        match layer["engine"].as_str().unwrap() {
            "interpreter" => assert!(!why.is_empty()),
            "rvm" => assert!(why.starts_with("both engines gave the same"), "{why}"),
            other => panic!("{other}"),
        }
    }
    let digest = report["digest"].as_str().unwrap();
    let set = daemon.admin().get(&format!("/api/v1/policy-sets/{digest}")).expect(200);
    assert!(
        set["files"]["policies/base.rego"].as_str().unwrap().starts_with("package tollgate.base"),
        "{}",
        set.text()
    );
    assert_eq!(daemon.admin().get("/api/v1/policy-sets").expect(200)["items"][0]["digest"], digest);
}

#[test]
fn after_a_jump_of_the_clock_an_admin_confirms() {
    let daemon = Daemon::start();
    daemon.clock().set_wall("2027-11-23T17:00:00Z".parse().unwrap());
    let refused = daemon.admin().ask("one", "1").problem(503, "clock_jumped");
    assert!(refused.header("retry-after").is_some());
    daemon.nobody().get("/readyz").problem(503, "not_ready");
    daemon.admin().post("/api/v1/clock/confirm", &json!({})).expect(200);
    daemon.admin().ask("one", "1").allowed();
}

#[test]
fn an_answer_is_the_same_after_a_restart() {
    let daemon = Daemon::start();
    daemon.admin().daily_budget("b", "5.00").expect(201);
    let first = daemon.admin().ask("one", "0.42").allowed();
    let daemon = daemon.restart();
    assert_eq!(daemon.admin().ask("one", "0.42").expect(200).text(), first.text());
    assert_eq!(daemon.admin().get("/api/v1/budgets/b").expect(200)["held"], "0.42");
}
