//! What check and the engines need to know of a module, gathered in one walk over its syntax tree.

use super::rvm;
use regorus::Value;
use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};
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
fn place(span: &Span) -> Place {
    let before = span.source.contents().get(..span.start as usize).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (span.line, u32::try_from(line.chars().count() + 1).unwrap_or(u32::MAX))
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
        span: bytes(rule.span()),
        name_span,
        code: constant_code(rule),
        constant: constant_value(rule),
        references: walk.references,
        locals: walk.locals,
        replaced: walk.replaced,
        depth: walk.deepest,
    }
}

/// The variable that a head starts with, and whether more follows.
fn head_name(refr: &Expr) -> (Option<&Span>, bool) {
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
fn reference_of(expr: &Expr) -> Option<Reference> {
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

/// The deepest nesting that is walked; what lies deeper is refused by check on `depth`.
pub(super) const MAX_DEPTH: usize = 100;

#[derive(Default)]
struct Walk {
    references: Vec<Reference>,
    replaced: Vec<Reference>,
    locals: BTreeMap<String, Place>,
    depth: usize,
    deepest: usize,
}

impl Walk {
    fn head<'a>(&mut self, head: &'a RuleHead) -> (&'a Ref<Expr>, Shape) {
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

    fn query(&mut self, query: &Query) {
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

    fn expression(&mut self, expr: &Expr) {
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

impl Facts {
    /// The names of its rules.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.rules.iter().map(|rule| rule.name.as_str()).collect()
    }
}
