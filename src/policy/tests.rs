//! The room as a whole: trees in, decisions out.

use super::*;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// What the thread has really used.
pub(super) struct Real;

impl ThreadClock for Real {
    fn cpu(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    }
}

/// One worker with its limits.
pub(super) struct Bench {
    pub(super) engines: Engines,
    pub(super) limits: Limits,
    pub(super) quarantine: Quarantine,
    pub(super) now: Timestamp,
}

impl Default for Bench {
    fn default() -> Self {
        // tests run unoptimised and in parallel; what they measure sets its own limit
        let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
        Self {
            engines: Engines::default(),
            limits,
            quarantine: Quarantine::default(),
            now: "2026-11-24T12:00:00Z".parse().unwrap(),
        }
    }
}

impl Bench {
    pub(super) fn judge(&mut self, set: &PolicySet, agent: &str, entity_type: Option<&str>, input: &Value) -> Outcome {
        let Self { engines, limits, quarantine, now } = self;
        let conditions = Conditions { now: *now, limits, quarantine, clock: &Real, in_use: None };
        engines.evaluate(set, &Layers { agent, entity_type }, input, &conditions)
    }
}

/// `policies/` of the package.
pub(super) fn shipped() -> Tree {
    fn read(directory: &std::path::Path, root: &std::path::Path, files: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, root, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read(&root.join("policies"), root, &mut files);
    Tree::of(files)
}

pub(super) fn set(files: &[(&str, &str)]) -> PolicySet {
    check(&Tree::of(files.iter().copied())).unwrap_or_else(|problems| {
        panic!("{problems:#?}");
    })
}

pub(super) fn codes(outcome: &Outcome) -> Vec<&str> {
    outcome.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

fn metro() -> Value {
    json!({
        "kind": "action",
        "agent": {"id": "rfq-draft"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042",
                   "properties": {"customer_id": "metro-equipment", "due_date": "2026-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup", "same_step_failures": 0},
        "estimate": [{"unit": "usd", "amount": "0.42"}, {"unit": "tokens", "amount": "12000"}],
        "connectors": ["erp"], "context": {}, "budgets": [],
        "now": {"rfc3339": "2026-11-24T12:00:00Z", "ns": 1_795_521_600_000_000_000_i64},
    })
}

#[test]
fn the_story_of_the_quote() {
    let set = check(&shipped()).unwrap();
    let mut bench = Bench::default();
    let outcome = bench.judge(&set, "rfq-draft", Some("rfq"), &metro());
    assert!(outcome.allowed(), "{:?}", outcome.reasons);

    let mut input = metro();
    input["entity"]["properties"].as_object_mut().unwrap().remove("due_date");
    let outcome = bench.judge(&set, "rfq-draft", Some("rfq"), &input);
    assert_eq!(codes(&outcome), ["missing_data"]);
    let reason = &outcome.reasons[0];
    assert_eq!(reason.remedy.target.as_deref(), Some("field:/entity/properties/due_date"));
    assert_eq!(reason.rule.as_deref(), Some("entities/rfq.rego:27"));
}

#[test]
fn the_shipped_tests_and_cases_pass() {
    let tree = shipped();
    let set = check(&tree).unwrap();
    assert_eq!(set.warnings(), []);
    let mut bench = Bench::default();
    let report = run_tests(&tree, &set, bench.now).unwrap();
    let failed: Vec<_> = report.results.iter().filter(|test| !test.passed).collect();
    assert!(failed.is_empty() && report.results.len() > 10, "{failed:#?}");
    assert!(report.percent() > 80.0, "{:#?}", report.coverage);
    let Bench { engines, limits, quarantine, now } = &mut bench;
    let conditions = Conditions { now: *now, limits, quarantine, clock: &Real, in_use: None };
    let cases = run_cases(&tree, &set, engines, &conditions).unwrap();
    let failed: Vec<_> = cases.iter().filter(|case| !case.differences.is_empty()).collect();
    assert!(failed.is_empty() && cases.len() > 5, "{failed:#?}");
}

fn refused(files: &[(&str, &str)]) -> Vec<String> {
    let problems = check(&Tree::of(files.iter().copied())).map(|_| ()).unwrap_err();
    problems
        .iter()
        .map(|p| format!("{}:{}:{} {}", p.file.trim_start_matches("policies/"), p.line, p.column, p.code))
        .collect()
}

/// One module under `package tollgate.entities.e` that check must refuse for this, and for nothing else.
#[test]
fn what_check_refuses() {
    let mut wrong = Vec::new();
    for (body, place) in [
        ("allow if data.tollgate.base.deny", "2:10 tollgate_reference"),
        ("allow if data.tollgate.entities.e.x\nx := 1", "2:10 tollgate_reference"),
        ("allow if data[\"tollgate\"].base.deny", "2:10 tollgate_reference"),
        ("allow if data.tollgate[input.x]", "2:10 tollgate_reference"),
        ("allow if data.tollgate", "2:10 tollgate_reference"),
        ("allow if data.tollgate.lib[input.x]", "2:10 tollgate_reference"),
        ("allow if data.tollgate.lib.l[input.x]", "2:10 tollgate_reference"),
        ("allow if data.tollgate.lib.l.nope", "2:10 unknown_reference"),
        ("allow if data.tollgate.lib.l.nope(1)", "2:10 unknown_function"),
        ("allow if data.tollgate.lib.l.f(1, 2, 3)", "2:10 arguments"),
        ("allow if data[input.x]", "2:10 data_variable"),
        ("allow if { some x; data[x].base.deny }", "2:20 data_variable"),
        ("allow if count(data) > 0", "2:16 data_whole"),
        ("import data", "2:8 data_whole"),
        ("import data.tollgate.base", "2:8 tollgate_reference"),
        ("import data.tollgate.lib.l\nallow if l[input.x]", "3:10 tollgate_reference"),
        ("import data.tollgate.lib.nope\nallow if nope.x", "2:8 unknown_reference;3:10 unknown_reference"),
        ("alow := true", "2:1 near_miss"),
        ("denny contains \"x\"", "2:1 near_miss"),
        ("Deny contains \"x\"", "2:1 near_miss"),
        ("wran contains \"x\"", "2:1 near_miss"),
        ("allow_without_entitty := true", "2:1 near_miss"),
        ("deny(x) if x", "2:1 contract_function"),
        ("allow if http.send({})", "2:10 forbidden_builtin"),
        ("allow if rand.intn(\"a\", 2) == 1", "2:10 forbidden_builtin"),
        ("allow if uuid.rfc4122(\"a\")", "2:10 forbidden_builtin"),
        ("allow if opa.runtime()", "2:10 forbidden_builtin"),
        ("allow if { some uuid in [1]; uuid.rfc4122(\"k\") }", "2:30 forbidden_builtin"),
        ("allow if { net := 1; net.cidr_expand(\"10.0.0.0/8\") }", "2:22 forbidden_builtin"),
        ("allow if { every io in [1] { io.jwt.decode(\"x\") } }", "2:30 unknown_function"),
        ("allow if net.cidr_expand(\"10.0.0.0/8\")", "2:10 forbidden_builtin"),
        ("allow if graph.reachable_paths({}, [])", "2:10 forbidden_builtin"),
        ("allow if json.match_schema({}, {})", "2:10 forbidden_builtin"),
        ("allow if print(\"x\")", "2:10 forbidden_builtin"),
        ("allow if io.jwt.decode(\"x\")", "2:10 unknown_function"),
        ("allow if nope(1)", "2:10 unknown_function"),
        ("allow if f(1, 2, 3)\nf(_) := 1", "2:10 arguments"),
        ("allow if count(1, 2, 3)", "2:10 arguments"),
        ("allow if x\nx if y\ny if x", "3:1 recursion;4:1 recursion"),
        ("allow if f(1)\nf(x) if f(x - 1)", "3:1 recursion"),
        ("allow if f(1) with f as 1\nf(_) := 1", "2:20 with_function"),
        ("allow if true with data.tollgate.base.deny as set()", "2:20 with_function"),
        ("allow if count([1]) == 1 with count as 1", "2:31 with_function"),
        ("default allow := false\ndefault allow := true", "3:1 duplicate_default"),
        ("x := 1\nallow if { x := 2; x == 2 }", "3:12 shadowed_name"),
        ("allow if { data := 1; data == 1 }", "2:17 syntax"),
        ("deny[msg] { msg := \"x\" }", "2:11 syntax"),
        ("allow if {", "2:11 syntax"),
        ("allow if x > 1e999999", "2:15 too_large"),
        ("allow if undefined_thing", "2:10 compile"),
    ] {
        let files = [
            ("policies/base.rego", "package tollgate.base\n"),
            ("policies/lib/l.rego", "package tollgate.lib.l\nf(x) := x\ny := 1"),
            ("policies/entities/e.rego", &format!("package tollgate.entities.e\n{body}")),
        ];
        let wanted: Vec<String> = place.split(';').map(|place| format!("entities/e.rego:{place}")).collect();
        let found = refused(&files);
        if found != wanted {
            wrong.push(format!("{body}: {found:?}, wanted {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_check_refuses_of_a_tree() {
    let base = ("policies/base.rego", "package tollgate.base\n");
    for (files, wanted) in [
        (vec![("policies/entities/e.rego", "package tollgate.entities.e\n")], "base.rego:0:0 base_missing"),
        (vec![base, ("policies/entities/e.rego", "package tollgate.agents.e\n")], "entities/e.rego:1:1 package_path"),
        (vec![base, ("policies/agents/a.rego", "package tollgate.agents.b\n")], "agents/a.rego:1:1 package_path"),
        (vec![base, ("policies/lib/a.rego", "package other\n")], "lib/a.rego:1:1 package_path"),
        (vec![base, ("policies/stray.rego", "package tollgate.base\n")], "stray.rego:1:1 misplaced"),
        (vec![base, ("policies/a_test.rego", "package x\ntest_x if {\n")], "a_test.rego:3:1 syntax"),
        (vec![base, ("policies/a.case.yaml", "description: x\nwnat: 1\n")], "a.case.yaml:2:1 case_syntax"),
        (vec![base, ("data/tollgate/x.json", "1")], "data/tollgate/x.json:0:0 data_tollgate"),
    ] {
        let found = refused(&files);
        assert_eq!(found, [wanted], "{files:?}");
    }
}

/// What operators may well write passes without a word.
#[test]
fn what_check_lets_through() {
    for body in [
        "allow if data.prices.list[input.entity.id] > 1",
        "import data.tollgate.lib.l\nallow if l.f(1) == l.y",
        "import rego.v1\nallow if data.tollgate.lib[\"l\"].f(1)",
        "allow if { some i, x in input.estimate; x.amount == \"1\"; i == 0 }",
        "allow if { every x in input.estimate { x.unit == \"usd\" } }",
        "allow if numbers.range(1, 3)[_] == 2",
        "allow if { x := time.now_ns(); x > 0 }",
        "allow if input.kind == \"retry\" with input.kind as \"retry\"",
        "allowed_names := {\"a\"}\nallow if input.action.name in allowed_names",
    ] {
        let body = format!("package tollgate.entities.e\n{body}");
        let set = set(&[
            ("policies/base.rego", "package tollgate.base\n"),
            ("policies/lib/l.rego", "package tollgate.lib.l\nf(x) := x\ny := 1"),
            ("data/prices/data.yaml", "list: {a: 1}"),
            ("policies/entities/e.rego", body.as_str()),
        ]);
        assert_eq!(set.warnings(), [], "{body}");
    }
}

#[test]
fn a_set_is_its_content() {
    let files =
        [("policies/base.rego", "package tollgate.base\n"), ("policies/agents/a.rego", "package tollgate.agents.a\n")];
    let one = set(&files);
    assert_eq!(
        one.digest(),
        set(&[files[1], files[0], ("policies/a_test.rego", "package t\ntest_x := true\n")]).digest()
    );
    assert_ne!(one.digest(), set(&[files[0]]).digest());
    assert_eq!(lost_modules(&one, &set(&[files[0]])), ["policies/agents/a.rego"]);
    let mut kept: std::collections::BTreeMap<String, Text> = one.to_stored().into_iter().collect();
    let fetch = |kept: &std::collections::BTreeMap<String, Text>, address: &str| {
        Ok::<_, std::convert::Infallible>(kept.get(address).map(|text| text.as_bytes().to_vec()))
    };
    let Ok(back) = PolicySet::from_stored(one.digest(), |address| fetch(&kept, address));
    assert_eq!(back.unwrap().digest(), one.digest());
    let part = kept.values_mut().find(|text| text.starts_with("package tollgate.agents")).unwrap();
    *part = format!("{}allow := true\n", &**part).into();
    let Ok(forged) = PolicySet::from_stored(one.digest(), |address| fetch(&kept, address));
    assert!(matches!(forged, Err(StoredSetError::OtherContent { .. })));
    kept.clear();
    let Ok(gone) = PolicySet::from_stored(one.digest(), |address| fetch(&kept, address));
    assert!(matches!(gone, Err(StoredSetError::Missing { .. })));
}

/// The rule that spoke is named though its code does not tell which it was; `explain` names all.
#[test]
fn rules_are_named_by_line() {
    let body = "package tollgate.agents.a

allow_without_entity if input.n < 3
allow_without_entity if input.n > 1

deny contains reason if {
\tinput.n == 2
\treason := {\"code\": \"same\", \"message\": \"Zwölf ❄ two\"}
}

deny contains \"plain\" if input.n == 2
deny contains {\"code\": \"same\", \"message\": \"other\"} if { input.n == 2; helper }

helper if count(deny_names) == 1
deny_names := {\"x\"}
";
    let set = set(&[("policies/base.rego", "package tollgate.base\n"), ("policies/agents/a.rego", body)]);
    let mut bench = Bench::default();
    let outcome = bench.judge(&set, "a", None, &json!({"n": 2}));
    let places: Vec<_> = outcome.reasons.iter().map(|r| (r.message.as_str(), r.rule.as_deref().unwrap())).collect();
    assert_eq!(places.len(), 3);
    for wanted in [("Zwölf ❄ two", "agents/a.rego:6"), ("plain", "agents/a.rego:11"), ("other", "agents/a.rego:12")]
    {
        assert!(places.contains(&wanted), "{places:?}");
    }
    let Bench { engines, limits, quarantine, now } = &mut bench;
    let conditions = Conditions { now: *now, limits, quarantine, clock: &Real, in_use: None };
    let layers = Layers { agent: "a", entity_type: None };
    let told = engines.explain(&set, &layers, &json!({"n": 2}), &conditions);
    let rules: Vec<_> = told.fired.iter().map(|fired| fired.rule.as_str()).collect();
    assert_eq!(
        rules,
        ["agents/a.rego:3", "agents/a.rego:4", "agents/a.rego:6", "agents/a.rego:11", "agents/a.rego:12"]
    );
    assert_eq!(told.failed, Vec::<String>::new());
}

#[test]
fn a_rule_that_ends_in_a_text_is_told_apart_too() {
    let body =
        "package tollgate.agents.a\nallow_without_entity if input.n == \"x\"\nallow_without_entity if input.n == `x`\n";
    let set = set(&[("policies/base.rego", "package tollgate.base\n"), ("policies/agents/a.rego", body)]);
    let Bench { mut engines, limits, quarantine, now } = Bench::default();
    let conditions = Conditions { now, limits: &limits, quarantine: &quarantine, clock: &Real, in_use: None };
    let layers = Layers { agent: "a", entity_type: None };
    let told = engines.explain(&set, &layers, &json!({"n": "x"}), &conditions);
    let rules: Vec<_> = told.fired.iter().map(|fired| fired.rule.as_str()).collect();
    assert_eq!((rules, told.failed), (vec!["agents/a.rego:2", "agents/a.rego:3"], vec![]));
}

#[test]
fn engines_keep_what_fits() {
    let modules: Vec<(String, String)> = (0..20)
        .map(|n| {
            (
                format!("policies/agents/a{n}.rego"),
                format!("package tollgate.agents.a{n}\nallow_without_entity := true\n"),
            )
        })
        .collect();
    let mut files: Vec<(&str, &str)> = modules.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.push(("policies/base.rego", "package tollgate.base\n"));
    let set = set(&files);
    let mut bench = Bench { engines: Engines::new(300_000), ..Bench::default() };
    for round in 0..3 {
        for n in 0..20 {
            assert!(bench.judge(&set, &format!("a{n}"), None, &json!({})).allowed(), "{round} {n}");
            assert!(bench.engines.size().1 <= 300_000);
        }
    }
    assert!(bench.engines.size().0 >= 3);
}
