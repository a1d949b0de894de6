//! Policies that loop, fail, or answer nonsense: each must deny, in bounded time, and leave the worker able to judge
//! the next input.

use super::tests::{Bench, codes, set};
use super::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BASE: &str = "package tollgate.base\n";

/// A set whose agent `a` has this module, under `package tollgate.agents.a`.
fn agent(body: &str) -> PolicySet {
    set(&[("policies/base.rego", BASE), ("policies/agents/a.rego", &format!("package tollgate.agents.a\n{body}"))])
}

fn judge(body: &str, input: &Value) -> Outcome {
    Bench::default().judge(&agent(body), "a", None, input)
}

const YES: &str = "allow_without_entity := true\n";

#[test]
fn a_plain_yes_is_a_yes() {
    assert!(judge(YES, &json!({})).allowed());
}

#[test]
fn a_run_time_error_anywhere_denies() {
    let input = json!({"x": "abc", "n": 0, "list": [1, "a"]});
    for body in [
        "deny contains \"x\" if input.x - 1 > 0",
        "deny contains \"x\" if to_number(input.x) > 5",
        "deny contains \"x\" if 1 / input.n > 0",
        "deny contains \"x\" if 1 % input.n > 0",
        "deny contains \"x\" if regex.match(\"(\", input.x)",
        "deny contains \"x\" if count(7) > 0",
        "deny contains \"x\" if not to_number(input.x)",
        "deny contains \"x\" if not to_number(input.x) > 5",
        "deny contains \"x\" if every y in [1] { to_number(input.x) > y }",
        "deny contains \"x\" if count([y | some z in input.list; y := z + 1]) > 7",
        "deny contains \"x\" if count({y | some z in input.list; y := z + 1}) > 7",
        "deny contains \"x\" if count({z: y | some z in input.list; y := z + 1}) > 7",
        "deny contains \"x\" if helper\nhelper := false if { input.never } else := true if { input.x - 1 > 0 }",
        "deny contains \"x\" if helper(input.x)\nhelper(v) if to_number(v) > 1",
        "deny contains \"x\" if helper(input.x)\ndefault helper(_) := false\nhelper(v) if to_number(v) > 1",
        "deny contains \"x\" if helper(input.x)\nhelper(v) := false if v == \"abc\"\nhelper(v) := true if v - 1 > 0",
        "deny contains \"x\" if count(input.x - 1) > 0",
        "deny contains \"x\" if input.x[_] == 1\ndeny contains \"y\" if sum(input.list) > 0",
        "warn contains \"x\" if to_number(input.x) > 5",
        "deny contains \"x\" if one\none := 1\none := 2",
        "deny contains \"x\" if two(1)\ntwo(_) := 1\ntwo(_) := 2",
        "deny contains \"x\" if time.parse_rfc3339_ns(input.x) > 0",
        "deny contains \"x\" if json.unmarshal(input.x)",
        "deny contains \"x\" if semver.compare(input.x, \"1.0.0\") > 0",
        "deny contains \"x\" if net.cidr_contains(input.x, \"1.1.1.1\")",
        "deny contains \"x\" if 1 in to_number(input.x)",
        "deny contains \"x\" if input.list[to_number(input.x)]",
    ] {
        let outcome = judge(&format!("{YES}{body}"), &input);
        assert_eq!(codes(&outcome), ["policy_error"], "{body}\n{:?}", outcome.reasons);
    }
}

#[test]
fn nonsense_is_not_an_answer() {
    for body in [
        "allow_without_entity := \"yes\"",
        "allow_without_entity := 1",
        "allow_without_entity := null",
        "allow_without_entity := [true]",
        "allow_without_entity contains true",
        "allow_without_entity.x := true",
        "default allow_without_entity := \"no\"",
        "allow_without_entity := true\ndeny := true",
        "allow_without_entity := true\ndeny := []",
        "allow_without_entity := true\ndeny := \"no\"",
        "allow_without_entity := true\ndeny := false",
        "allow_without_entity := true\ndeny := {\"x\": 1}",
        "allow_without_entity := true\ndeny[\"x\"] := 1",
        "allow_without_entity := true\ndeny.x := 1",
        "allow_without_entity := true\ndeny := 1 if input.never",
        "allow_without_entity := true\ndeny contains 7",
        "allow_without_entity := true\ndeny contains null",
        "allow_without_entity := true\ndeny contains \"\"",
        "allow_without_entity := true\ndeny contains [\"a\"]",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\"}",
        "allow_without_entity := true\ndeny contains {\"message\": \"x\"}",
        "allow_without_entity := true\ndeny contains {\"code\": 7, \"message\": \"x\"}",
        "allow_without_entity := true\ndeny contains {\"code\": \"a b\", \"message\": \"x\"}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"remedi\": \"wait\"}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"remedy\": \"pray\"}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"remedy\": {\"kind\": \"pray\"}}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"remedy\": {\"target\": \"a:b\"}}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"remedy\": {\"kind\": \"wait\", \"until\": 1}}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"field\": \"due_date\"}",
        "allow_without_entity := true\ndeny contains {\"code\": \"x\", \"message\": \"x\", \"details\": {1: 2}}",
        "allow_without_entity := true\ndeny contains sprintf(\"%d\", [i]) if some i in numbers.range(1, 200)",
        "allow_without_entity := true\nwarn := \"careful\"",
        "allow_without_entity := true\nwarn contains 1",
    ] {
        let outcome = judge(body, &json!({}));
        assert_eq!(codes(&outcome), ["policy_output_invalid"], "{body}\n{:?}", outcome.reasons);
    }
}

#[test]
fn nothing_said_is_no() {
    for body in [
        "",
        "deny contains \"x\" if input.never",
        "allow := true",
        "allow_without_entity := input.never",
        "default allow_without_entity := false",
    ] {
        assert_eq!(codes(&judge(body, &json!({}))), ["not_permitted"], "{body}");
    }
}

/// Loops and huge values end soon after the limit, with few megabytes, three times; then the layer is left alone.
#[test]
#[expect(clippy::disallowed_methods, reason = "bounded time is what is tested")]
fn what_does_not_end_is_ended_and_then_not_run() {
    let list: Vec<u32> = (0..3000).collect();
    let text = "a".repeat(100_000);
    let input = json!({"list": list, "text": text, "e": "1e1000000000"});
    for body in [
        "deny contains \"x\" if { some a in input.list; some b in input.list; some c in input.list; a + b + c == 7.5 }",
        "deny contains \"x\" if count([1 | input.list[_]; input.list[_]; input.list[_]]) == 1",
        "deny contains \"x\" if count(numbers.range(1, 1000000000)) == 1",
        "deny contains \"x\" if count(numbers.range_step(1, 1000000000, 2)) == 1",
        "deny contains \"x\" if count(replace(input.text, \"a\", input.text)) == 1",
        "deny contains \"x\" if count(strings.replace_n({\"a\": input.text}, input.text)) == 1",
        "deny contains \"x\" if count(regex.replace(input.text, \"a\", input.text)) == 1",
        "deny contains \"x\" if count(concat(input.text, input.list)) == 1",
        "deny contains \"x\" if count(sprintf(\"%1000000000d\", [1])) == 1",
        "deny contains \"x\" if bits.lsh(1, 4000000000) == 1",
        "deny contains \"x\" if to_number(input.e) == 1",
        "deny contains \"x\" if units.parse(input.e) == 1",
        "deny contains \"x\" if count(s20) == 1\n",
        "deny contains \"x\" if json.marshal(d40) == \"\"\n",
        "deny contains \"x\" if { walk(d40, [p, v]); v == 7 }\n",
    ] {
        let doubling: String = (1..=40).fold(String::new(), |text, i| {
            format!("{text}s{i} := concat(\"\", [s{0}, s{0}])\nd{i} := [d{0}, d{0}]\n", i - 1)
        });
        let chain =
            if body.ends_with('\n') { format!("s0 := input.text\nd0 := [1]\n{doubling}") } else { String::new() };
        let set = agent(&format!("{YES}{body}\n{chain}"));
        let mut bench = Bench::default();
        bench.limits.time = Duration::from_millis(10);
        let begun = Instant::now();
        for round in 0..4 {
            let outcome = bench.judge(&set, "a", None, &input);
            let wanted = if round < 3 { "policy_timeout" } else { "policy_quarantined" };
            assert_eq!(codes(&outcome), [wanted], "{body} {round} {:?}", outcome.reasons);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{body} took {:?}", begun.elapsed());
        // and after the quarantine it is tried again
        bench.now += Duration::from_secs(31);
        assert_eq!(codes(&bench.judge(&set, "a", None, &input)), ["policy_timeout"], "{body}");
    }
}

#[test]
fn an_engine_that_failed_judges_the_next_input_right() {
    let set = agent(
        "allow_without_entity if input.n < 5
deny contains sprintf(\"bad %v\", [input.n]) if { to_number(input.x) > 5 with data.extra as 7 }
deny contains \"slow\" if { input.slow; some a in numbers.range(1, 9000); some b in numbers.range(1, 9000); a * b == 0.5 }",
    );
    let mut bench = Bench::default();
    bench.limits.time = Duration::from_millis(200);
    for round in 0..3 {
        let error = bench.judge(&set, "a", None, &json!({"x": "abc", "n": 1}));
        assert_eq!(codes(&error), ["policy_error"], "{round}");
        let slow = bench.judge(&set, "a", None, &json!({"x": "1", "n": 1, "slow": true}));
        assert_eq!(codes(&slow), ["policy_timeout"], "{round}");
        assert!(bench.judge(&set, "a", None, &json!({"x": "1", "n": 1})).allowed(), "{round}");
        let denied = bench.judge(&set, "a", None, &json!({"x": "9", "n": 1}));
        assert_eq!(denied.reasons[0].message, "bad 1", "{round}");
        assert_eq!(codes(&bench.judge(&set, "a", None, &json!({"x": "1", "n": 7}))), ["not_permitted"], "{round}");
    }
}

/// A limit that is named in what an agent sent does not count as one.
#[test]
fn an_agent_cannot_talk_a_layer_into_quarantine() {
    let set = agent(&format!("{YES}deny contains \"x\" if regex.match(concat(\"\", [\"(\", input.x]), \"y\")"));
    let mut bench = Bench::default();
    for _ in 0..5 {
        let outcome = bench.judge(&set, "a", None, &json!({"x": "execution exceeded time limit"}));
        assert!(matches!(codes(&outcome).as_slice(), ["policy_error" | "policy_timeout"]));
    }
    assert_eq!(bench.quarantine.list(bench.now), []);
}

/// A format of digits that are not ASCII makes the interpreter panic: it must deny.
#[test]
fn a_panic_is_a_denial() {
    let outcome = judge(&format!("{YES}deny contains \"x\" if sprintf(input.f, [1]) == \"\""), &json!({"f": "%½d"}));
    assert!(!outcome.allowed());
}

#[test]
fn undefined_everywhere() {
    for body in [
        "allow_without_entity if not input.a.b.c.d\ndeny contains \"x\" if input.a.b > 5",
        "allow_without_entity if count([x | x := input.a[_]]) == 0",
        "allow_without_entity if object.get(input, [\"a\", \"b\"], 1) == 1",
    ] {
        for input in [json!({}), json!(null), json!([]), json!("text")] {
            let outcome = judge(body, &input);
            let fine = outcome.allowed() || codes(&outcome) == ["policy_error"] || codes(&outcome) == ["not_permitted"];
            assert!(fine, "{body} {input} {:?}", outcome.reasons);
        }
    }
}

#[test]
fn now_is_the_inputs_now() {
    let set = agent(
        "allow_without_entity if time.now_ns() == 1795521600000000000\nwarn contains sprintf(\"%v\", [time.now_ns()])",
    );
    let mut bench = Bench::default();
    let outcome = bench.judge(&set, "a", None, &json!({}));
    assert!(outcome.allowed(), "{outcome:?}");
    bench.now = "2027-01-01T00:00:00Z".parse().unwrap();
    assert!(!bench.judge(&set, "a", None, &json!({})).allowed());
}

/// The deepest chain of rules that check lets through fits a small stack, in a debug build too.
#[test]
fn deep_chains_fit_the_stack_of_a_worker() {
    for (length, fine) in [(60, true), (200, false)] {
        let mut body = String::from("allow_without_entity if f0(1)\n");
        for i in 0..length {
            body = format!("{body}f{i}(x) if f{}(x)\n", i + 1);
        }
        body = format!("{body}f{length}(_) := true\n");
        let tree = Tree::of([
            ("policies/base.rego", BASE.to_owned()),
            ("policies/agents/a.rego", format!("package tollgate.agents.a\n{body}")),
        ]);
        match check(&tree) {
            Ok(set) => {
                assert!(fine, "{length}");
                let small = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
                let judged = small.spawn(move || Bench::default().judge(&set, "a", None, &json!({}))).unwrap();
                assert!(judged.join().unwrap().allowed());
            }
            Err(problems) => assert!(!fine && problems[0].code == "too_large", "{length} {problems:?}"),
        }
    }
}
