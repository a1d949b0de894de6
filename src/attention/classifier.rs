//! The classifier: ordered rules, as data, from an error's code or a pattern of its message to what kind of failure it
//! is, in words that an operator understands. The first rule that fits decides; where none does it is `unknown`.
//!
//! Patterns run in linear time and see at most the first [`LONGEST_MESSAGE`] bytes. How a file is read is in `rules.rs`.

use super::class::Class;
use super::rules::{RuleFault, read};
use crate::vocabulary::{Code, RemedyKind};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

/// How much of a message is looked at, in bytes.
pub const LONGEST_MESSAGE: usize = 4_096;

/// The rules that every Tollgate comes with.
const BUILT_IN: &str = include_str!("../../data/classifier.toml");

/// What a failure is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classified {
    /// One code of the closed vocabulary.
    pub code: String,
    /// Its class.
    pub class: Class,
    /// In a few words.
    pub title: String,
    /// What it means, in plain words.
    pub explanation: String,
    /// What would lift it.
    pub remedy: RemedyKind,
    /// Whether a retry may help as things are.
    pub retry_allowed: bool,
    /// The rule that said so; `None` where none fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name in the file.
    pub name: String,
    /// One of these codes, in lower case; empty means whichever.
    pub(super) codes: Vec<String>,
    /// This pattern of the message.
    pub(super) message: Option<Regex>,
    /// What it says.
    pub(super) says: Classified,
    /// What it must fit.
    pub(super) examples: Vec<Example>,
}

/// An error that a rule must be the first to fit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its code.
    #[serde(default)]
    pub code: String,
    /// Its message.
    #[serde(default)]
    pub message: String,
}

/// An example that another rule fits first, or that none fits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule:?} does not decide its example {code:?} {message:?}: {by} does", code = .example.code, message = .example.message)]
pub struct Swallowed {
    /// The rule whose example it is.
    pub rule: String,
    /// The example.
    pub example: Example,
    /// Who decides it.
    pub by: String,
}

/// The rules, in order.
#[derive(Clone, Debug)]
pub struct Classifier {
    rules: Vec<Rule>,
}

impl Classifier {
    /// The rules of a file, or every fault with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<RuleFault>> {
        Ok(Self { rules: read(text)? })
    }

    /// The rules that Tollgate comes with.
    pub fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Classifier>> =
            LazyLock::new(|| Arc::new(Classifier::parse(BUILT_IN).unwrap_or(Classifier { rules: Vec::new() })));
        Arc::clone(&SHARED)
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What this error is.
    pub fn classify(&self, code: &str, message: &str) -> Classified {
        let code = code.trim().to_lowercase();
        let message = head(message);
        match self.rules.iter().find(|rule| rule.fits(&code, message)) {
            Some(rule) => rule.says.clone(),
            None => unknown(),
        }
    }

    /// Runs every example through all the rules.
    pub fn check_examples(&self) -> Vec<Swallowed> {
        let mut swallowed = Vec::new();
        for rule in &self.rules {
            for example in &rule.examples {
                let by = self.classify(&example.code, &example.message).rule;
                if by.as_ref() != Some(&rule.name) {
                    let by = by.map_or_else(|| "no rule".to_owned(), |by| format!("rule {by:?}"));
                    swallowed.push(Swallowed { rule: rule.name.clone(), example: example.clone(), by });
                }
            }
        }
        swallowed
    }
}

impl Rule {
    fn fits(&self, code: &str, message: &str) -> bool {
        (self.codes.is_empty() || self.codes.iter().any(|own| own == code))
            && self.message.as_ref().is_none_or(|pattern| pattern.is_match(message))
    }
}

/// What nothing is known of.
fn unknown() -> Classified {
    Classified {
        code: Code::Unknown.as_str().to_owned(),
        class: Class::Unknown,
        title: "Unknown failure".to_owned(),
        explanation: "No rule knows this failure. Open the run and read its last events before anything else; nothing \
                      says that a retry would help."
            .to_owned(),
        remedy: Code::Unknown.remedy(),
        retry_allowed: false,
        rule: None,
    }
}

/// The beginning of a message.
pub(super) fn head(message: &str) -> &str {
    let mut end = message.len().min(LONGEST_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_built_in_rules_is_decided_by_its_own_rule() {
        let classifier = Classifier::parse(BUILT_IN).unwrap();
        assert!(classifier.rules().len() > 20);
        let swallowed: Vec<String> = classifier.check_examples().iter().map(ToString::to_string).collect();
        assert_eq!(swallowed, Vec::<String>::new());
    }

    #[test]
    fn every_code_of_the_failure_table_is_decided_by_name() {
        let classifier = Classifier::shared();
        for (code, class) in [
            ("dispatch_failed", Class::Temporary),
            ("provider_unavailable", Class::Temporary),
            ("dependency_unavailable", Class::Temporary),
            ("timeout", Class::Temporary),
            ("rate_limited", Class::Temporary),
            ("missing_data", Class::Setup),
            ("policy_rejected", Class::Setup),
            ("budget_exceeded", Class::Setup),
            ("malformed_input", Class::Setup),
            ("connector_unavailable", Class::Setup),
        ] {
            let said = classifier.classify(&code.to_uppercase(), "");
            assert_eq!((said.code.as_str(), said.class), (code, class));
            assert_eq!(said.retry_allowed, class == Class::Temporary, "{code}");
        }
    }

    #[test]
    fn what_nobody_knows_promises_nothing() {
        let said = Classifier::shared().classify("E_FROBNICATED", "the frob was nicated");
        assert_eq!((said.class, said.code.as_str(), said.retry_allowed), (Class::Unknown, "unknown", false));
        assert_eq!(said.rule, None);
    }

    #[test]
    fn an_earlier_rule_that_swallows_an_example_is_told() {
        let text = r#"
            [[rule]]
            name = "everything"
            message = ""
            code = "timeout"
            title = "t"
            explanation = "e"
            examples = [{ message = "x" }]

            [[rule]]
            name = "late"
            codes = ["429"]
            code = "rate_limited"
            title = "t"
            explanation = "e"
            examples = [{ code = "429" }]
        "#;
        let swallowed = Classifier::parse(text).unwrap().check_examples();
        assert_eq!(swallowed.len(), 1);
        assert_eq!((swallowed[0].rule.as_str(), swallowed[0].by.as_str()), ("late", "rule \"everything\""));
    }

    #[test]
    fn a_message_is_looked_at_up_to_its_bound() {
        let classifier = Classifier::shared();
        let late = format!("{}connection refused", "é".repeat(LONGEST_MESSAGE));
        assert_eq!(classifier.classify("", &late).class, Class::Unknown);
        assert_eq!(head(&late).len(), LONGEST_MESSAGE);
        assert_eq!(head(&format!("a{late}")).len(), LONGEST_MESSAGE - 1, "cut before a letter, not inside");
    }

    #[test]
    fn the_error_of_the_airline_s_tools() {
        let classifier = Classifier::shared();
        for (message, code) in [
            ("Error: flight HAT030 not available on date 2024-05-13", "malformed_input"),
            ("Error: gift card balance is not enough", "malformed_input"),
            ("Error: payment amount does not add up, total price is 375, but paid 299", "malformed_input"),
            ("Error: not enough seats on flight HAT290", "malformed_input"),
            ("Error: certificate cannot be used to update reservation", "policy_rejected"),
            ("Error: payment method not found", "missing_data"),
            ("Error: payment method certificate_7504069 not found", "missing_data"),
            ("Error: not enough balance in payment method gift_card_5094406", "malformed_input"),
        ] {
            assert_eq!(classifier.classify("tool_error", message).code, code, "{message}");
        }
    }
}
