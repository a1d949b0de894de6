//! What comparing values may cost in the modules of one layer.

use super::program::{Here, Program, Summary, Target};
use super::scope::{Binding, From, Scope};
use super::size::{ENTRIES, Parts, Size};
use crate::policy::facts;
use crate::policy::problem::Problem;
use crate::policy::set::ContractRule;
use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};
use std::rc::Rc;

/// The most parts that one comparison may have to look at, without those of the input and of data.
const MOST: f64 = 1e6;
/// Comparisons of one function that depend on its arguments; what is beyond is counted as one that is as dear as all.
const MOST_OPEN: usize = 64;

/// What is too dear in modules that are compiled together.
pub(in crate::policy) fn problems(modules: &[Ref<Module>]) -> Vec<Problem> {
    let program = Program::of(modules);
    for (at, package) in program.packages.iter().enumerate() {
        for name in package.rules.keys() {
            program.summary(at, name);
        }
    }
    if program.steps.get() == 0
        && let Some(module) = modules.first()
    {
        let span = &module.package.span;
        let message = "what this layer compares cannot be told: its queries are nested too deep; split its rules";
        let problem = Problem::at(span.source.get_path(), facts::place(span), "too_large", message);
        program.problems.borrow_mut().push(problem);
    }
    program.problems.into_inner()
}

impl<'a> Program<'a> {
    /// What is known of a rule; its comparisons are looked at the first time.
    pub(super) fn summary(&self, package: usize, name: &'a str) -> Rc<Summary> {
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
        } else if let ("object.get", [object, key, ..]) = (function.span().text(), sizes.as_slice()) {
            self.compare_parts(&object.entry, &key.whole, span, summary);
        }
    }
}

fn is_plain(expr: &Expr) -> bool {
    matches!(expr, Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. })
}
