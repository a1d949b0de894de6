//! What a variable may be: every place where it gets a value.

use super::size::Size;
use regorus::unstable::{AssignOp, Expr, Literal, Query};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// One place where a variable gets a value.
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    pub(super) from: From<'a>,
    /// The variable gets what lies inside of it.
    pub(super) inside: bool,
}

/// What a variable gets its value from.
#[derive(Clone, Copy)]
pub(super) enum From<'a> {
    /// The value of an expression.
    Value(&'a Expr),
    /// An argument of the function.
    Argument(usize),
}

/// The variables of a query, inside of those around it.
pub(super) struct Scope<'a> {
    variables: BTreeMap<&'a str, Vec<Binding<'a>>>,
    around: Option<Rc<Scope<'a>>>,
    /// The sizes of the variables, once one has been asked for; one that is not there yet counts as one part.
    known: RefCell<Option<BTreeMap<&'a str, Size>>>,
}

impl<'a> Scope<'a> {
    /// Of a rule, with its arguments.
    pub(super) fn of_rule(arguments: impl Iterator<Item = &'a Expr>, query: Option<&'a Query>) -> Rc<Self> {
        let mut scope = Self { variables: BTreeMap::new(), around: None, known: RefCell::default() };
        for (number, argument) in arguments.enumerate() {
            scope.pattern(argument, From::Argument(number), false);
        }
        if let Some(query) = query {
            scope.query(query);
        }
        Rc::new(scope)
    }

    /// Of a comprehension or an `every` inside of another query.
    pub(super) fn within(around: &Rc<Self>, query: &'a Query, more: &[(&'a str, Binding<'a>)]) -> Rc<Self> {
        let around = Some(Rc::clone(around));
        let mut scope = Self { variables: BTreeMap::new(), around, known: RefCell::default() };
        for (name, binding) in more {
            scope.bind(name, *binding);
        }
        scope.query(query);
        Rc::new(scope)
    }

    /// The size of a variable, here and in every query around: an inner one may only look for what an outer one has. `find`
    /// gives the size of what a variable gets its value from.
    pub(super) fn size_of(
        self: &Rc<Self>,
        name: &str,
        find: &mut dyn FnMut(&Rc<Self>, &Binding<'a>) -> Size,
    ) -> Option<Size> {
        let around = self.around.as_ref().and_then(|around| around.size_of(name, find));
        if !self.variables.contains_key(name) {
            return around;
        }
        if self.known.borrow().is_none() {
            self.find_all(find);
        }
        let own = self.known.borrow().as_ref().and_then(|known| known.get(name).cloned());
        let own = own.unwrap_or_else(Size::one);
        Some(around.map_or_else(|| own.clone(), |around| around.or(&own)))
    }

    /// Finds the sizes of all variables, which may depend on each other in circles (`x = [y]` gives a value to either): again
    /// until nothing changes, and no more often than a chain of them can be long.
    fn find_all(self: &Rc<Self>, find: &mut dyn FnMut(&Rc<Self>, &Binding<'a>) -> Size) {
        *self.known.borrow_mut() = Some(BTreeMap::new());
        for _ in 0..=self.variables.len() {
            let mut changed = false;
            for (name, bindings) in &self.variables {
                let size = bindings.iter().map(|binding| find(self, binding)).reduce(|one, other| one.or(&other));
                if let Some(known) = self.known.borrow_mut().as_mut()
                    && known.get(name) != size.as_ref()
                {
                    known.extend(size.map(|size| (*name, size)));
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Whether the query may have several answers, as far as its variables tell.
    pub(super) fn has_several(&self) -> bool {
        self.variables.values().flatten().any(|binding| binding.inside)
    }

    /// In how many places of this query a variable gets a value.
    pub(super) fn places(&self, name: &str) -> usize {
        self.variables.get(name).map_or(0, Vec::len)
    }

    fn bind(&mut self, name: &'a str, binding: Binding<'a>) {
        if name != "_" {
            self.variables.entry(name).or_default().push(binding);
        }
    }

    /// The variables of a pattern: `x`, `[x, {"key": y}]`.
    fn pattern(&mut self, pattern: &'a Expr, from: From<'a>, inside: bool) {
        match pattern {
            Expr::Var { span, .. } => self.bind(span.text(), Binding { from, inside }),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.pattern(item, from, true));
            }
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| self.pattern(value, from, true)),
            _ => {}
        }
    }

    fn query(&mut self, query: &'a Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    for pattern in key.iter().chain([value]) {
                        self.pattern(pattern, From::Value(collection), true);
                    }
                    self.expression(collection);
                }
                Literal::Expr { expr, .. } => {
                    if let Expr::AssignExpr { op, lhs, rhs, .. } = expr.as_ref() {
                        self.pattern(lhs, From::Value(rhs), false);
                        if *op == AssignOp::Eq {
                            self.pattern(rhs, From::Value(lhs), false);
                        }
                    }
                    // `walk(x, [path, value])`: one argument more than the function has is its answer
                    if let Expr::Call { params, .. } = expr.as_ref()
                        && let Some(answer) = params.last()
                    {
                        self.pattern(answer, From::Value(expr), false);
                    }
                    self.expression(expr);
                }
                Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { domain, .. } => self.expression(domain),
            }
        }
    }

    /// Variables in brackets get what they find there: `names[x]`. What stands in a query of its own is of another scope.
    fn expression(&mut self, expr: &'a Expr) {
        match expr {
            Expr::RefBrack { refr, index, .. } => {
                self.pattern(index, From::Value(refr), true);
                self.expression(refr);
                self.expression(index);
            }
            Expr::RefDot { refr, .. } => self.expression(refr),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.expression(item)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expression(key);
                self.expression(value);
            }),
            Expr::Call { params, .. } => params.iter().for_each(|parameter| self.expression(parameter)),
            Expr::UnaryExpr { expr, .. } => self.expression(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership { value, collection, .. } => {
                self.expression(value);
                self.expression(collection);
            }
            _ => {}
        }
    }
}
