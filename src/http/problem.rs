//! Errors as RFC 9457 problem documents, from one table: code → status → title → page of the docs.
//!
//! Nothing else in the HTTP face names a status of an error. The page of a code is `/docs/problems#code`, made from this
//! same table.

use actix_web::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! problems {
    ($($variant:ident = $code:literal, $status:literal, $title:literal, $advice:literal;)*) => {
        /// What went wrong, as a closed list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode {$(
            #[doc = $title]
            $variant,
        )*}

        /// The table of problems, in the order of the docs.
        pub const PROBLEMS: &[ProblemRow] = &[$(ProblemRow {
            code: ProblemCode::$variant, text: $code, status: $status, title: $title, advice: $advice,
        },)*];

        impl ProblemCode {
            /// Its row of the table.
            pub const fn row(self) -> &'static ProblemRow {
                match self { $(Self::$variant => &ProblemRow {
                    code: Self::$variant, text: $code, status: $status, title: $title, advice: $advice,
                },)* }
            }
        }
    };
}

/// One row of the table of problems.
#[derive(Debug)]
pub struct ProblemRow {
    /// The code.
    pub code: ProblemCode,
    /// As it stands in JSON.
    pub text: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What it is, in a sentence.
    pub title: &'static str,
    /// What its receiver can do.
    pub advice: &'static str,
}

problems! {
    MalformedJson = "malformed_json", 400, "The body is not JSON", "Send one JSON value in UTF-8, without duplicate keys, and nothing behind it.";
    TooDeep = "too_deep", 400, "The body is nested too deeply", "Flatten it: at most 64 arrays and objects inside one another.";
    UnknownField = "unknown_field", 400, "The request has a field that does not exist here", "Remove it or correct its name; the pointers say where. A misspelt field is never ignored, because it could cost money.";
    InvalidRequest = "invalid_request", 400, "The request does not fit", "Correct the fields that the pointers name.";
    Unauthorized = "unauthorized", 401, "No usable key was sent", "Send `Authorization: Bearer <key>` with a key that has not been revoked.";
    Forbidden = "forbidden", 403, "This key may not do that", "Use a key with the role, or bound to the agent, that the detail names.";
    NotFound = "not_found", 404, "There is nothing here", "Check the path and the id; a key bound to agents sees only theirs.";
    MethodNotAllowed = "method_not_allowed", 405, "This path does not have that method", "Use one of the methods in the `Allow` header.";
    RequestTimeout = "request_timeout", 408, "The body did not arrive in time", "Send it again, faster. Nothing was done.";
    IdempotencyConflict = "idempotency_conflict", 409, "This idempotency key stands for another request", "Use a new key for a new request; repeat the same body to hear the first answer again.";
    HoldSettled = "hold_settled", 409, "The hold is already settled with other amounts", "Read the hold: what it was settled with is final.";
    HoldExpired = "hold_expired", 409, "The hold has expired", "Settle it if the action happened; else ask for a new admission. An expired hold is never extended.";
    HoldNotPending = "hold_not_pending", 409, "The hold is no longer pending", "Read the hold: it is settled, released or expired.";
    AlreadyExists = "already_exists", 409, "That id is in use, or was", "Choose another id; the id of a deleted budget is not used again.";
    Conflict = "conflict", 409, "The state does not allow it", "Read the detail; read the resource again before another try.";
    PlanChanged = "plan_changed", 409, "What the retry would do has changed since its plan was read", "Read the plan again, and retry with its version.";
    AlreadyRetried = "already_retried", 409, "That plan was carried out already", "Read the run: the detail names the attempt that was made.";
    NotStopped = "not_stopped", 409, "The old attempt still lives", "Wait for its end, cancel the run, or force-stop it.";
    NotAlive = "not_alive", 409, "No attempt of the run is alive", "There is nothing to stop.";
    NothingToRetry = "nothing_to_retry", 409, "The run cannot have another attempt", "Read the detail.";
    RunCancelled = "run_cancelled", 409, "The run was cancelled", "A cancelled run is not retried; start another.";
    NotAcknowledged = "not_acknowledged", 409, "Side effects are not acknowledged", "Look at what happened already, and name it in `acknowledge`.";
    SameStepFailed = "same_step_failed", 409, "The same step failed again after a retry", "Escalate it. One more retry needs an admin's `override`.";
    SetupRequired = "setup_required", 409, "It would fail again: something must be set up first", "Do what the errors name; then read the plan again.";
    PolicyDenied = "policy_denied", 409, "Policy denies the retry", "Review what the errors name; change policy only if the action is safe.";
    BudgetExceeded = "budget_exceeded", 409, "A budget does not allow the retry", "Review the budgets that the errors name; raise one only if the output is worth it.";
    PreconditionFailed = "revision_conflict", 412, "Someone changed it in between", "Read it again, apply the change to what is there now, and send the new ETag in `If-Match`.";
    PayloadTooLarge = "payload_too_large", 413, "The body is too large", "Send less; a batch can be split.";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body is not declared as JSON", "Send `Content-Type: application/json`, without a content encoding.";
    HostNotAllowed = "host_not_allowed", 421, "This name is not served here", "Use the address of the daemon, or have its operator add the name to `allowed_hosts`.";
    Immutable = "immutable_field", 422, "That field never changes", "Make a new budget; scope, unit, window and `each` of a budget stay as they are.";
    Unprocessable = "unprocessable", 422, "It is well-formed and cannot be done", "Read the detail.";
    PreconditionRequired = "precondition_required", 428, "The change needs an `If-Match` header", "Read the resource and send its ETag in `If-Match`.";
    TooManyRequests = "too_many_requests", 429, "This key asks too much", "Do not act. Ask again at `retry_at` (`Retry-After` seconds) with the same idempotency key: nothing was judged or recorded.";
    RateLimited = "rate_limited", 429, "This agent asks too much", "Do not act. Ask again at `retry_at` (`Retry-After` seconds) with the same idempotency key: nothing was judged or recorded.";
    RunLimit = "run_limit", 429, "Too many runs are open", "Complete or cancel runs of this agent; then send the event again. Events of known runs are taken.";
    HeadersTooLarge = "headers_too_large", 431, "The headers are too large", "Send fewer or shorter headers.";
    Internal = "internal", 500, "Tollgate failed", "Do not act. Ask again with the same idempotency key; report the request id.";
    StalePolicy = "stale_policy", 503, "Policy changed twice while this was judged", "Do not act. Ask again at once with the same idempotency key.";
    HistoryNotReady = "history_not_ready", 503, "Older records are being made ready", "Nothing was decided. Ask again after `Retry-After` seconds with the same idempotency key.";
    Busy = "busy", 503, "Too much is waiting", "Do not act. Ask again after `Retry-After` seconds with the same idempotency key.";
    DeadlineExceeded = "deadline_exceeded", 503, "It waited too long to be decided", "Do not act. Nothing was decided. Ask again after `Retry-After` seconds with the same idempotency key.";
    StoreUnavailable = "store_unavailable", 503, "The store does not take writes", "Do not act. Ask again later with the same idempotency key; an operator must look at the disk.";
    ClockJumped = "clock_jumped", 503, "The wall clock jumped", "Do not act. Admissions go on when both clocks agree, or when an admin confirms the time.";
    ShuttingDown = "shutting_down", 503, "The daemon is stopping", "Do not act. Ask again with the same idempotency key when it is back.";
    NotReady = "not_ready", 503, "The daemon is not ready", "Ask again later; the detail says what is missing.";
}

impl ProblemCode {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        self.row().text
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code for an error that the server's framework answered by itself, with nothing but a status.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::RequestTimeout,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            429 => Self::TooManyRequests,
            431 => Self::HeadersTooLarge,
            503 => Self::Busy,
            400..500 => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where, as a JSON pointer into the body (RFC 6901). For a query parameter: `?name`.
    #[schema(example = "/estimate/0/amount")]
    pub pointer: String,
    /// What is wrong with it.
    #[schema(example = "must be a decimal number such as \"0.42\", without sign, exponent or spaces")]
    pub message: String,
}

/// An error on its way to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which row of the table.
    pub code: ProblemCode,
    /// This occurrence, in a sentence. Never a secret, never an internal text.
    pub detail: String,
    /// The fields at fault.
    pub errors: Vec<FieldError>,
    /// When asking again makes sense, in seconds.
    pub retry_after_s: Option<u64>,
    /// The same as a moment, where it is known as one.
    pub retry_at: Option<Timestamp>,
}

impl Problem {
    /// A problem without fields.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let retry_after_s = (code.row().status == 503 || code.row().status == 429).then_some(1);
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_s, retry_at: None }
    }

    /// A problem with one field at fault.
    pub fn at(code: ProblemCode, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(code, vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    /// A problem with fields at fault; the detail is the first of them.
    pub fn fields(code: ProblemCode, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => code.row().title.to_owned(),
            [one] => format!("{}: {}", shown(&one.pointer), one.message),
            [first, rest @ ..] => format!("{}: {} (and {} more)", shown(&first.pointer), first.message, rest.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// The document that the caller reads.
    pub fn document(&self, request_id: &str) -> ProblemDocument {
        let row = self.code.row();
        ProblemDocument {
            r#type: format!("/docs/problems#{}", row.text),
            title: row.title.to_owned(),
            status: row.status,
            code: row.text.to_owned(),
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
            retry_at: self.retry_at.map(|at| at.to_string()),
        }
    }
}

fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "the body" } else { pointer }
}

/// RFC 9457, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// The page that explains the code.
    #[schema(example = "/docs/problems#invalid_request")]
    pub r#type: String,
    /// The code in a sentence.
    #[schema(example = "The request does not fit")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// The code, from a closed list: what a program switches on.
    #[schema(example = "invalid_request")]
    pub code: String,
    /// This occurrence.
    pub detail: String,
    /// Names this request in the daemon's log.
    #[schema(example = "req_4fzzzxjylrx7v5rm")]
    pub request_id: String,
    /// The fields at fault, where fields are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// When asking again makes sense, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_table_is_what_clients_rely_on() {
        let mut table = String::new();
        for row in PROBLEMS {
            writeln!(table, "{} {:<24} {}", row.status, row.text, row.title).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn every_row_makes_a_document() {
        let documents: Vec<_> = PROBLEMS
            .iter()
            .map(|row| Problem::at(row.code, "/estimate/0/amount", "is an example").document("req_1"))
            .collect();
        insta::assert_json_snapshot!(documents);
    }

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let mut seen = std::collections::BTreeSet::new();
        for row in PROBLEMS {
            assert!(seen.insert(row.text), "{} twice", row.text);
            assert!((400..600).contains(&row.status), "{}", row.text);
            assert_eq!(row.code.row().text, row.text);
            assert!(row.advice.ends_with('.') && !row.title.ends_with('.'), "{}", row.text);
        }
    }

    #[test]
    fn the_detail_counts_the_fields() {
        let field = |pointer: &str| FieldError { pointer: pointer.to_owned(), message: "is wrong".to_owned() };
        for (errors, detail) in [
            (vec![], "The request does not fit"),
            (vec![field("")], "the body: is wrong"),
            (vec![field("/a"), field("/b"), field("/c")], "/a: is wrong (and 2 more)"),
        ] {
            assert_eq!(Problem::fields(ProblemCode::InvalidRequest, errors).detail, detail);
        }
    }
}
