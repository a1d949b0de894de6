//! The story: an agent is to prepare a quote packet for Metro Equipment.
//!
//! Every figure and every sentence in quotation marks comes from the daemon's answers; where an answer is not what the
//! story needs, the demo fails.

use crate::cli::client::{Client, field};
use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Where the story takes place.
pub(super) struct Place {
    pub(super) base: String,
    pub(super) key: String,
    pub(super) key_file: PathBuf,
    pub(super) policies: PathBuf,
    pub(super) today: Date,
    /// Where what is left of it is, when the daemon ends with the story; `None`: it serves on.
    pub(super) ends: Option<Left>,
}

/// What an ended demo leaves.
#[derive(Clone, Debug)]
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// This directory.
    Directory(PathBuf),
}

struct Teller<'a> {
    client: Client,
    out: &'a mut Vec<u8>,
    due: String,
}

/// Tells it.
pub(super) fn tell(place: &Place, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let due = place.today.checked_add(jiff::SignedDuration::from_hours(14 * 24)).context("two weeks from now")?;
    let client = Client::new(&place.base, &place.key);
    let mut teller = Teller { client, out, due: due.to_string() };
    writeln!(
        teller.out,
        "Tollgate listens at {}.\n\nThe agent rfq-draft is to prepare a quote packet for Metro Equipment.\nBefore each \
         action its runtime asks the gate.\n",
        place.base
    )?;
    teller.allowed_and_settled()?;
    teller.denied_by_policy()?;
    teller.denied_by_budget()?;
    teller.raised_and_allowed()?;
    teller.how_to_go_on(place)
}

impl Teller<'_> {
    fn ask(&mut self, key: &str, step: &str, usd: &str, with_due_date: bool) -> anyhow::Result<Value> {
        let mut properties = json!({"customer_id": "metro-equipment"});
        if with_due_date {
            properties["due_date"] = json!(self.due);
        }
        let body = json!({
            "idempotency_key": key,
            "agent": {"id": "rfq-draft"},
            "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
            "entity": {"type": "rfq", "id": "RFQ-1042", "properties": properties},
            "run": {"id": "run-17", "attempt": 1, "step": step},
            "estimate": [{"unit": "usd", "amount": usd}, {"unit": "tokens", "amount": "12000"}],
        });
        self.client.send("POST", "/api/v1/admissions", Some(&body), None)?.ok()
    }

    fn settle(&self, answer: &Value, usd: &str) -> anyhow::Result<Value> {
        let hold = field(answer, "/hold/id");
        let body = json!({"actual": [{"unit": "usd", "amount": usd}, {"unit": "tokens", "amount": "11200"}]});
        self.client.send("POST", &format!("/api/v1/holds/{hold}/settle"), Some(&body), None)?.ok()
    }

    fn budget(&self) -> anyhow::Result<Value> {
        self.client.get("/api/v1/budgets/rfq-draft-daily")?.ok()
    }

    fn allowed_and_settled(&mut self) -> anyhow::Result<()> {
        writeln!(self.out, "1. \"May I draft the quote for RFQ-1042? I expect to spend 0.42 USD.\"")?;
        let answer = self.ask("run-17/price-lookup/1", "price-lookup", "0.42", true)?;
        ensure!(field(&answer, "/decision") == "allow", "expected an allow: {answer}");
        let held = answer.pointer("/hold/budgets").and_then(Value::as_array).context("a hold")?;
        let daily = held.iter().find(|held| field(held, "/id") == "rfq-draft-daily").context("the daily budget")?;
        writeln!(
            self.out,
            "   ALLOW. {} USD is held on the budget rfq-draft-daily, {} USD is left until {}.",
            field(daily, "/held"),
            field(daily, "/remaining"),
            field(daily, "/resets_at")
        )?;
        self.settle(&answer, "0.38")?;
        let budget = self.budget()?;
        writeln!(
            self.out,
            "   The agent acts, and settles what it really cost: 0.38 USD. Spent today: {} USD, left: {} USD.\n",
            field(&budget, "/spent"),
            field(&budget, "/remaining")
        )?;
        Ok(())
    }

    fn denied_by_policy(&mut self) -> anyhow::Result<()> {
        writeln!(self.out, "2. \"May I draft it?\", with a record that has lost its due date.")?;
        let answer = self.ask("run-17/draft/1", "draft", "0.42", false)?;
        self.denied(&answer, "missing_data")
    }

    fn denied_by_budget(&mut self) -> anyhow::Result<()> {
        writeln!(
            self.out,
            "3. The day goes on: a long draft for 4.30 USD is allowed and settled. Then: \"May I assemble the\n   packet, for 0.90 USD?\""
        )?;
        let answer = self.ask("run-17/draft/2", "draft", "4.30", true)?;
        ensure!(field(&answer, "/decision") == "allow", "expected an allow: {answer}");
        self.settle(&answer, "4.30")?;
        let answer = self.ask("run-17/packet/1", "packet", "0.90", true)?;
        self.denied(&answer, "budget_exceeded")
    }

    fn denied(&mut self, answer: &Value, code: &str) -> anyhow::Result<()> {
        ensure!(field(answer, "/decision") == "deny", "expected a deny: {answer}");
        let reasons = answer.get("reasons").and_then(Value::as_array).context("reasons")?;
        ensure!(reasons.iter().any(|reason| field(reason, "/code") == code), "expected {code}: {answer}");
        for reason in reasons {
            writeln!(self.out, "   DENY, {}: \"{}\"", field(reason, "/code"), field(reason, "/message"))?;
            let rule = field(reason, "/rule");
            let rule = if rule.is_empty() { rule } else { format!(" The rule stands at {rule}.") };
            writeln!(
                self.out,
                "   What would lift it: {} on {}.{rule}",
                field(reason, "/remedy/kind"),
                field(reason, "/remedy/target")
            )?;
        }
        writeln!(self.out, "   Nothing is held and nothing was spent.\n")?;
        Ok(())
    }

    fn raised_and_allowed(&mut self) -> anyhow::Result<()> {
        let body = json!({
            "limit": "8.00", "reason": "Metro Equipment's packet is worth the spend",
            "evidence": "quote over 420 USD, due in two weeks", "idempotency_key": "raise/RFQ-1042",
        });
        let path = "/api/v1/budgets/rfq-draft-daily/raises";
        let raise = self.client.send("POST", path, Some(&body), None)?.ok()?;
        writeln!(
            self.out,
            "4. A budget admin raises the day's limit to {} USD until {}: \"{}\".",
            field(&raise, "/limit"),
            field(&raise, "/ends_at"),
            field(&raise, "/reason")
        )?;
        let answer = self.ask("run-17/packet/2", "packet", "0.90", true)?;
        ensure!(field(&answer, "/decision") == "allow", "expected an allow: {answer}");
        self.settle(&answer, "0.87")?;
        let budget = self.budget()?;
        writeln!(
            self.out,
            "   The same work, asked again under a new key: ALLOW. Spent today: {} USD of {} USD.\n",
            field(&budget, "/spent"),
            field(&budget, "/limit_in_force")
        )?;
        Ok(())
    }

    fn how_to_go_on(&mut self, place: &Place) -> anyhow::Result<()> {
        let audit = self.client.get("/api/v1/audit?limit=1")?.ok()?;
        let last = audit.pointer("/items/0").cloned().unwrap_or_default();
        writeln!(
            self.out,
            "Every answer was on disk before it was given. The last entry of the audit trail: {} by {} on {}.\n",
            field(&last, "/op"),
            field(&last, "/actor/name"),
            field(&last, "/subject"),
        )?;
        let (base, key_file) = (&place.base, place.key_file.display());
        match &place.ends {
            Some(Left::Nothing) => writeln!(self.out, "The daemon ends here, and its directory is taken away.")?,
            Some(Left::Directory(dir)) => {
                let dir = dir.display();
                writeln!(
                    self.out,
                    "The daemon ends here. To go on where it stopped:\n  \
                     tollgate serve --state {dir}/state --policies {dir}/policies --data {dir}/data"
                )?;
            }
            None => writeln!(
                self.out,
                "To go on:\n  \
                 the API, to read       {base}/docs\n  \
                 the admin key          {key_file}\n  \
                 the policies, to edit  {}  (a change is in force at once)\n\n  \
                 KEY=$(cat {key_file})\n  \
                 curl -s -H \"Authorization: Bearer $KEY\" '{base}/api/v1/admissions?decision=deny'\n  \
                 curl -s -H \"Authorization: Bearer $KEY\" {base}/api/v1/budgets/rfq-draft-daily\n",
                place.policies.display(),
            )?,
        }
        Ok(())
    }
}
