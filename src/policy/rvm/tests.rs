//! Both engines on adversarial Rego, and on the whole subset at random.

use super::{Agreed, EngineInUse, EnginesInUse, agree};
use crate::policy::asking::Question;
use crate::policy::compile::{Compiled, data_of_layer, gathered_name, to_rego};
use crate::policy::engines::{Built, Purpose};
use crate::policy::limits::{Limits, Quarantine, ThreadClock};
use crate::policy::set::{ContractRule, Layer};
use crate::policy::{Conditions, Engines, LayerId, Layers, PolicySet, Tree, check};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

struct Still;

impl ThreadClock for Still {
    fn cpu(&self) -> Duration {
        Duration::ZERO
    }
}

const BASE: &str = "package tollgate.base\ndeny contains \"no\" if input.context.stop == true\n";

fn set_of(agent: &str, library: Option<&str>) -> PolicySet {
    let mut files = vec![
        ("policies/base.rego", BASE.to_owned()),
        ("policies/agents/a.rego", format!("package tollgate.agents.a\n{agent}")),
    ];
    files.extend(library.map(|text| ("policies/lib/l.rego", format!("package tollgate.lib.l\n{text}"))));
    check(&Tree::of(files)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// For a test that shares its processor.
fn patient() -> Limits {
    Limits { time: Duration::from_secs(5), ..Limits::default() }
}

/// As if the engines had agreed.
fn unseen(set: &PolicySet, layer: &Layer) -> Agreed {
    Agreed { answers: 1, code: Compiled::code(set, layer, &data_of_layer(set, layer)).unwrap() }
}

fn agent_layer() -> LayerId {
    LayerId::Agent("a".to_owned())
}

/// What a worker answers when everything that may be compared has been.
fn judged(set: &PolicySet, in_use: &EnginesInUse, engines: &mut Engines, input: &Value) -> String {
    for layer in set.layers().filter(|layer| layer.may_run_on_rvm() && !in_use.knows(layer)) {
        in_use.compared(layer, agree(set, layer, &[]));
    }
    let (limits, quarantine) = (Limits::default(), Quarantine::default());
    let conditions = Conditions {
        now: jiff::Timestamp::UNIX_EPOCH,
        limits: &limits,
        quarantine: &quarantine,
        clock: &Still,
        in_use: Some(in_use),
    };
    let layers = Layers { agent: "a", entity_type: None };
    format!("{:?}", engines.evaluate(set, &layers, input, &conditions).reasons)
}

#[test]
fn a_layer_that_cannot_fail_moves_to_the_rvm_once_both_engines_agree() {
    let set = set_of(
        "import data.tollgate.lib.l\n\
         default allow_without_entity := false\n\
         allow_without_entity if input.action.name in l.names\n\
         deny contains {\"code\": \"x\", \"message\": \"m\"} if {\n\
           some item in input.estimate\n\
           item.unit == \"usd\"\n\
           not l.small(item.amount)\n\
         }",
        Some("names := {\"think\", \"search\"}\nsmall(amount) if amount == \"1\""),
    );
    let layer = set.layer(&agent_layer()).unwrap();
    assert_eq!(layer.interpreted, None);
    let in_use = EnginesInUse::default();
    assert!(matches!(in_use.of(layer), EngineInUse::Interpreter(why) if why.contains("not been compared")));
    let mut engines = Engines::default();
    let input = json!({"action": {"name": "think"}, "estimate": [{"unit": "usd", "amount": "2"}]});
    let reasons = judged(&set, &in_use, &mut engines, &input);
    assert!(reasons.contains("\"m\"") && !reasons.contains("not_permitted"), "{reasons}");
    assert!(matches!(in_use.of(layer), EngineInUse::Rvm(_)), "{:?}", in_use.of(layer));
    assert!(engines.by_machine > 0, "the machine was not asked");
}

/// Rego that the RVM answers otherwise than the interpreter, or that can fail: it never runs there, whether reading it
/// tells so or only the comparison.
#[test]
fn what_the_rvm_gets_wrong_never_runs_on_it() {
    let bodies = [
        (
            "a default on a function",
            "default cap(_) := 10\ncap(x) := 5 if x == \"b\"\ndeny contains \"over\" if input.context.n > cap(input.context.who)",
        ),
        ("a built-in that fails", "deny contains \"big\" if to_number(input.context.n) > 5"),
        ("a count that fails", "deny contains \"many\" if count(input.context.n) > 5"),
        ("arithmetic that fails", "deny contains \"big\" if input.context.n - 1 > 5"),
        ("a division by nothing", "deny contains \"big\" if 10 / input.context.n > 5"),
        ("a bad pattern", "deny contains \"m\" if regex.match(input.context.n, \"a\")"),
        ("sets that are none", "deny contains \"s\" if { both := {1} & input.context.n; both == {1} }"),
        ("some over what may be no collection", "deny contains \"s\" if { some x in input.context.n; x == 1 }"),
        (
            "a reference with a variable",
            "rows contains 1\nrows contains 2\ndeny contains \"r\" if { x := input.context.n; rows[x] }",
        ),
        (
            "a nested variable key",
            "table := {\"a\": {\"b\": 1}}\ndeny contains \"t\" if { k := input.context.n; table.a[k] == 1 }",
        ),
        (
            "values in conflict",
            "limit := 1 if input.context.n == 1\nlimit := 2 if input.context.m == 1\ndeny contains \"l\" if limit > 0",
        ),
        (
            "a conflict without values",
            "limit := input.context.n if input.context.a\nlimit := input.context.m if input.context.b\ndeny contains \"l\" if limit",
        ),
        ("an else", "limit := 1 if { input.context.n == 1 } else := 2\ndeny contains \"l\" if limit == 2"),
        ("a with", "deny contains \"w\" if { inner with input.context.n as 1 }\ninner if input.context.n == 1"),
        ("every", "deny contains \"e\" if { every x in input.context.n { x == 1 } }"),
        (
            "a comprehension over what is undefined",
            "deny contains \"o\" if { all := [e | e := input.context.n.missing]; all == [] }",
        ),
        (
            "a term that is undefined",
            "deny contains \"o\" if { all := [i.missing | some i in input.estimate]; all == [] }",
        ),
        (
            "an object comprehension",
            "deny contains \"o\" if { all := {k: v | some k in input.connectors; v := 1}; all == {} }",
        ),
        ("keys in conflict", "deny contains {\"message\": \"k\", input.context.n: 1, input.context.m: 2} if true"),
        ("unification", "deny contains \"u\" if { [x, 1] = input.context.n; x == 1 }"),
        ("a pattern", "deny contains \"u\" if { [x, y] := input.context.n; x == y }"),
        ("a walk", "deny contains \"u\" if { walk(input.context.n, [p, v]); v == 1 }"),
    ];
    for (name, body) in bodies {
        let set = set_of(body, None);
        let layer = set.layer(&agent_layer()).unwrap();
        assert!(layer.interpreted.is_some(), "{name}: nothing speaks against the RVM");
        let in_use = EnginesInUse::default();
        let mut engines = Engines::default();
        for n in [json!("abc"), json!(null), json!(7), json!([1, 2]), json!({"b": 1}), json!(0), json!("b")] {
            let input = json!({"action": {"name": "x"}, "connectors": [], "estimate": [{"unit": "usd"}], "context": {"n": n, "m": 1, "who": "c"}});
            let reference = judged(&set, &EnginesInUse::default(), &mut Engines::default(), &input);
            assert_eq!(judged(&set, &in_use, &mut engines, &input), reference, "{name}: {n}");
        }
        assert!(matches!(in_use.of(layer), EngineInUse::Interpreter(_)), "{name}");
    }
}

#[test]
fn the_comparison_refuses_a_layer_on_which_the_engines_differ() {
    // reading it would speak against it; the comparison has to find it without that
    let mut set = set_of("deny contains \"big\" if to_number(input.context.n) > 5", None);
    let layer = std::sync::Arc::make_mut(set.layers.get_mut(&agent_layer()).unwrap());
    layer.interpreted = None;
    let layer = set.layer(&agent_layer()).unwrap();
    let why = agree(&set, layer, &[]).unwrap_err();
    assert!(why.contains("the interpreter fails"), "{why}");
}

#[test]
fn a_difference_on_a_live_decision_ends_the_trust_with_an_alarm() {
    let mut set = set_of("deny contains \"big\" if to_number(input.context.n) > 5", None);
    std::sync::Arc::make_mut(set.layers.get_mut(&agent_layer()).unwrap()).interpreted = None;
    let layer = set.layer(&agent_layer()).unwrap();
    let in_use = EnginesInUse::default();
    in_use.compared(layer, Ok(unseen(&set, layer)));
    in_use.compared(set.layer(&LayerId::Base).unwrap(), Err("not here".to_owned()));
    let mut engines = Engines::default();
    // the RVM makes the failure undefined: nothing denies but that nothing allows
    let input = json!({"action": {"name": "x"}, "context": {"n": 6}});
    let good = judged(&set, &in_use, &mut engines, &input);
    assert!(good.contains("big"), "{good}");
    // on the RVM a value of another type switches the rule off
    let wrong = json!({"action": {"name": "x"}, "context": {"n": "abc"}});
    let mut alarms = Vec::new();
    for _ in 0..2_000 {
        let reasons = judged(&set, &in_use, &mut engines, &wrong);
        alarms.extend(in_use.take_alarms());
        if !alarms.is_empty() {
            assert!(reasons.contains("PolicyError") || reasons.contains("policy_error"), "{reasons}");
            break;
        }
    }
    assert_eq!(alarms.len(), 1, "the sample did not see the difference");
    assert!(matches!(in_use.of(layer), EngineInUse::Interpreter(why) if why.contains("live decision")));
}

#[test]
fn a_layer_on_the_rvm_has_an_interpreter_only_for_what_both_judge() {
    let set = set_of("allow_without_entity if input.action.name == \"think\"\n", None);
    let (in_use, mut engines) = (EnginesInUse::default(), Engines::default());
    let mut ask = |times: usize| {
        let input = json!({"action": {"name": "think"}});
        (0..times).for_each(|_| assert_eq!(judged(&set, &in_use, &mut engines, &input), "[]"));
        (engines.built(), engines.size().0)
    };
    // two layers, so 200 answers, and the 233rd is the first of the sample
    assert_eq!(ask(100), (Built { interpreters: 0, machines: 2 }, 2));
    assert_eq!(ask(500), (Built { interpreters: 2, machines: 2 }, 4), "the 233rd and the 610th answer");
}

#[test]
fn workers_run_the_code_that_was_compared() {
    let rule = |name: &str| format!("allow_without_entity if input.action.name == \"{name}\"\n");
    let (set, other) = (set_of(&rule("think"), None), set_of(&rule("search"), None));
    let layer = set.layer(&agent_layer()).unwrap();
    let in_use = EnginesInUse::default();
    in_use.compared(layer, Ok(unseen(&other, other.layer(&agent_layer()).unwrap())));
    let input = json!({"action": {"name": "search"}});
    assert_eq!(judged(&set, &in_use, &mut Engines::default(), &input), "[]");
    // and none once the trust is gone
    assert!(in_use.code(layer).is_some());
    in_use.distrust(layer, "for a test".to_owned());
    assert!(in_use.code(layer).is_none());
    let mut engines = Engines::default();
    assert!(judged(&set, &in_use, &mut engines, &input).contains("not_permitted"));
    assert_eq!(engines.built(), Built { interpreters: 1, machines: 1 }, "base is trusted still");
}

/// The interpreter of a layer on the RVM goes first, though it was used last; any other when its turn comes.
#[test]
fn what_is_asked_now_and_then_makes_room_first() {
    let mut files = vec![("policies/base.rego".to_owned(), BASE.to_owned())];
    files.extend((0..6).map(|n| {
        let rule = "allow_without_entity if input.action.name == \"think\"";
        (format!("policies/agents/a{n}.rego"), format!("package tollgate.agents.a{n}\n{rule}\n"))
    }));
    let set = check(&Tree::of(files)).unwrap();
    let in_use = EnginesInUse::default();
    let id = |n: usize| LayerId::Agent(format!("a{n}"));
    let trust = |id: LayerId| in_use.compared(set.layer(&id).unwrap(), agree(&set, set.layer(&id).unwrap(), &[]));
    (1..6).map(id).chain([LayerId::Base]).for_each(trust);
    in_use.compared(set.layer(&id(0)).unwrap(), Err("for a test".to_owned()));

    let input = to_rego(&json!({"action": {"name": "think"}}));
    let (limits, quarantine, now) = (patient(), Quarantine::default(), jiff::Timestamp::UNIX_EPOCH);
    let conditions = Conditions { now, limits: &limits, quarantine: &quarantine, clock: &Still, in_use: Some(&in_use) };
    // two interpreters and two machines
    let mut engines = Engines::new(150_000);
    let judge = |engines: &mut Engines, n: usize| {
        let layer = set.layer(&id(n)).unwrap();
        let question = Question { set: &set, layer, input: &input, now };
        let answer = engines.answer(&question, Some(ContractRule::AllowWithoutEntity), &conditions, &mut 0);
        assert!(answer.is_ok_and(|answer| answer.unwrap().says_yes()), "{n}");
        engines.built().interpreters
    };
    assert_eq!(judge(&mut engines, 0), 1);
    assert_eq!(judge(&mut engines, 1), 1);
    let layer = set.layer(&id(1)).unwrap();
    let question = Question { set: &set, layer, input: &input, now };
    let rule = gathered_name(Some(ContractRule::AllowWithoutEntity));
    let sampled = engines.ask(&question, Purpose::Decide, rule, limits.time, &Still).0;
    assert!(sampled.is_ok());
    assert_eq!(engines.size().0, 3);
    for n in 2..6 {
        judge(&mut engines, n);
    }
    assert!(engines.size().0 >= 5 && engines.size().1 <= 150_000, "{engines:?}");
    assert_eq!(judge(&mut engines, 0), 2, "a0 has its interpreter still; the other was for a1");
    assert!(engines.ask(&question, Purpose::Decide, rule, limits.time, &Still).0.is_ok());
    assert_eq!(engines.built().interpreters, 3, "a1's made room");
}

/// The interpreter that served a layer until it moved to the RVM makes room before those that still serve.
#[test]
fn an_interpreter_whose_layer_moved_to_the_rvm_makes_room_first() {
    let set = set_of("allow_without_entity if input.action.name == \"think\"\n", None);
    let (agent, base) = (set.layer(&agent_layer()).unwrap(), set.layer(&LayerId::Base).unwrap());
    let in_use = EnginesInUse::default();
    let input = to_rego(&json!({"action": {"name": "think"}}));
    let (limits, quarantine, now) = (patient(), Quarantine::default(), jiff::Timestamp::UNIX_EPOCH);
    let conditions = Conditions { now, limits: &limits, quarantine: &quarantine, clock: &Still, in_use: Some(&in_use) };
    let mut engines = Engines::new(150_000);
    let judge = |engines: &mut Engines, layer: &Layer| {
        let question = Question { set: &set, layer, input: &input, now };
        assert!(engines.answer(&question, None, &conditions, &mut 0).is_ok());
        engines.built()
    };
    // first base, then the agent's layer, which has been used later and moves
    judge(&mut engines, base);
    judge(&mut engines, agent);
    in_use.compared(agent, agree(&set, agent, &[]));
    assert_eq!(judge(&mut engines, agent), Built { interpreters: 2, machines: 1 });
    // a third interpreter: one has to go
    let question = Question { set: &set, layer: agent, input: &input, now };
    let rule = format!("data.tollgate.gathered.{}", crate::policy::attribute::OWN);
    engines.ask(&question, Purpose::Attribute, &rule, limits.time, &Still).0.unwrap();
    assert_eq!(judge(&mut engines, base), Built { interpreters: 3, machines: 1 }, "base has its interpreter still");
}

/// Rules of the subset, put together at random.
fn expression(depth: u32) -> BoxedStrategy<String> {
    let reference = prop::sample::select(vec![
        "input.action.name",
        "input.context.a",
        "input.context.b.c",
        "input.run.id",
        "input.entity.properties.p",
        "rows",
        "flag",
        "number",
    ]);
    let constant =
        prop::sample::select(vec!["1", "\"x\"", "true", "null", "{\"x\", 1}", "[1, \"x\"]", "{\"k\": 1}", "2.5"]);
    let leaf = prop_oneof![2 => reference.prop_map(str::to_owned), 1 => constant.prop_map(str::to_owned)].boxed();
    if depth == 0 {
        return leaf;
    }
    let inner = expression(depth - 1);
    prop_oneof![
        3 => leaf,
        1 => prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
        1 => inner.clone().prop_map(|value| format!("{{\"k\": {value}}}")),
        1 => inner.prop_map(|value| format!("same({value})")),
    ]
    .boxed()
}

fn statement() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    prop_oneof![
        3 => (expression(1), operator, expression(1)).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        2 => (expression(1), expression(1)).prop_map(|(item, all)| format!("{item} in {all}")),
        1 => expression(1),
        1 => expression(1).prop_map(|value| format!("not {value}")),
        1 => (expression(1), expression(1)).prop_map(|(left, right)| format!("not {left} == {right}")),
        1 => expression(1).prop_map(|value| format!("some item in input.estimate\nitem.amount == {value}")),
        1 => (expression(1), expression(1)).prop_map(|(left, right)| format!("local := {left}\nlocal != {right}")),
    ]
}

fn module() -> impl Strategy<Value = String> {
    let rule = (prop::collection::vec(statement(), 1..4), expression(2));
    (prop::collection::vec(rule, 1..4), any::<bool>()).prop_map(|(rules, with_default)| {
        let mut text = String::from(
            "rows contains input.context.a\nrows contains \"x\" if input.run.id\nflag if input.context.b.c == 1\n\
             number := 1 if flag\nsame(value) := value\n",
        );
        if with_default {
            text += "default allow_without_entity := false\n";
        }
        for (number, (body, value)) in rules.into_iter().enumerate() {
            // a local of one name is declared once in a body
            let mut body = body.join("\n");
            for name in ["local", "item"] {
                for copy in 0..4 {
                    let (before, after) = (format!("{name} := "), format!("{name}{copy} := "));
                    if body.matches(&before).count() > 1 {
                        body = body.replacen(&before, &after, 1);
                    }
                }
            }
            text += &format!("deny contains {{\"code\": \"c{number}\", \"message\": \"m\", \"details\": {value}}} if {{\n{body}\n}}\n");
            text += &format!("allow_without_entity if {{\n{body}\n}}\n");
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn both_engines_agree_on_the_whole_subset(text in module()) {
        let tree = Tree::of([("policies/base.rego", BASE), ("policies/agents/a.rego", &format!("package tollgate.agents.a\n{text}"))]);
        // what check refuses is not served by either
        let Ok(set) = check(&tree) else { return Ok(()) };
        let layer = set.layer(&agent_layer()).unwrap();
        if let Some(why) = &layer.interpreted {
            return Err(TestCaseError::fail(format!("{why}\n{text}")));
        }
        let agreed = agree(&set, layer, &[]);
        prop_assert!(agreed.is_ok(), "{agreed:?}\n{text}");
    }
}
