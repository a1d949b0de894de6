//! Reading `classifier.toml`: every fault at once, each with its line.

use super::class::Class;
use super::classifier::{Classified, Example, Rule};
use crate::vocabulary::{Code, RemedyKind};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// How large a compiled pattern may become, in bytes.
const LARGEST_PATTERN: usize = 256 * 1024;

/// What is wrong with a file of rules, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleFault {
    /// The line, from 1.
    pub line: usize,
    /// In words.
    pub message: String,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: Spanned<String>,
    #[serde(default)]
    codes: Vec<String>,
    message: Option<Spanned<String>>,
    code: Spanned<String>,
    class: Option<Spanned<String>>,
    title: Spanned<String>,
    explanation: Spanned<String>,
    remedy: Option<Spanned<String>>,
    retry_allowed: Option<Spanned<bool>>,
    #[serde(default)]
    examples: Vec<Example>,
}

/// The rules of a file, in order.
pub(super) fn read(text: &str) -> Result<Vec<Rule>, Vec<RuleFault>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        vec![RuleFault { line, message: error.message().to_owned() }]
    })?;
    let mut reader = Reader { text, faults: Vec::new(), names: BTreeSet::new() };
    let rules: Vec<Rule> = file.rule.into_iter().filter_map(|raw| reader.rule(raw)).collect();
    if rules.is_empty() && reader.faults.is_empty() {
        reader.faults.push(RuleFault { line: 1, message: "there is no [[rule]]".to_owned() });
    }
    if reader.faults.is_empty() { Ok(rules) } else { Err(reader.faults) }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

struct Reader<'a> {
    text: &'a str,
    faults: Vec<RuleFault>,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn fault(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.faults.push(RuleFault { line: line_of(self.text, span.start), message: message.into() });
    }

    fn rule(&mut self, raw: Spanned<RawRule>) -> Option<Rule> {
        let span = raw.span();
        let raw = raw.into_inner();
        for (field, text) in [("name", &raw.name), ("title", &raw.title), ("explanation", &raw.explanation)] {
            if text.get_ref().trim().is_empty() {
                self.fault(&text.span(), format!("{field} must not be empty"));
            }
        }
        if !self.names.insert(raw.name.get_ref().clone()) {
            self.fault(&raw.name.span(), format!("the name {:?} stands twice in the file", raw.name.get_ref()));
        }
        if raw.codes.is_empty() && raw.message.is_none() {
            self.fault(&span, "a rule needs codes, a message's pattern, or both");
        }
        if raw.examples.is_empty() {
            self.fault(&span, "a rule needs at least one example");
        }
        let message = raw.message.as_ref().and_then(|pattern| self.pattern(pattern));
        let says = self.says(&raw)?;
        let codes = raw.codes.iter().map(|code| code.trim().to_lowercase()).collect();
        Some(Rule { name: raw.name.into_inner(), codes, message, says, examples: raw.examples })
    }

    fn pattern(&mut self, pattern: &Spanned<String>) -> Option<Regex> {
        match RegexBuilder::new(pattern.get_ref()).case_insensitive(true).size_limit(LARGEST_PATTERN).build() {
            Ok(regex) => Some(regex),
            Err(error) => {
                let lines = error.to_string();
                self.fault(&pattern.span(), format!("message is not a pattern: {}", lines.replace('\n', " ").trim()));
                None
            }
        }
    }

    /// What it says: the code gives class and remedy, and what the file says of them must agree.
    fn says(&mut self, raw: &RawRule) -> Option<Classified> {
        let Some(code) = Code::parse(raw.code.get_ref()) else {
            self.fault(&raw.code.span(), format!("{:?} is no code of the vocabulary", raw.code.get_ref()));
            return None;
        };
        let class = Class::of(code);
        if let Some(said) = &raw.class
            && Class::parse(said.get_ref()) != Some(class)
        {
            self.fault(
                &said.span(),
                format!("class must be {} for {}, not {:?}", class.as_str(), code.as_str(), said.get_ref()),
            );
        }
        let remedy = match &raw.remedy {
            None => code.remedy(),
            Some(said) => RemedyKind::parse(said.get_ref()).unwrap_or_else(|| {
                self.fault(&said.span(), format!("{:?} is no kind of remedy", said.get_ref()));
                code.remedy()
            }),
        };
        let retry_allowed = raw.retry_allowed.as_ref().map_or(class == Class::Temporary, |said| *said.get_ref());
        if let Some(said) = &raw.retry_allowed
            && *said.get_ref()
            && class != Class::Temporary
        {
            self.fault(
                &said.span(),
                format!("a failure of class {} must not promise that a retry helps", class.as_str()),
            );
        }
        Some(Classified {
            code: code.as_str().to_owned(),
            class,
            title: raw.title.get_ref().clone(),
            explanation: raw.explanation.get_ref().clone(),
            remedy,
            retry_allowed,
            rule: Some(raw.name.get_ref().clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        read(text).unwrap_err().into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    /// A rule that is right, but for one line that is put in the place of another.
    fn with(line: &str) -> String {
        let field = line.split('=').next().unwrap_or_default().trim().to_owned();
        let mut text = String::from("[[rule]]\n");
        for own in [
            "name = \"a\"",
            "codes = [\"429\"]",
            "code = \"rate_limited\"",
            "class = \"temporary\"",
            "title = \"t\"",
            "explanation = \"e\"",
            "remedy = \"wait\"",
            "examples = [{ code = \"429\" }]",
        ] {
            let same = own.split('=').next().unwrap_or_default().trim() == field;
            text.push_str(if same { line } else { own });
            text.push('\n');
        }
        text
    }

    #[test]
    fn a_right_rule_is_read() {
        let rules = read(&with("title = \"Too fast\"")).unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].says.title, "Too fast");
        assert!(rules[0].says.retry_allowed, "temporary, where the file does not say otherwise");
    }

    #[test]
    fn each_fault_is_told_with_its_line() {
        for (line, at, wanted) in [
            ("code = \"rate_limted\"", 4, "is no code of the vocabulary"),
            ("class = \"setup\"", 5, "class must be temporary for rate_limited"),
            ("remedy = \"pray\"", 8, "is no kind of remedy"),
            ("title = \" \"", 6, "title must not be empty"),
            ("codes = []", 1, "a rule needs codes"),
            ("codes = []\nmessage = \"(\"", 4, "message is not a pattern"),
            ("codes = []\nmessage = '(\\w{1000}){1000}'", 4, "message is not a pattern"),
            ("examples = []", 1, "needs at least one example"),
            ("name = \"a\"\nwhen = 3", 3, "unknown field"),
            ("code = \"missing_data\"\nretry_allowed = true", 5, "must not promise"),
        ] {
            let found = faults(&with(line));
            assert!(found.iter().any(|(n, message)| *n == at && message.contains(wanted)), "{line}: {found:?}");
        }
    }

    #[test]
    fn all_faults_of_all_rules_are_told_at_once() {
        let text = format!("{}{}", with("code = \"x\""), with("remedy = \"y\""));
        let found = faults(&text);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 11, 17]);
    }

    #[test]
    fn nothing_and_no_toml() {
        assert_eq!(faults(""), [(1, "there is no [[rule]]".to_owned())]);
        assert_eq!(faults("\n\n= 3")[0].0, 3);
    }
}
