//! Which built-ins a policy may call, and the caps that hold for them.
//!
//! A closed list: what is not on it is refused by check. Of what is on it, some run as regorus has them; the others
//! are weighed first, because regorus' timer does not fire inside a built-in. A call whose arguments, or whose
//! answer as far as it can be told beforehand, would weigh more than [`CAP`] is stopped, and counts as a limit that
//! the layer hit.

use super::weight::{
    CAP, PATTERN_CAP, concat, number, range, regex_replace, replace, replace_n, shift, sprintf, weigh,
};
use regex::Regex;
use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What check says of a built-in.
pub(super) enum Verdict {
    /// May be called, with this many arguments.
    Allowed(u8),
    /// May not; the reason.
    Refused(&'static str),
    /// There is no such built-in.
    Unknown,
}

/// Asks for the built-in of that name. `print` and `trace` are for tests.
pub(super) fn verdict(name: &str, in_test: bool) -> Verdict {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return if in_test && matches!(name, "print" | "trace") {
            Verdict::Allowed(u8::MAX)
        } else {
            Verdict::Refused(why)
        };
    }
    match (TABLE.get(name), BUILTINS.get(name)) {
        (Some(_), Some((_, arguments))) => Verdict::Allowed(*arguments),
        _ => Verdict::Unknown,
    }
}

const CLOCK: &str = "its answer is not a function of the input, so a decision could not be replayed";
const UNBOUNDED: &str = "its answer can outgrow its input without bound";

const REFUSED: &[(&str, &str)] = &[
    ("http.send", CLOCK),
    ("net.lookup_ip_addr", CLOCK),
    ("opa.runtime", CLOCK),
    ("rand.intn", CLOCK),
    ("uuid.rfc4122", CLOCK),
    ("rego.parse_module", CLOCK),
    ("rego.metadata.chain", CLOCK),
    ("rego.metadata.rule", CLOCK),
    ("graph.reachable_paths", UNBOUNDED),
    ("net.cidr_expand", UNBOUNDED),
    ("strings.render_template", UNBOUNDED),
    ("json.match_schema", "its patterns may backtrack without bound; give the entity type a schema instead"),
    ("json.verify_schema", "its patterns may backtrack without bound; give the entity type a schema instead"),
    ("print", "it writes to nowhere while Tollgate serves; use it in a test"),
    ("trace", "it writes to nowhere while Tollgate serves; use it in a test"),
];

/// What is looked at before a call.
#[derive(Clone, Copy)]
enum Guard {
    /// Takes and gives at most a number or a flag, or works in one pass over a flat value: as regorus has it.
    None,
    /// Its answer weighs no more than a small multiple of its arguments.
    Weigh,
    /// Its answer is estimated too.
    Estimate(fn(&[Value]) -> usize),
    /// The first argument is a pattern that is compiled.
    Pattern(usize),
    /// Answers from `input.now`.
    Now,
}

static TABLE: LazyLock<BTreeMap<&'static str, Guard>> = LazyLock::new(|| {
    use Guard::{Estimate, None, Now, Pattern, Weigh};
    let flat = [
        "count",
        "abs",
        "ceil",
        "floor",
        "round",
        "bits.and",
        "bits.negate",
        "bits.or",
        "bits.rsh",
        "bits.xor",
        "is_array",
        "is_boolean",
        "is_null",
        "is_number",
        "is_object",
        "is_set",
        "is_string",
        "type_name",
        "object.get",
        "contains",
        "endswith",
        "startswith",
        "indexof",
        "substring",
        "array.slice",
        "time.add_date",
        "time.clock",
        "time.date",
        "time.diff",
        "time.parse_duration_ns",
        "time.parse_ns",
        "time.parse_rfc3339_ns",
        "time.weekday",
        "net.cidr_is_valid",
        "net.cidr_contains",
        "semver.compare",
        "semver.is_valid",
        "uuid.parse",
        "strings.count",
    ];
    let weighed = [
        "max",
        "min",
        "product",
        "sort",
        "sum",
        "array.concat",
        "array.reverse",
        "base64.decode",
        "base64.encode",
        "base64.is_valid",
        "base64url.decode",
        "base64url.encode",
        "base64url.encode_no_pad",
        "hex.decode",
        "hex.encode",
        "urlquery.decode",
        "urlquery.decode_object",
        "urlquery.encode",
        "urlquery.encode_object",
        "json.is_valid",
        "json.marshal",
        "json.marshal_with_options",
        "json.unmarshal",
        "yaml.is_valid",
        "yaml.marshal",
        "yaml.unmarshal",
        "glob.quote_meta",
        "graph.reachable",
        "walk",
        "json.filter",
        "json.remove",
        "object.filter",
        "object.keys",
        "object.remove",
        "object.subset",
        "object.union",
        "object.union_n",
        "regex.split",
        "regex.is_valid",
        "intersection",
        "union",
        "indexof_n",
        "lower",
        "upper",
        "split",
        "strings.any_prefix_match",
        "strings.any_suffix_match",
        "strings.reverse",
        "trim",
        "trim_left",
        "trim_prefix",
        "trim_right",
        "trim_space",
        "trim_suffix",
        "time.format",
        "format_int",
    ];
    let mut table: BTreeMap<&str, Guard> = BTreeMap::new();
    table.extend(flat.map(|name| (name, None)));
    table.extend(weighed.map(|name| (name, Weigh)));
    table.extend([
        ("numbers.range", Estimate(range)),
        ("numbers.range_step", Estimate(range)),
        ("bits.lsh", Estimate(shift)),
        ("to_number", Estimate(number)),
        ("units.parse", Estimate(number)),
        ("units.parse_bytes", Estimate(number)),
        ("concat", Estimate(concat)),
        ("replace", Estimate(replace)),
        ("strings.replace_n", Estimate(replace_n)),
        ("regex.replace", Estimate(regex_replace)),
        ("sprintf", Estimate(sprintf)),
        ("regex.match", Pattern(0)),
        ("regex.find_n", Pattern(0)),
        ("regex.find_all_string_submatch_n", Pattern(0)),
        ("regex.template_match", Pattern(0)),
        ("glob.match", Pattern(0)),
        ("time.now_ns", Now),
    ]);
    table
});

/// What an engine shares with its built-ins.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    /// `input.now.ns` of the evaluation.
    pub(super) now_ns: Arc<AtomicI64>,
    /// Set when a built-in was stopped at a cap.
    pub(super) capped: Arc<AtomicBool>,
}

/// What regorus wants to be handed beside the values: it names it in errors. Made once, for all engines only read it.
struct StandIns {
    span: Span,
    /// As many as any built-in has arguments.
    parameters: Vec<Ref<Expr>>,
}

static STAND_INS: LazyLock<Option<StandIns>> = LazyLock::new(|| {
    let source = Source::from_contents("built-in".to_owned(), " ".to_owned()).ok()?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let most = BUILTINS.values().map(|(_, arguments)| *arguments).max().unwrap_or_default();
    let parameters = (0..most).map(|_| Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 }));
    Some(StandIns { parameters: parameters.collect(), span })
});

/// Puts the guards before the built-ins of an engine. regorus asks its extensions before its own table.
pub(super) fn install(engine: &mut Engine, shared: &Shared) -> anyhow::Result<()> {
    let Some(StandIns { span, parameters }) = &*STAND_INS else {
        anyhow::bail!("regorus takes no source of one letter")
    };
    for (name, guard) in TABLE.iter() {
        let Some((function, arguments)) = BUILTINS.get(name) else { continue };
        let (guard, function, shared) = (*guard, *function, shared.clone());
        match guard {
            Guard::None => continue,
            Guard::Now => {
                let now = move |_: Vec<Value>| Ok(Value::from(shared.now_ns.load(Ordering::Relaxed)));
                engine.add_extension((*name).to_owned(), *arguments, Box::new(now))?;
                continue;
            }
            Guard::Weigh | Guard::Estimate(_) | Guard::Pattern(_) => {}
        }
        let parameters = parameters.get(..usize::from(*arguments)).unwrap_or(parameters);
        let mut patterns = Patterns::default();
        let guarded = move |values: Vec<Value>| {
            if weight(guard, &values) > CAP {
                shared.capped.store(true, Ordering::Relaxed);
                anyhow::bail!("{name} was stopped at its limit of {CAP} bytes");
            }
            if *name == "regex.match"
                && let Some(answer) = patterns.answer(&values)
            {
                return Ok(answer);
            }
            let answer = function(span, parameters, &values, true);
            if *name == "regex.match" && answer.is_ok() {
                patterns.keep(&values);
            }
            answer.map_err(|error| anyhow::anyhow!(super::syntax::message(&error.to_string())))
        };
        engine.add_extension((*name).to_owned(), *arguments, Box::new(guarded))?;
    }
    Ok(())
}

/// The patterns that `regex.match` has been asked for. regorus keeps them too, but hands each call a copy, and a copy
/// builds its tables anew: 170 µs for the pattern of a date, where this takes one.
#[derive(Clone, Default)]
struct Patterns(BTreeMap<Arc<str>, Regex>);

/// As many patterns as one engine keeps; an agent may send others, and these are asked of regorus.
const MAX_PATTERNS: usize = 16;

impl Patterns {
    fn answer(&self, values: &[Value]) -> Option<Value> {
        match values {
            [Value::String(pattern), Value::String(text)] => {
                self.0.get(&**pattern).map(|pattern| Value::Bool(pattern.is_match(text)))
            }
            _ => None,
        }
    }

    /// Keeps a pattern that regorus has taken.
    fn keep(&mut self, values: &[Value]) {
        if let Some(Value::String(pattern)) = values.first()
            && self.0.len() < MAX_PATTERNS
            && let Ok(compiled) = Regex::new(pattern)
        {
            self.0.insert((**pattern).into(), compiled);
        }
    }
}

fn weight(guard: Guard, values: &[Value]) -> usize {
    let mut left = CAP + 1;
    for value in values {
        weigh(value, &mut left);
    }
    let arguments = CAP + 1 - left;
    match guard {
        Guard::None | Guard::Now | Guard::Weigh => arguments,
        Guard::Estimate(estimate) => arguments.max(estimate(values)),
        Guard::Pattern(at) => match values.get(at) {
            Some(Value::String(pattern)) if pattern.len() > PATTERN_CAP => usize::MAX,
            _ => arguments,
        },
    }
}
