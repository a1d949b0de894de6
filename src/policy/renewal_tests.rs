//! A set made after another: what has not changed is taken over, and what comes out is what a check of everything gives.

use super::rvm::{EngineInUse, EnginesInUse};
use super::tests::{Bench, codes};
use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

const FILES: [(&str, &str); 13] = [
    ("policies/base.rego", "package tollgate.base\ndeny contains \"no\" if input.context.stop == true\n"),
    (
        "policies/agents/a1.rego",
        "package tollgate.agents.a1\nimport data.tollgate.lib.l\nallow_without_entity if l.yes(1)\n",
    ),
    ("policies/agents/a2.rego", "package tollgate.agents.a2\nallow_without_entity if data.x.limit == 1\n"),
    ("policies/agents/a3.rego", "package tollgate.agents.a3\nallow_without_entity := true\n"),
    ("policies/agents/a4.rego", "package tollgate.agents.a4\nallow_without_entity if data.later.there\n"),
    ("policies/entities/e.rego", "package tollgate.entities.e\nallow if input.action.name == \"read\"\n"),
    ("policies/lib/l.rego", "package tollgate.lib.l\nimport data.tollgate.lib.m\nyes(x) if m.one == x\n"),
    ("policies/lib/m.rego", "package tollgate.lib.m\none := data.z.one\n"),
    ("policies/agents/a3_test.rego", "package a3_test\ntest_x := true\n"),
    ("policies/agents/a3.case.yaml", "description: d\ninput: {}\nwant: {decision: deny}\n"),
    ("data/x.json", "{\"limit\": 1}"),
    ("data/y.json", "{\"other\": 1}"),
    ("data/z.json", "{\"one\": 1}"),
];

fn tree() -> Tree {
    Tree::of(FILES)
}

/// The tree with another text at a path, or without it.
fn with(path: &str, text: Option<&str>) -> Tree {
    let mut tree = tree();
    match text {
        Some(text) => drop(tree.files.insert(path.to_owned(), text.into())),
        None => drop(tree.files.remove(path)),
    }
    tree
}

fn agent(name: &str) -> LayerId {
    LayerId::Agent(name.to_owned())
}

/// All that is seen of a set but how it came about.
fn seen(set: &PolicySet) -> String {
    let layers: Vec<_> = set.layers().collect();
    format!("{} {layers:?} {:?} {:?} {}", set.digest(), set.libraries(), set.warnings(), set.data())
}

#[test]
fn only_what_has_changed_is_compiled() {
    let before = check(&tree()).unwrap();
    assert_eq!(before.compiled().len(), 6);
    let (a1, a2, a3, a4) = (agent("a1"), agent("a2"), agent("a3"), agent("a4"));
    for (path, text, compiled) in [
        ("policies/README.md", Some("nothing"), vec![]),
        ("policies/agents/a3.rego", Some("package tollgate.agents.a3\nallow_without_entity := false\n"), vec![&a3]),
        ("policies/agents/a3_limits.rego", Some("package tollgate.agents.a3\nx := 1\n"), vec![&a3]),
        ("policies/agents/a3.rego", None, vec![]),
        ("policies/agents/a5.rego", Some("package tollgate.agents.a5\n"), vec![&agent("a5")]),
        ("policies/base.rego", Some("package tollgate.base\n"), vec![&LayerId::Base]),
        ("policies/entities/e.rego", Some("package tollgate.entities.e\n"), vec![&LayerId::Entity("e".to_owned())]),
        ("policies/lib/l.rego", Some("package tollgate.lib.l\nyes(1) := true\n"), vec![&a1]),
        ("policies/lib/m.rego", Some("package tollgate.lib.m\none := 1\n"), vec![&a1]),
        ("policies/lib/n.rego", Some("package tollgate.lib.n\none := 1\n"), vec![]),
        // of a package that l might mean
        ("policies/lib/l_more.rego", Some("package tollgate.lib.l\nmore := 1\n"), vec![&a1]),
        ("data/x.json", Some("{\"limit\": 2}"), vec![&a2]),
        ("data/x.json", Some("{ \"limit\" : 1 }"), vec![]),
        ("data/x.json", None, vec![&a2]),
        ("data/y.json", Some("{\"other\": 2}"), vec![]),
        ("data/z.json", Some("{\"one\": 2}"), vec![&a1]),
        ("data/later.json", Some("{\"there\": true}"), vec![&a4]),
        ("policies/agents/a3_test.rego", Some("package a3_test\ntest_y := true\n"), vec![]),
        ("policies/agents/a3.case.yaml", None, vec![]),
    ] {
        let after = with(path, text);
        let set = check_after(&after, &before).unwrap();
        assert_eq!(set.compiled().iter().collect::<Vec<_>>(), compiled, "{path} {text:?}");
        assert_eq!(seen(&set), seen(&check(&after).unwrap()), "{path} {text:?}");
        // and the way back, which also shows that what was taken over can be taken over again
        let back = check_after(&tree(), &set).unwrap();
        assert_eq!(seen(&back), seen(&before), "{path} {text:?}");
    }
}

#[test]
fn a_problem_is_said_in_full_whatever_has_changed() {
    let before = check(&tree()).unwrap();
    for (path, text) in [
        ("policies/base.rego", None),
        ("policies/lib/m.rego", None),
        ("policies/lib/l.rego", None),
        ("policies/lib/m.rego", Some("package tollgate.lib.m\ntwo := 1\n")),
        ("policies/lib/m.rego", Some("package tollgate.lib.m\nimport data.tollgate.lib.l\none := 1 if l.yes(1)\n")),
        ("policies/lib/yes.rego", Some("package tollgate.lib.l.yes\nx := 1\n")),
        ("policies/agents/a3.rego", Some("package tollgate.agents.a3\nalow := true\n")),
        ("policies/agents/a3.rego", Some("package tollgate.agents.a3\nallow := {\n")),
        ("policies/agents/a3.rego", Some("package tollgate.agents.a3\nallow if nothing_of_that_name\n")),
        ("policies/agents/deep.rego", Some("package tollgate.agents.a3.allow_without_entity\nx := 1\n")),
        ("policies/stray.rego", Some("package other\nx := 1\n")),
        ("policies/agents/a3_test.rego", Some("package a3_test\ntest_x if {\n")),
        ("policies/agents/a3.case.yaml", Some("description: d\nwnat: 1\n")),
        ("data/x.json", Some("{")),
        ("data/x.yaml", Some("limit: 2")),
        ("data/tollgate.json", Some("{}")),
    ] {
        let after = with(path, text);
        let told = check_after(&after, &before).map(|_| ()).unwrap_err();
        assert_eq!(told, check(&after).map(|_| ()).unwrap_err(), "{path} {text:?}");
    }
}

#[test]
fn a_worker_keeps_the_engines_of_unchanged_layers() {
    let before = check(&tree()).unwrap();
    let mut bench = Bench::default();
    let mut judge_all = |set: &PolicySet| {
        for name in ["a1", "a2", "a3"] {
            bench.judge(set, name, None, &json!({}));
        }
        bench.engines.built().interpreters
    };
    assert_eq!((judge_all(&before), judge_all(&before)), (4, 4));
    let leaf = with("policies/agents/a3.rego", Some("package tollgate.agents.a3\nallow_without_entity := false\n"));
    let after = check_after(&leaf, &before).unwrap();
    assert_eq!(judge_all(&after), 5);
    let data = check_after(&with("data/x.json", Some("{\"limit\": 2}")), &before).unwrap();
    assert_eq!(judge_all(&data), 6, "a2 sees the data; a3 is as it was at first");
    assert_eq!(codes(&bench.judge(&data, "a2", None, &json!({}))), ["not_permitted"]);
    assert!(bench.judge(&before, "a2", None, &json!({})).allowed());
}

#[test]
fn what_is_known_of_an_unchanged_layer_stays() {
    let before = check(&tree()).unwrap();
    let leaf = with("policies/agents/a3.rego", Some("package tollgate.agents.a3\nallow_without_entity := false\n"));
    let after = check_after(&leaf, &before).unwrap();
    let bench = Bench::default();
    for name in ["a2", "a3"] {
        for _ in 0..3 {
            bench.quarantine.hit(&before.layer(&agent(name)).unwrap().digest, bench.now, &bench.limits);
        }
    }
    let mut bench = bench;
    assert_eq!(codes(&bench.judge(&after, "a2", None, &json!({}))), ["policy_quarantined"]);
    assert_eq!(codes(&bench.judge(&after, "a3", None, &json!({}))), ["not_permitted"]);

    let in_use = EnginesInUse::default();
    let mut compared = BTreeSet::new();
    while let Some(id) = in_use.next_to_compare(&before) {
        let layer = before.layer(&id).unwrap();
        in_use.compared(layer, agree(&before, layer, &[]));
        assert!(compared.insert(id), "twice");
    }
    assert!(compared.contains(&agent("a3")) && compared.len() > 2);
    assert_eq!(in_use.next_to_compare(&after), Some(agent("a3")));
    assert_eq!(in_use.next_to_compare(&after), None);
    assert!(matches!(in_use.of(after.layer(&agent("a2")).unwrap()), EngineInUse::Rvm(_)));
    assert!(matches!(in_use.of(after.layer(&agent("a3")).unwrap()), EngineInUse::Interpreter(_)));
}

/// What a file may be in a random tree.
fn variants(number: usize) -> Vec<Option<&'static str>> {
    let (path, usual) = FILES[number];
    let mut all = vec![Some(usual), Some(usual), None];
    all.extend(match path {
        "policies/lib/l.rego" => vec![
            Some("package tollgate.lib.l\nyes(1) := true\n"),
            Some("package tollgate.lib.l\nimport data.tollgate.lib.m\nyes(x) if { m.one == x; data.y.other }\n"),
            Some("package tollgate.lib.l\nyes := 1\n"),
        ],
        "policies/lib/m.rego" => vec![
            Some("package tollgate.lib.m\none := 1\n"),
            Some("package tollgate.lib.l.yes\none := 1\n"),
            Some("package tollgate.lib.m\nimport data.tollgate.lib.l\none := 1 if l.yes(1)\n"),
        ],
        "policies/agents/a1.rego" => vec![
            Some("package tollgate.agents.a1\nallow if data.tollgate.lib.m.one == 1\nimport data.y\n"),
            Some("package tollgate.agents.a1\ny := data.y.nothing\nwarn := 1\n"),
            Some("package tollgate.agents.a1\nallow if data.tollgate.base.deny\n"),
        ],
        "policies/agents/a3.rego" => {
            vec![Some("package tollgate.agents.a1\nextra := 1\n"), Some("package tollgate.agents.a3\nallow := x\n")]
        }
        "data/x.json" => vec![Some("{\"limit\": 2}"), Some("[1]"), Some("{")],
        _ => vec![],
    });
    all
}

fn any_tree() -> impl Strategy<Value = Tree> {
    prop::collection::vec(any::<prop::sample::Index>(), FILES.len()).prop_map(|choices| {
        let files = choices.iter().enumerate().filter_map(|(number, choice)| {
            let variants = variants(number);
            Some((FILES[number].0, variants[choice.index(variants.len())]?))
        });
        Tree::of(files)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_renewed_set_is_a_checked_set(first in any_tree(), second in any_tree()) {
        let before = check(&first).or_else(|_| check(&tree()));
        let before = before.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        match (check_after(&second, &before), check(&second)) {
            (Ok(renewed), Ok(checked)) => prop_assert_eq!(seen(&renewed), seen(&checked)),
            (Err(renewed), Err(checked)) => prop_assert_eq!(renewed, checked),
            (renewed, checked) => prop_assert!(false, "{renewed:?} {checked:?}"),
        }
    }
}
