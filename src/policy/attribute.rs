//! Which rule gave a value: by the code in its head where that is telling, else by asking each rule by itself.
//!
//! For the second way a layer is compiled once more with a copy of each module in which every rule of the contract
//! has a name of its own, of the same length, and all other rules are blanked out; so lines and columns stay, and
//! the rules see the same helpers. Asked by that name, a rule tells what it alone contributes.

use super::compile::{Compiled, GATHERED, gathered, sources};
use super::set::{ContractRule, Head, Layer, PolicySet};
use super::tree::short;
use regorus::Value;

/// The rule's place as `entities/rfq.rego:12`, if the code alone tells it.
pub(super) fn by_code(layer: &Layer, name: ContractRule, code: Option<&str>) -> Option<String> {
    let mut heads = layer.heads.iter().filter(|head| head.name == name);
    if let (Some(only), None) = (heads.next(), heads.next()) {
        return Some(place(only));
    }
    let heads = || layer.heads.iter().filter(|head| head.name == name);
    // a head without a constant code may give any
    if heads().any(|head| head.code.is_none()) {
        return None;
    }
    let mut with_code = heads().filter(|head| head.code.as_deref() == code);
    match (with_code.next(), with_code.next()) {
        (Some(only), None) => Some(place(only)),
        _ => None,
    }
}

/// `entities/rfq.rego:12`.
pub(super) fn place(head: &Head) -> String {
    format!("{}:{}", short(&head.file), head.line)
}

/// The rules that can be asked one by one: with their number, which makes their name.
pub(super) fn single(layer: &Layer) -> impl Iterator<Item = (usize, &Head)> {
    layer.heads.iter().enumerate().filter(|(_, head)| !head.is_default)
}

/// The reference to a rule under its own name.
pub(super) fn reference(layer: &Layer, number: usize, head: &Head) -> String {
    layer.id.rule(&own_name(head.name, number))
}

/// Whether a rule's own value holds this entry, or is it.
pub(super) fn gave(own: &Value, entry: &Value) -> bool {
    match own {
        Value::Set(set) => set.contains(entry),
        other => other == entry,
    }
}

/// The name, in [`GATHERED`], of what each `deny` and `warn` gives by itself, by the rule's own name.
pub(super) const OWN: &str = "own";

/// The engine that knows each rule by its own name.
pub(super) fn compile(set: &PolicySet, layer: &Layer, data: Value) -> anyhow::Result<Compiled> {
    let copies = layer.files.iter().filter_map(|file| {
        let text = set.tree.files.get(file)?;
        Some((file.as_str(), renamed(layer, file, text)))
    });
    let said = single(layer).filter(|(_, head)| matches!(head.name, ContractRule::Deny | ContractRule::Warn));
    let own = said.map(|(number, head)| (own_name(head.name, number), reference(layer, number, head)));
    let asked = ("own", format!("package {GATHERED}\n{}", gathered(OWN, own)));
    Compiled::new(sources(set, layer.files.iter().chain(&layer.libraries)).chain(copies).chain([asked]), data)
}

/// `deny` → `z0a7`: as long as the name, and not likely one of the author's. Base 36 leaves room for 46,656 rules.
pub(super) fn own_name(name: ContractRule, number: usize) -> String {
    let digit = |n: usize| char::from_digit(u32::try_from(n % 36).unwrap_or(0), 36).unwrap_or('0');
    let number = [digit(number / 1296), digit(number / 36), digit(number)];
    let width = name.as_str().len();
    format!("{:_<width$}", format!("z{}", String::from_iter(number)))
}

/// A module with only the rules of the contract in it, each under its own name.
fn renamed(layer: &Layer, file: &str, text: &str) -> String {
    let mut kept = vec![false; text.len()];
    let mut keep = |span: (usize, usize)| {
        for flag in kept.iter_mut().take(span.1).skip(span.0) {
            *flag = true;
        }
    };
    let mut copy = text.to_owned();
    let mut first_rule = text.len();
    for (number, head) in layer.heads.iter().enumerate().filter(|(_, head)| head.file == file) {
        first_rule = first_rule.min(head.rules_begin);
        if head.is_default {
            continue;
        }
        keep(head.span);
        if copy.get(head.name_span.0..head.name_span.1) == Some(head.name.as_str()) {
            copy.replace_range(head.name_span.0..head.name_span.1, &own_name(head.name, number));
        }
    }
    // package and imports stand before the first rule
    keep((0, first_rule));
    let mut blanked = String::with_capacity(copy.len());
    for (at, letter) in copy.char_indices() {
        blanked.push(if letter == '\n' || kept.get(at) == Some(&true) { letter } else { ' ' });
    }
    blanked
}
