//! What is refused because comparing it could take for ever, and what is not.

use crate::policy::{Tree, check};
use std::fmt::Write as _;

/// `d0` to `d40`, each of which holds the one before twice, and `e40` beside.
fn doubling() -> String {
    let mut text = String::from("d0 := [1]\ne0 := [1]\n");
    for i in 1..=40 {
        for name in ["d", "e"] {
            let _ = writeln!(text, "{name}{i} := [{name}{0}, {name}{0}]", i - 1);
        }
    }
    text
}

/// The places of what is refused of an agent's layer, and with which code.
fn refused(body: &str) -> Vec<String> {
    let module = format!("package tollgate.agents.a\nimport data.tollgate.lib.l\n{body}\n");
    let library = "package tollgate.lib.l\nsame(x, y) if x == y\ntwice(x) := [x, x]\nnone := 1\n";
    let tree = Tree::of([
        ("policies/base.rego", "package tollgate.base\n"),
        ("policies/lib/l.rego", library),
        ("policies/agents/a.rego", module.as_str()),
    ]);
    let problems = check(&tree).map(|_| ()).err().unwrap_or_default();
    problems.iter().map(|p| format!("{}:{} {}", p.file.trim_start_matches("policies/"), p.line, p.code)).collect()
}

#[test]
fn what_compares_values_that_hold_themselves_is_refused_by_its_line() {
    let doubling = doubling();
    let mut wrong = Vec::new();
    for body in [
        "deny contains \"x\" if d40 == e40",
        "deny contains \"x\" if d40 != e40",
        "deny contains \"x\" if d40 < e40",
        "deny contains \"x\" if not d40 == e40",
        "deny contains \"x\" if d40 in {1, e40}",
        "deny contains \"x\" if d40 in [[e39, e39]]",
        "deny contains \"x\" if count({d40, e40}) == 1",
        "deny contains \"x\" if count({x | some x in [d40, e40]}) == 1",
        "deny contains \"x\" if count({x: 1 | some x in [d40, e40]}) == 1",
        "deny contains \"x\" if count({d40: 1, e40: 2}) == 1",
        "deny contains \"x\" if {e40: 1}[d40]",
        "deny contains \"x\" if object.get({e40: 1}, d40, false)",
        "deny contains \"x\" if count({[d39, d39]} & {e40}) == 1",
        "deny contains \"x\" if count({[d39, d39]} - {e40}) == 1",
        "deny contains \"x\" if { x := d40; y := e40; x == y }",
        "deny contains \"x\" if { x := [d39, d39]; [x, 1] = [e40, 1] }",
        "deny contains \"x\" if { some x in [d40]; some y in [e40]; x == y }",
        "deny contains \"x\" if { every x in [d40] { x == e40 } }",
        "deny contains \"x\" if { all := [d40]; all[i] == e40; i == 0 }",
        "deny contains \"x\" if { x := d40; count([1 | x == e40]) == 1 }",
        "deny contains \"x\" if l.same(d40, e40)",
        "deny contains \"x\" if again(d40, e40)\nagain(x, y) if l.same([x], [y])",
        "deny contains \"x\" if own(d40)\nown(x) if x == e40",
        "deny contains \"x\" if { input.a == input.b with input.a as d40 with input.b as e40 }",
        "deny contains {\"code\": \"c\", \"message\": \"m\", \"details\": d40}",
        "warn contains d40",
        "allow := d40",
        "other := d40 if input.a\nother := e40 if input.b\nallow if other",
        "deny contains \"x\" if { pick(1) }\npick(x) := d40 if x == 1\npick(x) := e40 if x == 1",
        "deny contains \"x\" if rows[_] == e40\nrows contains [d39, d39]",
        "deny contains \"x\" if { t.x == e40 }\nt.x := d40",
    ] {
        let line = 3 + body.lines().count();
        let found = refused(&format!("{body}\n{doubling}"));
        let own = found.iter().all(|problem| {
            let place = problem.strip_prefix("agents/a.rego:").and_then(|rest| rest.strip_suffix(" too_large"));
            place.is_some_and(|place| place.parse::<usize>().is_ok_and(|at| at < line))
        });
        if !own || found.is_empty() {
            wrong.push(format!("{body}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// It need not be rules that double.
#[test]
fn other_ways_to_grow() {
    let mut wrong = Vec::new();
    let chain = |step: &dyn Fn(usize) -> String| (1..=25).map(step).collect::<String>();
    for body in [
        format!("deny contains \"x\" if {{ x0 := [1]; {} x25 == [x24] }}", chain(&|i| format!("x{i} := [x{0}, x{0}];", i - 1))),
        format!("deny contains \"x\" if {{ x0 := [1]; {} x25 == [x24] }}", chain(&|i| format!("x{i} := l.twice(x{});", i - 1))),
        format!("deny contains \"x\" if {{ x0 := [1]; {} x25 == [x24] }}", chain(&|i| format!("x{i} = [x{0}, x{0}];", i - 1))),
        format!("deny contains \"x\" if {{ x0 := [1]; {} x25 == [x24] }}", chain(&|i| format!("[x{i}, _] := [[x{0}, x{0}], 1];", i - 1))),
        format!("deny contains \"x\" if {{ x0 := [1]; {} x25 == [x24] }}", chain(&|i| format!("some x{i} in [[x{0}, x{0}]];", i - 1))),
        format!("deny contains \"x\" if f25(1) == [f24(1)]\nf0(x) := [x]\n{}", chain(&|i| format!("f{i}(x) := [f{0}(x), f{0}(x)]\n", i - 1))),
        format!("deny contains \"x\" if f25(1) == [f24(1)]\nf0(x) := [x]\n{}", chain(&|i| format!("f{i}(x) := f{0}([x, x])\n", i - 1))),
        format!("deny contains \"x\" if d25 == [d24]\nd0 := {{1}}\n{}", chain(&|i| format!("d{i} := {{\"a\": d{0}, \"b\": d{0}}}\n", i - 1))),
        format!("deny contains \"x\" if d25 == [d24]\nd0 := 1\n{}", chain(&|i| format!("d{i} := d{0} if input.x else := [d{0}, d{0}]\n", i - 1))),
        format!("deny contains \"x\" if d25 == [d24]\nd0 := 1\n{}", chain(&|i| format!("default d{i} := 1\nd{i} := array.concat([d{0}], [d{0}]) if input.x\n", i - 1))),
        // by comprehensions, four deep
        "deny contains \"x\" if a4 == b4\na1 := [1 | input.list[_]]\na2 := [a1 | input.list[_]]\na3 := [a2 | input.list[_]]\na4 := [a3 | input.list[_]]\nb4 := [[a2 | input.list[_]] | input.list[_]]\n".to_owned(),
    ] {
        let found = refused(&body);
        if found.is_empty() || !found.iter().all(|problem| problem.ends_with(" too_large")) {
            wrong.push(format!("{body}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What people write, and large values that nobody compares.
#[test]
fn what_is_let_through() {
    let doubling = doubling();
    let mut wrong = Vec::new();
    for body in [
        "deny contains \"x\" if count(d40) == 2",
        "deny contains \"x\" if d40 == [1, 2]",
        "deny contains \"x\" if d40 in {\"a\", 1}",
        "deny contains \"x\" if d40 == input.list",
        "deny contains \"x\" if d15 == e15",
        "deny contains \"x\" if l.same(d40, 1)",
        "deny contains \"x\" if { x = d40; count(x) == 2 }",
        "deny contains \"x\" if { x := d40; y := x[0]; count(y) == 2 }",
        "deny contains \"x\" if input.list == input.other",
        "deny contains \"x\" if { some x in input.list; some y in input.other; x == y }",
        "names := {x.name | some x in input.list}\nallowed := {y | some y in data.allowed}\n\
         deny contains {\"code\": \"c\", \"message\": \"m\", \"details\": {\"names\": names, \"allowed\": allowed}} if {\n\
         some x in input.list\nnot x.name in names\nnames != allowed }",
        "by_name := {x.name: x | some x in input.list}\nsame if by_name == {y.name: y | some y in input.other}\nallow if same",
        "groups := {x.team: {y.name | some y in input.list; y.team == x.team} | some x in input.list}\n\
         allow if groups == {k: v | some k, v in groups; count(v) > 1}",
        "pairs := {[x, y] | some x in input.list; some y in input.list}\nallow if count(pairs - {[1, 2]}) > 0",
        "total := sum([to_number(x.amount) | some x in input.estimate])\nallow if total + total == total * 2",
        "kept := [x | some x in input.list; x > 1]\nmore := [x | some x in kept; x > 2]\nmost := [x | some x in more; x > 3]\n\
         last := [x | some x in most; x > 4]\nallow if last == [x | some x in kept]",
        "f(x) := y if { y := {\"a\": x, \"b\": [x]} }\nallow if f(f(f(input.a))) == f(f(f(input.b)))",
        "deny contains sprintf(\"%v\", [x]) if { some x in input.list; walk(x, [path, value]); value == 7; count(path) > 1 }",
        "merged := object.union(object.union(input.a, input.b), {\"x\": 1})\nallow if merged == object.union(merged, input.c)",
    ] {
        let found = refused(&format!("{body}\n{doubling}"));
        if !found.is_empty() {
            wrong.push(format!("{body}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Queries in queries, each with variables that depend on each other: found out, or refused, but not for ever.
#[test]
fn nested_queries_are_not_gone_through_for_ever() {
    let nested = |depth: usize| {
        (0..depth).fold("1".to_owned(), |inner, i| format!("[x{i} | x{i} = [y{i}, {inner}]; y{i} = [1]; y{i} == x{i}]"))
    };
    assert_eq!(refused(&format!("allow if count({}) == 1", nested(2))), Vec::<String>::new());
    let found = refused(&format!("allow if count({}) == 1", nested(18)));
    assert!(!found.is_empty() && found.iter().all(|problem| problem.ends_with("too_large")), "{found:?}");
}
