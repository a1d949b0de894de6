//! Which modules regorus' second engine may judge at all.
//!
//! The RVM makes a run-time error `undefined`, where the interpreter raises it, and it answers some Rego wrongly. So a
//! layer may run on it only if no expression of it can fail whatever the input is, and if its syntax stays inside what
//! is listed here: everything that is not listed is refused.

use regorus::Value;
use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Rule, RuleBody, RuleHead, Span};
use std::collections::BTreeSet;

/// Built-ins that have an answer for every value of every type.
const NEVER_FAIL: [&str; 8] =
    ["is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name"];

/// Parts of the input that Tollgate itself makes, always as arrays: what may be gone through with `some`.
pub(in crate::policy) const ALWAYS_ARRAYS: [&str; 3] = ["estimate", "budgets", "connectors"];

/// What was found in one module.
#[derive(Debug, Default)]
pub(in crate::policy) struct Found {
    /// The first line that keeps it on the interpreter, and what stands there.
    pub(in crate::policy) against: Option<(u32, String)>,
    /// Each definition of a complete rule or function, by name: its one constant value, if it has one.
    pub(in crate::policy) values: Vec<(String, Option<Value>)>,
    /// The strings and numbers that stand in it.
    pub(in crate::policy) constants: BTreeSet<Value>,
}

/// Looks through a module.
pub(in crate::policy) fn of_module(module: &Module) -> Found {
    let mut walk =
        Walk { rules: module.policy.iter().filter_map(|rule| simple_name(rule)).collect(), ..Walk::default() };
    for rule in &module.policy {
        walk.rule(rule);
    }
    walk.found
}

fn simple_name(rule: &Rule) -> Option<String> {
    let (Rule::Default { refr, .. }
    | Rule::Spec {
        head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. },
        ..
    }) = rule;
    match refr.as_ref() {
        Expr::Var { span, .. } => Some(span.text().to_owned()),
        _ => None,
    }
}

#[derive(Default)]
struct Walk {
    rules: BTreeSet<String>,
    found: Found,
}

impl Walk {
    fn against(&mut self, span: &Span, what: impl Into<String>) {
        if self.found.against.is_none() {
            self.found.against = Some((span.line, what.into()));
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let Some(name) = simple_name(rule) else {
            return self.against(rule.span(), "the rule's name has parts");
        };
        match rule {
            Rule::Default { args, value, span, .. } => {
                if !args.is_empty() {
                    self.against(span, "a function has a default");
                }
                if constant(value).is_none() {
                    self.against(span, "a default is not a constant");
                }
            }
            Rule::Spec { head, bodies, .. } => self.spec(name, head, bodies),
        }
    }

    fn spec(&mut self, name: String, head: &RuleHead, bodies: &[RuleBody]) {
        for body in bodies {
            if body.is_else || body.assign.is_some() {
                self.against(&body.span, "`else`");
            }
            self.query(&body.query);
        }
        match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                if let RuleHead::Func { args, .. } = head {
                    args.iter().for_each(|argument| self.bound(argument));
                }
                let value = match assign {
                    None => Some(Value::Bool(true)),
                    Some(assign) => {
                        self.expression(&assign.value);
                        constant(&assign.value)
                    }
                };
                self.found.values.push((name, value));
            }
            RuleHead::Set { key, span, .. } => match key {
                Some(key) => self.expression(key),
                None => self.against(span, "a set without a value"),
            },
        }
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            if let Some(with) = statement.with_mods.first() {
                self.against(&with.span, "`with`");
            }
            match &statement.literal {
                Literal::Expr { expr, .. } => match expr.as_ref() {
                    Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => {
                        self.bound(lhs);
                        self.expression(rhs);
                    }
                    expr => self.expression(expr),
                },
                Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::SomeIn { span, key, value, collection } => {
                    if key.is_some() {
                        self.against(span, "`some` with a key");
                    }
                    self.bound(value);
                    if !is_always_array(collection) {
                        self.against(span, "`some` over what may be no collection");
                    }
                }
                Literal::SomeVars { span, .. } => self.against(span, "a variable without a value"),
                Literal::Every { span, .. } => self.against(span, "`every`"),
            }
        }
    }

    /// A name that is given a value: a plain one, and not also that of a rule.
    fn bound(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { span, .. } if self.rules.contains(span.text()) => {
                self.against(span, format!("`{}` is a variable and a rule", span.text()));
            }
            Expr::Var { .. } => {}
            other => self.against(other.span(), "a pattern"),
        }
    }

    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::String { value, .. } | Expr::RawString { value, .. } | Expr::Number { value, .. } => {
                self.found.constants.insert(value.clone());
            }
            Expr::Bool { .. } | Expr::Null { .. } | Expr::Var { .. } => {}
            Expr::RefDot { refr, .. } => self.reference(refr),
            Expr::RefBrack { refr, index, span, .. } => {
                if !matches!(index.as_ref(), Expr::String { .. } | Expr::RawString { .. }) {
                    self.against(span, "a reference with a variable");
                }
                self.reference(refr);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.expression(item)),
            Expr::Object { fields, span, .. } => {
                let keys: Option<BTreeSet<Value>> = fields.iter().map(|(_, key, _)| constant(key)).collect();
                if keys.is_none_or(|keys| keys.len() != fields.len()) {
                    self.against(span, "an object whose keys are not constant");
                }
                fields.iter().for_each(|(_, _, value)| self.expression(value));
            }
            // the RVM goes on with what is undefined there, and puts it into the collection
            Expr::ArrayCompr { span, .. } | Expr::SetCompr { span, .. } | Expr::ObjectCompr { span, .. } => {
                self.against(span, "a comprehension");
            }
            Expr::BoolExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership { key, value, collection, span, .. } => {
                if key.is_some() {
                    self.against(span, "membership with a key");
                }
                self.expression(value);
                self.expression(collection);
            }
            Expr::Call { fcn, params, span, .. } => self.call(fcn, params.iter().map(AsRef::as_ref), span),
            Expr::UnaryExpr { expr, .. } if matches!(expr.as_ref(), Expr::Number { .. }) => {}
            Expr::UnaryExpr { span, .. } | Expr::ArithExpr { span, .. } => self.against(span, "arithmetic can fail"),
            Expr::BinExpr { span, .. } => self.against(span, "an operation on sets can fail"),
            Expr::AssignExpr { span, .. } => self.against(span, "`=`"),
        }
    }

    /// What a reference goes into: another one, or a variable.
    fn reference(&mut self, refr: &Expr) {
        match refr {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.expression(refr),
            other => self.against(other.span(), "a reference into a value"),
        }
    }

    fn call<'e>(&mut self, function: &Expr, parameters: impl Iterator<Item = &'e Expr>, span: &Span) {
        let name = path(function).map(|path| path.join("."));
        match name {
            // a function of the policy's own is looked through where it is written
            Some(name) if regorus::unstable::BUILTINS.contains_key(name.as_str()) => {
                if !NEVER_FAIL.contains(&name.as_str()) {
                    self.against(span, format!("`{name}` can fail"));
                }
            }
            Some(_) => {}
            None => self.against(span, "a call by a variable"),
        }
        parameters.for_each(|parameter| self.expression(parameter));
    }
}

/// `["input", "estimate"]` of `input.estimate`.
fn path(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Var { span, .. } => Some(vec![span.text()]),
        Expr::RefDot { refr, field, .. } => {
            let mut path = path(refr)?;
            path.push(field.0.text());
            Some(path)
        }
        _ => None,
    }
}

fn is_always_array(collection: &Expr) -> bool {
    matches!(path(collection).as_deref(), Some(["input", name]) if ALWAYS_ARRAYS.contains(name))
}

/// The value of a constant.
fn constant(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => Some(value.clone()),
        _ => None,
    }
}
