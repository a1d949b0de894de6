//! The rules of a layer with its libraries, and the sizes of what their expressions may give.

use super::scope::{Binding, From, Scope};
use super::size::{ENTRIES, Parts, Size};
use crate::policy::facts;
use crate::policy::problem::Problem;
use regorus::Value;
use regorus::unstable::{ArithOp, Expr, Module, Ref, Rule, RuleHead};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Steps that finding this out may take for one layer. Queries in queries are gone through again for each one around.
const MOST_STEPS: u32 = 1_000_000;
/// Built-ins whose answer holds what they are given. All other answers are texts, numbers, and what is read out of texts.
const HOLD: [&str; 20] = [
    "array.concat",
    "array.reverse",
    "array.slice",
    "graph.reachable",
    "intersection",
    "json.filter",
    "json.remove",
    "max",
    "min",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.union",
    "object.union_n",
    "sort",
    "union",
    "walk",
    "split",
    "json.unmarshal",
];

/// The modules that are compiled together.
pub(super) struct Program<'a> {
    pub(super) packages: Vec<Package<'a>>,
    /// Rules and functions that have been looked at; `None` while one is.
    pub(super) known: RefCell<BTreeMap<(usize, &'a str), Option<Rc<Summary>>>>,
    pub(super) problems: RefCell<Vec<Problem>>,
    /// Steps that are left.
    pub(super) steps: Cell<u32>,
}

/// The modules of one package; they share their imports.
#[derive(Default)]
pub(super) struct Package<'a> {
    pub(super) path: Vec<String>,
    pub(super) rules: BTreeMap<&'a str, Vec<&'a Rule>>,
    pub(super) imports: BTreeMap<String, Vec<String>>,
}

/// What is known of a rule or a function.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) size: Option<Size>,
    /// Comparisons whose cost depends on the arguments: what is compared with what.
    pub(super) open: Vec<(Parts, Parts)>,
    pub(super) arguments: usize,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Here<'s, 'a> {
    pub(super) package: usize,
    pub(super) scope: &'s Rc<Scope<'a>>,
}

/// What a reference leads to, and how many steps it goes on from there.
pub(super) enum Target<'a> {
    Rule(usize, &'a str, usize),
    Variable(&'a str, usize),
    /// Into the value of another expression.
    Value(&'a Expr, usize),
    /// The input, data, a built-in.
    Outside,
}

impl<'a> Program<'a> {
    /// Gathers the rules of each package.
    pub(super) fn of(modules: &'a [Ref<Module>]) -> Self {
        let mut packages: Vec<Package<'a>> = Vec::new();
        for module in modules {
            let path = facts::constant_path(&module.package.refr);
            let at = packages.iter().position(|package| package.path == path).unwrap_or_else(|| {
                packages.push(Package { path, ..Package::default() });
                packages.len() - 1
            });
            let Some(package) = packages.get_mut(at) else { continue };
            for import in &module.imports {
                let path = facts::constant_path(&import.refr);
                let alias = import.r#as.as_ref().map(|span| span.text().to_owned()).or_else(|| path.last().cloned());
                package.imports.insert(alias.unwrap_or_default(), path);
            }
            for rule in &module.policy {
                if let Some(name) = facts::head_name(head_of(rule)).0 {
                    package.rules.entry(name.text()).or_default().push(rule.as_ref());
                }
            }
        }
        Self { packages, known: RefCell::default(), problems: RefCell::default(), steps: Cell::new(MOST_STEPS) }
    }

    /// What a reference leads to.
    pub(super) fn resolve(&self, expr: &'a Expr, package: usize) -> Target<'a> {
        let mut steps: Vec<Option<String>> = Vec::new();
        let mut at = expr;
        loop {
            match at {
                Expr::RefDot { refr, field, .. } => {
                    steps.push(Some(text(&field.1)));
                    at = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    steps.push(match index.as_ref() {
                        Expr::String { value, .. } | Expr::RawString { value, .. } => Some(text(value)),
                        _ => None,
                    });
                    at = refr;
                }
                Expr::Var { .. } => break,
                other => return Target::Value(other, steps.len()),
            }
        }
        steps.reverse();
        let name = at.span().text();
        let own = self.packages.get(package);
        if let Some((name, _)) = own.and_then(|own| own.rules.get_key_value(name)) {
            return Target::Rule(package, name, steps.len());
        }
        let constant = steps.iter().map_while(Clone::clone);
        let path: Vec<String> = match own.and_then(|own| own.imports.get(name)) {
            Some(path) => path.iter().cloned().chain(constant).collect(),
            None if name == "data" => std::iter::once("data".to_owned()).chain(constant).collect(),
            None if name == "input" => return Target::Outside,
            None => return Target::Variable(name, steps.len()),
        };
        self.find(&path, steps.len()).unwrap_or(Target::Outside)
    }

    /// The rule that a path from `data` on leads to.
    fn find(&self, path: &[String], steps: usize) -> Option<Target<'a>> {
        let path = path.strip_prefix(&["data".to_owned()])?;
        (1..path.len()).rev().find_map(|length| {
            let (package, rest) = path.split_at(length);
            let at = self.packages.iter().position(|known| known.path == package)?;
            let (name, _) = self.packages.get(at)?.rules.get_key_value(rest.first()?.as_str())?;
            Some(Target::Rule(at, name, steps.min(rest.len() - 1)))
        })
    }

    /// The size of an expression's value.
    pub(super) fn size(&self, expr: &'a Expr, here: Here<'_, 'a>) -> Size {
        self.steps.set(self.steps.get().saturating_sub(1));
        match expr {
            _ if self.steps.get() == 0 => Size::one(),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.size_of_reference(expr, here),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                Size::of_all(items.iter().map(|item| self.size(item, here)))
            }
            Expr::Object { fields, .. } => {
                Size::of_all(fields.iter().flat_map(|(_, key, value)| [self.size(key, here), self.size(value, here)]))
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                let scope = Scope::within(here.scope, query, &[]);
                Size::of_many(ENTRIES, &self.size(term, Here { scope: &scope, ..here }).whole)
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                let scope = Scope::within(here.scope, query, &[]);
                let here = Here { scope: &scope, ..here };
                Size::of_many(ENTRIES, &self.size(key, here).plus(&self.size(value, here)).whole)
            }
            Expr::Call { fcn, params, .. } => self.size_of_call(fcn, params, here),
            Expr::BinExpr { lhs, rhs, .. } => self.size(lhs, here).plus(&self.size(rhs, here)),
            Expr::ArithExpr { op: ArithOp::Sub, lhs, .. } => self.size(lhs, here),
            _ => Size::one(),
        }
    }

    fn size_of_reference(&self, expr: &'a Expr, here: Here<'_, 'a>) -> Size {
        let (size, steps) = match self.resolve(expr, here.package) {
            Target::Rule(package, name, steps) => (self.summary(package, name).size(), steps),
            Target::Value(value, steps) => (self.size(value, here), steps),
            Target::Outside => return Size::one(),
            Target::Variable(name, steps) => {
                let mut find = |scope: &Rc<Scope<'a>>, binding: &Binding<'a>| {
                    let whole = match binding.from {
                        From::Argument(number) => Size::of_argument(number),
                        From::Value(value) => self.size(value, Here { scope, ..here }),
                    };
                    if binding.inside { whole.inside() } else { whole }
                };
                (here.scope.size_of(name, &mut find).unwrap_or_else(Size::one), steps)
            }
        };
        if steps == 0 { size } else { size.inside() }
    }

    fn size_of_call(&self, function: &'a Expr, parameters: &'a [Ref<Expr>], here: Here<'_, 'a>) -> Size {
        let sizes = parameters.iter().map(|parameter| self.size(parameter, here));
        match self.resolve(function, here.package) {
            Target::Rule(package, name, _) => self.summary(package, name).size().with(&sizes.collect::<Vec<_>>()),
            _ if HOLD.contains(&function.span().text()) => sizes.fold(Size::one(), |all, size| all.plus(&size)),
            _ => Size::one(),
        }
    }
}

impl Summary {
    pub(super) fn size(&self) -> Size {
        self.size.clone().unwrap_or_else(Size::one)
    }

    /// One definition of several, of which one gives the value.
    pub(super) fn may_be(&mut self, size: Size) {
        self.size = Some(self.size.take().map_or_else(|| size.clone(), |known| known.or(&size)));
    }

    /// One definition of several, which add up.
    pub(super) fn may_also_be(&mut self, size: Size) {
        self.size = Some(self.size.take().map_or_else(|| size.clone(), |known| known.plus(&size)));
    }
}

fn head_of(rule: &Rule) -> &Expr {
    let (Rule::Default { refr, .. }
    | Rule::Spec {
        head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. },
        ..
    }) = rule;
    refr
}

fn text(value: &Value) -> String {
    value.as_string().map(ToString::to_string).unwrap_or_default()
}
