//! The walk over the syntax tree of one rule: what it refers to, what it declares, how deep it is nested.

use super::facts::{Place, Reference, Shape, place, reference_of};
use regorus::unstable::{AssignOp, Expr, Literal, Query, Ref, RuleHead, Span};
use std::collections::BTreeMap;

/// The deepest nesting that is walked; what lies deeper is refused by check on `depth`.
pub(super) const MAX_DEPTH: usize = 100;

/// What was found so far in one rule.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) references: Vec<Reference>,
    pub(super) replaced: Vec<Reference>,
    pub(super) locals: BTreeMap<String, Place>,
    depth: usize,
    pub(super) deepest: usize,
}

impl Walk {
    pub(super) fn head<'a>(&mut self, head: &'a RuleHead) -> (&'a Ref<Expr>, Shape) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.head_indexes(refr);
                if let Some(assign) = assign {
                    self.expression(&assign.value);
                }
                (refr, Shape::Complete)
            }
            RuleHead::Set { refr, key, .. } => {
                self.head_indexes(refr);
                if let Some(key) = key {
                    self.expression(key);
                }
                (refr, Shape::Set)
            }
            RuleHead::Func { refr, args, assign, .. } => {
                for argument in args {
                    self.pattern(argument);
                    self.expression(argument);
                }
                if let Some(assign) = assign {
                    self.expression(&assign.value);
                }
                (refr, Shape::Function(args.len()))
            }
        }
    }

    /// The variables in the brackets of a head: `x[y]`.
    fn head_indexes(&mut self, refr: &Expr) {
        match refr {
            Expr::RefDot { refr, .. } => self.head_indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.head_indexes(refr);
                self.expression(index);
            }
            _ => {}
        }
    }

    /// The variables that a pattern binds.
    fn pattern(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { span, .. } => self.local(span),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.pattern(item)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| self.pattern(value)),
            _ => {}
        }
    }

    fn local(&mut self, span: &Span) {
        if span.text() != "_" {
            self.locals.entry(span.text().to_owned()).or_insert_with(|| place(span));
        }
    }

    pub(super) fn query(&mut self, query: &Query) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth <= MAX_DEPTH {
            for statement in &query.stmts {
                self.literal(&statement.literal);
                for with in &statement.with_mods {
                    self.replaced.extend(reference_of(&with.refr));
                    self.expression(&with.r#as);
                }
            }
        }
        self.depth -= 1;
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::SomeVars { vars, .. } => vars.iter().for_each(|span| self.local(span)),
            Literal::SomeIn { key, value, collection, .. } => {
                if let Some(key) = key {
                    self.pattern(key);
                    self.expression(key);
                }
                self.pattern(value);
                self.expression(value);
                self.expression(collection);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
            Literal::Every { key, value, domain, query, .. } => {
                if let Some(key) = key {
                    self.local(key);
                }
                self.local(value);
                self.expression(domain);
                self.query(query);
            }
        }
    }

    pub(super) fn expression(&mut self, expr: &Expr) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth <= MAX_DEPTH {
            self.inner(expr);
        }
        self.depth -= 1;
    }

    fn inner(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr, None),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.expression(item)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expression(key);
                self.expression(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expression(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expression(key);
                self.expression(value);
                self.query(query);
            }
            Expr::Call { fcn, params, .. } => {
                self.reference(fcn, Some(params.len()));
                for parameter in params {
                    self.expression(parameter);
                }
            }
            Expr::UnaryExpr { expr, .. } => self.expression(expr),
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if *op == AssignOp::ColEq {
                    self.pattern(lhs);
                }
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                if let Some(key) = key {
                    self.expression(key);
                }
                self.expression(value);
                self.expression(collection);
            }
        }
    }

    fn reference(&mut self, expr: &Expr, arguments: Option<usize>) {
        match reference_of(expr) {
            Some(reference) => self.references.push(Reference { arguments, ..reference }),
            // a reference into a call or a literal: `f(x).y`, `[1, 2][i]`
            None => self.root_of(expr),
        }
        self.indexes(expr);
    }

    fn root_of(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => self.root_of(refr),
            Expr::Var { .. } => {}
            other => self.expression(other),
        }
    }

    /// Walks what stands in the brackets of a reference.
    fn indexes(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expression(index);
            }
            _ => {}
        }
    }
}
