//! What check and the engines need to know of a module, gathered in one walk over its syntax tree.

use super::rvm;
use super::walk::Walk;
use regorus::Value;
use regorus::unstable::{Expr, Module, Rule, RuleHead, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A place in a file: line and column, from 1.
pub(super) type Place = (u32, u32);

/// One module.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `["tollgate", "entities", "rfq"]`.
    pub(super) package: Vec<String>,
    /// Where the package is declared.
    pub(super) package_place: Place,
    /// Alias → what it stands for, and where.
    pub(super) imports: BTreeMap<String, (Vec<String>, Place)>,
    /// The rules, in the order of the file.
    pub(super) rules: Vec<RuleFacts>,
    /// What speaks for and against the second engine.
    pub(super) subset: rvm::Found,
}

/// How a rule's head looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `x := 1`, `x if …`
    Complete,
    /// `x contains y`
    Set,
    /// `f(a, b)`, with the number of arguments.
    Function(usize),
    /// `default x := 1`
    Default,
    /// `default f(_) := 1`
    DefaultFunction(usize),
}

/// One rule, as written (a name may have several).
#[derive(Debug)]
pub(super) struct RuleFacts {
    /// The first part of its name: `deny`.
    pub(super) name: String,
    /// Whether the head goes on behind the name: `deny.x`, `deny[x]`.
    pub(super) dotted: bool,
    /// How its head looks.
    pub(super) shape: Shape,
    /// Where it stands.
    pub(super) place: Place,
    /// Bytes of the rule in the file.
    pub(super) span: (usize, usize),
    /// Bytes of its name in the file.
    pub(super) name_span: (usize, usize),
    /// The constant `code` of `contains {"code": "x", …}`.
    pub(super) code: Option<String>,
    /// The value of `:= "yes"` where it is a constant.
    pub(super) constant: Option<Value>,
    /// What it refers to.
    pub(super) references: Vec<Reference>,
    /// Names declared in it: arguments, `some`, `:=`, `every`.
    pub(super) locals: BTreeMap<String, Place>,
    /// What its `with` modifiers replace.
    pub(super) replaced: Vec<Reference>,
    /// How deep its expressions are nested.
    pub(super) depth: usize,
}

/// A part of a reference behind its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `.x` or `["x"]`.
    Constant(String),
    /// `[x]`.
    Dynamic,
}

/// `data.tollgate.lib.dates.parse(x)`: a root, its parts, and, if it is called, with how many arguments.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// The variable that it starts with.
    pub(super) root: String,
    /// What follows.
    pub(super) parts: Vec<Part>,
    /// Where it stands.
    pub(super) place: Place,
    /// The number of arguments of a call.
    pub(super) arguments: Option<usize>,
}

impl Reference {
    /// Root and constant parts up to the first dynamic one.
    pub(super) fn prefix(&self) -> Vec<&str> {
        let constant = self.parts.iter().map_while(|part| match part {
            Part::Constant(name) => Some(name.as_str()),
            Part::Dynamic => None,
        });
        std::iter::once(self.root.as_str()).chain(constant).collect()
    }

    /// As it would be called: `time.now_ns`.
    pub(super) fn dotted(&self) -> String {
        self.prefix().join(".")
    }
}

/// The place of a span, its column in characters: regorus' own counts a tab as four.
pub(super) fn place(span: &Span) -> Place {
    let before = span.source.contents().get(..span.start as usize).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (span.line, u32::try_from(line.chars().count() + 1).unwrap_or(u32::MAX))
}

/// A rule's bytes. regorus ends it before the quote where a string stands last.
fn whole(span: &Span) -> (usize, usize) {
    let (start, end) = bytes(span);
    let quoted = matches!(span.source.contents().as_bytes().get(end), Some(b'"' | b'`'));
    (start, end + usize::from(quoted))
}

fn bytes(span: &Span) -> (usize, usize) {
    (span.start as usize, span.end as usize)
}

fn text(value: &Value) -> String {
    value.as_string().map(ToString::to_string).unwrap_or_default()
}

/// Gathers the facts of a parsed module.
pub(super) fn gather(module: &Module) -> Facts {
    let package = reference_of(&module.package.refr);
    let mut facts = Facts { package_place: place(&module.package.span), ..Facts::default() };
    if let Some(package) = package {
        facts.package = package.prefix().into_iter().map(str::to_owned).collect();
    }
    for import in &module.imports {
        let Some(reference) = reference_of(&import.refr) else { continue };
        let path: Vec<String> = reference.prefix().into_iter().map(str::to_owned).collect();
        let alias = import.r#as.as_ref().map(|span| span.text().to_owned()).or_else(|| path.last().cloned());
        facts.imports.insert(alias.unwrap_or_default(), (path, reference.place));
    }
    facts.rules = module.policy.iter().map(|rule| rule_facts(rule)).collect();
    facts.subset = rvm::of_module(module);
    facts
}

fn rule_facts(rule: &Rule) -> RuleFacts {
    let mut walk = Walk::default();
    let (refr, shape) = match rule {
        Rule::Default { refr, args, value, .. } => {
            walk.expression(value);
            (refr, if args.is_empty() { Shape::Default } else { Shape::DefaultFunction(args.len()) })
        }
        Rule::Spec { head, bodies, .. } => {
            let found = walk.head(head);
            for body in bodies {
                if let Some(assign) = &body.assign {
                    walk.expression(&assign.value);
                }
                walk.query(&body.query);
            }
            found
        }
    };
    let (root, dotted) = head_name(refr);
    let (name, name_span) = root.map_or((String::new(), (0, 0)), |span| (span.text().to_owned(), bytes(span)));
    RuleFacts {
        name,
        dotted,
        shape,
        place: place(rule.span()),
        span: whole(rule.span()),
        name_span,
        code: constant_code(rule),
        constant: constant_value(rule),
        references: walk.references,
        locals: walk.locals,
        replaced: walk.replaced,
        depth: walk.deepest,
    }
}

/// A path of names: `["tollgate", "lib", "dates"]`, as far as it is constant.
pub(super) fn constant_path(expr: &Expr) -> Vec<String> {
    let reference = reference_of(expr);
    reference.map(|path| path.prefix().into_iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// The variable that a head starts with, and whether more follows.
pub(super) fn head_name(refr: &Expr) -> (Option<&Span>, bool) {
    match refr {
        Expr::Var { span, .. } => (Some(span), false),
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => (head_name(refr).0, true),
        _ => (None, true),
    }
}

fn constant_code(rule: &Rule) -> Option<String> {
    let Rule::Spec { head: RuleHead::Set { key: Some(key), .. }, .. } = rule else { return None };
    let Expr::Object { fields, .. } = key.as_ref() else { return None };
    fields.iter().find_map(|(_, key, value)| match (key.as_ref(), value.as_ref()) {
        (Expr::String { value: key, .. }, Expr::String { value: code, .. }) if text(key) == "code" => Some(text(code)),
        _ => None,
    })
}

fn constant_value(rule: &Rule) -> Option<Value> {
    let assigned = match rule {
        Rule::Default { value, .. } => value,
        Rule::Spec { head: RuleHead::Compr { assign: Some(assign), .. }, .. } => &assign.value,
        Rule::Spec { .. } => return None,
    };
    match assigned.as_ref() {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => Some(value.clone()),
        _ => None,
    }
}

/// A reference, if the expression is one from a variable on. Dynamic indexes are not walked here.
pub(super) fn reference_of(expr: &Expr) -> Option<Reference> {
    match expr {
        Expr::Var { span, .. } => {
            Some(Reference { root: span.text().to_owned(), parts: Vec::new(), place: place(span), arguments: None })
        }
        Expr::RefDot { refr, field, .. } => {
            let mut reference = reference_of(refr)?;
            reference.parts.push(Part::Constant(text(&field.1)));
            Some(reference)
        }
        Expr::RefBrack { refr, index, .. } => {
            let mut reference = reference_of(refr)?;
            reference.parts.push(match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } => Part::Constant(text(value)),
                _ => Part::Dynamic,
            });
            Some(reference)
        }
        _ => None,
    }
}

impl Facts {
    /// The names of its rules.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.rules.iter().map(|rule| rule.name.as_str()).collect()
    }
}
