//! What comparing values may cost in the modules of one layer.

use super::scope::{Binding, From, Scope};
use super::size::{ENTRIES, Parts, Size};
use crate::policy::facts;
use crate::policy::problem::Problem;
use crate::policy::set::ContractRule;
use regorus::Value;
use regorus::unstable::{ArithOp, AssignOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The most parts that one comparison may have to look at, without those of the input and of data.
const MOST: f64 = 1e6;
/// Comparisons of one function that depend on its arguments; what is beyond is counted as one that is as dear as all.
const MOST_OPEN: usize = 64;

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

/// What is too dear in modules that are compiled together.
pub(in crate::policy) fn problems(modules: &[Ref<Module>]) -> Vec<Problem> {
    let program = Program::of(modules);
    for (at, package) in program.packages.iter().enumerate() {
        for name in package.rules.keys() {
            program.summary(at, name);
        }
    }
    program.problems.into_inner()
}

struct Program<'a> {
    packages: Vec<Package<'a>>,
    known: RefCell<BTreeMap<(usize, &'a str), Option<Rc<Summary>>>>,
    problems: RefCell<Vec<Problem>>,
}

/// The modules of one package; they share their imports.
#[derive(Default)]
struct Package<'a> {
    path: Vec<String>,
    rules: BTreeMap<&'a str, Vec<&'a Rule>>,
    imports: BTreeMap<String, Vec<String>>,
}

/// What is known of a rule or a function.
#[derive(Default)]
struct Summary {
    size: Option<Size>,
    /// Comparisons whose cost depends on the arguments: what is compared with what.
    open: Vec<(Parts, Parts)>,
    arguments: usize,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
struct Here<'s, 'a> {
    package: usize,
    scope: &'s Rc<Scope<'a>>,
}

/// What a reference leads to, and how many steps it goes on from there.
enum Target<'a> {
    Rule(usize, &'a str, usize),
    Variable(&'a str, usize),
    /// Into the value of another expression.
    Value(&'a Expr, usize),
    /// The input, data, a built-in.
    Outside,
}

impl<'a> Program<'a> {
    fn of(modules: &'a [Ref<Module>]) -> Self {
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
        Self { packages, known: RefCell::default(), problems: RefCell::default() }
    }

    fn summary(&self, package: usize, name: &'a str) -> Rc<Summary> {
        let key = (package, name);
        if let Some(known) = self.known.borrow().get(&key) {
            // a rule that depends on itself is refused elsewhere
            return known.clone().unwrap_or_default();
        }
        self.known.borrow_mut().insert(key, None);
        let rules = self.packages.get(package).and_then(|package| package.rules.get(name));
        let mut summary = Summary::default();
        for rule in rules.into_iter().flatten() {
            let several = rules.is_some_and(|rules| rules.len() > 1);
            self.definition(package, name, rule, several, &mut summary);
        }
        let summary = Rc::new(summary);
        self.known.borrow_mut().insert(key, Some(Rc::clone(&summary)));
        summary
    }

    fn definition(&self, package: usize, name: &str, rule: &'a Rule, several: bool, summary: &mut Summary) {
        let (head, bodies) = match rule {
            Rule::Default { args, value, .. } => {
                let scope = Scope::of_rule(args.iter().map(AsRef::as_ref), None);
                let here = Here { package, scope: &scope };
                self.inspect(value, here, summary);
                return summary.may_be(self.size(value, here));
            }
            Rule::Spec { head, bodies, .. } => (head, bodies),
        };
        let (refr, arguments, value) = match head {
            RuleHead::Compr { refr, assign, .. } => (refr, [].as_slice(), assign.as_ref().map(|assign| &assign.value)),
            RuleHead::Func { refr, args, assign, .. } => {
                (refr, args.as_slice(), assign.as_ref().map(|assign| &assign.value))
            }
            RuleHead::Set { refr, key, .. } => (refr, [].as_slice(), key.as_ref()),
        };
        summary.arguments = arguments.len();
        let is_set = matches!(head, RuleHead::Set { .. });
        let is_part = !matches!(refr.as_ref(), Expr::Var { .. });
        let is_heard = ContractRule::ALL.iter().any(|rule| rule.as_str() == name);
        let own_bodies =
            bodies.iter().map(|body| (Some(&body.query), body.assign.as_ref().map(|assign| &assign.value)));
        let none = bodies.is_empty().then_some((None, None));
        for (query, own) in own_bodies.map(|(query, own)| (query.map(AsRef::as_ref), own)).chain(none) {
            let scope = Scope::of_rule(arguments.iter().map(AsRef::as_ref), query);
            let here = Here { package, scope: &scope };
            if let Some(query) = query {
                self.inspect_query(query, here, summary);
            }
            self.inspect(refr, here, summary);
            let value = own.or(value);
            if let Some(value) = value {
                self.inspect(value, here, summary);
            }
            let size = value.map_or_else(Size::one, |value| self.size(value, here));
            let count = if scope.has_several() { ENTRIES } else { 1.0 };
            // values of one rule are compared with each other, and what Tollgate hears is compared with what it heard
            if is_set || is_heard || several || bodies.len() > 1 || scope.has_several() {
                self.compare(&size, &size, rule.span(), summary);
            }
            if is_set || is_part {
                summary.may_also_be(Size::of_many(count, &size.whole));
            } else {
                summary.may_be(size);
            }
        }
    }

    /// Notes a comparison: it ends at the latest where the smaller of both does.
    fn compare(&self, one: &Size, other: &Size, span: &Span, summary: &mut Summary) {
        self.compare_parts(&one.whole, &other.whole, span, summary);
    }

    fn compare_parts(&self, one: &Parts, other: &Parts, span: &Span, summary: &mut Summary) {
        let is_small = |parts: &Parts| parts.is_known() && parts.own <= MOST;
        if is_small(one) || is_small(other) {
            return;
        }
        if one.is_known() && other.is_known() {
            let message = "this compares values that hold the same parts many times over, which could take for ever; \
                           compare the parts by themselves";
            let file = span.source.get_path().clone();
            self.problems.borrow_mut().push(Problem::at(&file, facts::place(span), "too_large", message));
        } else if summary.open.len() < MOST_OPEN {
            let open = (one.clone(), other.clone());
            if !summary.open.contains(&open) {
                summary.open.push(open);
            }
        } else if let Some(last) = summary.open.last_mut() {
            *last = (last.0.or(one), last.1.or(other));
        }
    }

    fn resolve(&self, expr: &'a Expr, package: usize) -> Target<'a> {
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

    fn size(&self, expr: &'a Expr, here: Here<'_, 'a>) -> Size {
        match expr {
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

    fn inspect_query(&self, query: &'a Query, here: Here<'_, 'a>, summary: &mut Summary) {
        for statement in &query.stmts {
            for with in &statement.with_mods {
                // in what is asked with it, the input counts as one
                let size = self.size(&with.r#as, here);
                self.compare(&size, &size, &with.span, summary);
                self.inspect(&with.r#as, here, summary);
            }
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { collection, .. } => self.inspect(collection, here, summary),
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.inspect(expr, here, summary),
                Literal::Every { key, value, domain, query, .. } => {
                    self.inspect(domain, here, summary);
                    let inside = Binding { from: From::Value(domain), inside: true };
                    let names: Vec<_> = key.iter().chain([value]).map(|span| (span.text(), inside)).collect();
                    let scope = Scope::within(here.scope, query, &names);
                    self.inspect_query(query, Here { scope: &scope, ..here }, summary);
                }
            }
        }
    }

    /// Notes all comparisons in an expression.
    fn inspect(&self, expr: &'a Expr, here: Here<'_, 'a>, summary: &mut Summary) {
        let size = |expr: &'a Expr| self.size(expr, here);
        match expr {
            Expr::RefDot { refr, .. } => self.inspect(refr, here, summary),
            Expr::RefBrack { refr, index, span, .. } => {
                if !is_plain(index) {
                    self.compare_parts(&size(index).whole, &size(refr).entry, span, summary);
                }
                self.inspect(refr, here, summary);
                self.inspect(index, here, summary);
            }
            Expr::Array { items, .. } => items.iter().for_each(|item| self.inspect(item, here, summary)),
            Expr::Set { items, span, .. } => {
                let mut largest = Size::of_all(std::iter::empty());
                for item in items {
                    let item_size = size(item);
                    self.compare_parts(&item_size.whole, &largest.entry, span, summary);
                    largest = largest.or(&item_size.held());
                    self.inspect(item, here, summary);
                }
            }
            Expr::Object { fields, span, .. } => {
                for (_, key, value) in fields {
                    if !is_plain(key) {
                        self.compare(&size(key), &size(key), span, summary);
                    }
                    self.inspect(key, here, summary);
                    self.inspect(value, here, summary);
                }
            }
            Expr::ArrayCompr { term, query, .. } => self.inspect_within(&[term], query, None, here, summary),
            Expr::SetCompr { term, query, span, .. } => {
                self.inspect_within(&[term], query, Some(span), here, summary);
            }
            Expr::ObjectCompr { key, value, query, span, .. } => {
                self.inspect_within(&[key, value], query, Some(span), here, summary);
            }
            Expr::Call { fcn, params, span, .. } => {
                params.iter().for_each(|parameter| self.inspect(parameter, here, summary));
                self.inspect_call(fcn, params, span, here, summary);
            }
            Expr::UnaryExpr { expr, .. } => self.inspect(expr, here, summary),
            Expr::BoolExpr { lhs, rhs, span, .. } => {
                self.compare(&size(lhs), &size(rhs), span, summary);
                self.inspect(lhs, here, summary);
                self.inspect(rhs, here, summary);
            }
            Expr::BinExpr { lhs, rhs, span, .. } | Expr::ArithExpr { lhs, rhs, span, .. } => {
                self.compare_parts(&size(lhs).entry, &size(rhs).entry, span, summary);
                self.inspect(lhs, here, summary);
                self.inspect(rhs, here, summary);
            }
            Expr::AssignExpr { op, lhs, rhs, span, .. } => {
                // a variable that gets its value here and nowhere else is compared with nothing
                let is_fresh =
                    |expr: &Expr| matches!(expr, Expr::Var { span, .. } if here.scope.places(span.text()) == 1);
                if *op == AssignOp::Eq && !is_fresh(lhs) && !is_fresh(rhs) {
                    self.compare(&size(lhs), &size(rhs), span, summary);
                }
                self.inspect(lhs, here, summary);
                self.inspect(rhs, here, summary);
            }
            Expr::Membership { value, collection, span, .. } => {
                self.compare_parts(&size(value).whole, &size(collection).entry, span, summary);
                self.inspect(value, here, summary);
                self.inspect(collection, here, summary);
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => {}
        }
    }

    /// A comprehension; with a span, its terms are compared with each other.
    fn inspect_within(
        &self,
        terms: &[&'a Expr],
        query: &'a Query,
        compared: Option<&Span>,
        here: Here<'_, 'a>,
        summary: &mut Summary,
    ) {
        let scope = Scope::within(here.scope, query, &[]);
        let here = Here { scope: &scope, ..here };
        self.inspect_query(query, here, summary);
        for term in terms {
            if let Some(span) = compared {
                let size = self.size(term, here);
                self.compare(&size, &size, span, summary);
            }
            self.inspect(term, here, summary);
        }
    }

    fn inspect_call(
        &self,
        function: &'a Expr,
        parameters: &'a [Ref<Expr>],
        span: &Span,
        here: Here<'_, 'a>,
        summary: &mut Summary,
    ) {
        let sizes: Vec<Size> = parameters.iter().map(|parameter| self.size(parameter, here)).collect();
        if let Target::Rule(package, name, _) = self.resolve(function, here.package) {
            let called = self.summary(package, name);
            for (one, other) in &called.open {
                self.compare_parts(&one.with(&sizes), &other.with(&sizes), span, summary);
            }
            if let Some(answer) = sizes.get(called.arguments) {
                self.compare(&called.size().with(&sizes), answer, span, summary);
            }
        } else if function.span().text() == "object.get" {
            if let [object, key, ..] = sizes.as_slice() {
                self.compare_parts(&object.entry, &key.whole, span, summary);
            }
        }
    }
}

impl Summary {
    fn size(&self) -> Size {
        self.size.clone().unwrap_or_else(Size::one)
    }

    /// One definition of several, of which one gives the value.
    fn may_be(&mut self, size: Size) {
        self.size = Some(self.size.take().map_or_else(|| size.clone(), |known| known.or(&size)));
    }

    /// One definition of several, which add up.
    fn may_also_be(&mut self, size: Size) {
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

fn is_plain(expr: &Expr) -> bool {
    matches!(expr, Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. })
}

fn text(value: &Value) -> String {
    value.as_string().map(ToString::to_string).unwrap_or_default()
}
