//! What is the same in two messages that differ only in ids, times, numbers, paths and addresses.
//!
//! One pass, linear in the message. What is taken out leaves a name in angle brackets, so that normalising twice changes
//! nothing: `<url>`, `<email>`, `<path>`, `<ip>`, and `<n>` for everything that holds a digit.

use super::classifier::head;

/// How long a normalised message is at most, in characters.
const LONGEST: usize = 300;

/// The message without what differs from one failure to the next: in lower case, white space made one blank.
pub fn normalise(message: &str) -> String {
    let lower = head(message).to_lowercase();
    let mut out = Output::default();
    let mut rest = lower.as_str();
    while let Some((before, after)) = next_url(rest) {
        chunks(before, &mut out);
        out.put("<url>");
        rest = after;
    }
    chunks(rest, &mut out);
    out.finish()
}

#[derive(Default)]
struct Output {
    text: String,
    /// Where a `<n>` that this pass has put ends, if it is near the end of the text.
    number_end: Option<usize>,
}

impl Output {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// White space and control characters become one blank.
    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
    }

    /// Numbers that only a sign keeps apart are one: `12:30:01`, `10.5/3`.
    fn number(&mut self) {
        if let Some(end) = self.number_end
            && let Some(between) = self.text.get(end..)
            && between.len() == 1
            && between.chars().all(|c| matches!(c, ':' | '.' | ',' | '/' | '-' | '+'))
        {
            self.text.truncate(end);
        } else {
            self.text.push_str("<n>");
        }
        self.number_end = Some(self.text.len());
    }

    fn finish(self) -> String {
        let cut = self.text.char_indices().nth(LONGEST).map_or(self.text.len(), |(at, _)| at);
        self.text[..cut].trim_end().to_owned()
    }
}

/// The text before the next address with a scheme, and the text behind it.
fn next_url(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let colon = from + found;
        let start = text[..colon]
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            .last()
            .map(|(at, _)| at);
        let behind = &text[colon + 3..];
        let length = behind.find(|c: char| ends_chunk(c) && c != '=').unwrap_or(behind.len());
        let length = behind[..length].trim_end_matches(trailing).len();
        if let Some(start) = start
            && length > 0
        {
            return Some((&text[..start], &behind[length..]));
        }
        from = colon + 3;
    }
    None
}

/// What no id, path or address goes across.
fn ends_chunk(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '<' | '>' | '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | ';' | '=')
}

/// What may stand behind a word without being of it.
fn trailing(c: char) -> bool {
    matches!(c, '.' | ',' | ':' | '!' | '?')
}

/// Goes through a text without schemes, chunk by chunk.
fn chunks(text: &str, out: &mut Output) {
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(ends_chunk).unwrap_or(rest.len());
        if end > 0 {
            chunk(&rest[..end], out);
        }
        rest = &rest[end..];
        if let Some(c) = rest.chars().next() {
            if c.is_whitespace() || c.is_control() {
                out.blank();
            } else {
                out.text.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }
}

/// One run of letters and signs: a path, an address, an id, or words.
fn chunk(text: &str, out: &mut Output) {
    let core = text.trim_end_matches(trailing);
    let tail = &text[core.len()..];
    if out.text.ends_with('>') {
        // the rest of what was taken out before is no path or address of its own
        words(core, out);
    } else if is_email(core) {
        out.put("<email>");
    } else if is_ip_v6(core) {
        out.put("<ip>");
    } else if is_path(core) {
        out.put("<path>");
    } else if is_uuid(core) {
        out.number();
    } else {
        words(core, out);
    }
    out.put(tail);
}

fn is_email(text: &str) -> bool {
    let alphanumeric = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.split_once('@')
        .is_some_and(|(local, domain)| alphanumeric(local.chars().next_back()) && alphanumeric(domain.chars().next()))
}

fn is_ip_v6(text: &str) -> bool {
    let hex = text.chars().any(|c| c.is_ascii_hexdigit());
    let colons = text.matches(':').count();
    hex && (colons > 2 || (colons == 2 && text.contains("::")))
        && text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '%'))
}

fn is_path(text: &str) -> bool {
    let drive = |text: &str| {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && matches!(chars.next(), Some('\\' | '/'))
    };
    let rooted = ["/", "./", "../", "~/", "\\\\", ".\\", "..\\"].iter().any(|start| text.starts_with(start));
    let named = text.chars().any(char::is_alphanumeric);
    let slashes = text.matches(['/', '\\']).count();
    // a share of two figures is no path
    let letters = text.chars().any(char::is_alphabetic);
    named && (rooted || drive(text) || (letters && slashes > 1))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(
            |(n, b)| {
                if matches!(n, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() }
            },
        )
}

/// Words between colons and commas. A comma between digits is of the number.
fn words(text: &str, out: &mut Output) {
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        let within_number = c == ','
            && before.is_some_and(char::is_numeric)
            && text[at + 1..].chars().next().is_some_and(char::is_numeric);
        if matches!(c, ':' | ',') && !within_number {
            word(&text[start..at], out);
            out.text.push(c);
            start = at + c.len_utf8();
        }
        before = Some(c);
    }
    word(&text[start..], out);
}

fn word(text: &str, out: &mut Output) {
    let long_hex = text.len() >= 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !text.contains(char::is_numeric) && !long_hex {
        out.put(text);
        return;
    }
    let body = text.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '+' | '-' | '_'));
    out.put(&text[..text.len() - body.len()]);
    let core = body.trim_end_matches(|c: char| !c.is_alphanumeric());
    out.number();
    out.put(&body[core.len()..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_taken_out() {
        for (message, wanted) in [
            ("Error: flight HAT030 not available on date 2024-05-13", "error: flight <n> not available on date <n>"),
            ("total price is 1,203, but paid 833", "total price is <n>, but paid <n>"),
            ("dial tcp 10.0.0.7:5432: connect: connection refused", "dial tcp <n>: connect: connection refused"),
            ("GET https://api.example.com/v1/x?id=7&y=z. Failed", "get <url>. failed"),
            ("no such file: /var/lib/app/data.db (os error 2)", "no such file: <path> (os error <n>)"),
            ("user dana@example.com is locked", "user <email> is locked"),
            ("at fe80::1ff:fe23:4567:890a", "at <ip>"),
            ("run 6ba7b810-9dad-11d1-80b4-00c04fd430c8 lost", "run <n> lost"),
            ("id abcdefab-cdef-abcd-efab-cdefabcdefab", "id <n>"),
            ("status=503 after 1.5s", "status=<n> after <n>"),
            ("at 2026-11-25T10:00:00Z and 10:00", "at <n> and <n>"),
            ("C:\\Users\\dana\\x.txt is locked", "<path> is locked"),
            ("the field 'due_date' is missing", "the field 'due_date' is missing"),
            ("and/or", "and/or"),
            ("3/4 done", "<n> done"),
            ("-5 is below +5%", "<n> is below <n>%"),
            ("two\n\tlines\u{0}", "two lines"),
            ("\u{10107}/:\u{11a00}", "<n>/:\u{11a00}"),
            ("", ""),
        ] {
            assert_eq!(normalise(message), wanted, "{message}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(normalise(&"word ".repeat(2_000)).chars().count(), LONGEST - 1, "and its last blank with it");
    }

    fn volatile() -> impl Strategy<Value = (String, String)> {
        // two values of one kind
        let pair = |pattern: &'static str| (pattern, pattern).prop_map(|(a, b): (String, String)| (a, b));
        prop_oneof![
            pair("[0-9]{1,9}"),
            pair("[0-9]{1,3}\\.[0-9]{1,6}"),
            pair("[0-9]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"),
            pair("[a-z]{2,5}_[0-9][0-9A-Za-z]{5,20}"),
            pair("20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{3})?Z"),
            pair("[0-2][0-9]:[0-5][0-9]"),
            pair("/[a-z]{1,8}(/[a-z0-9._-]{1,8}[a-z0-9]){1,4}"),
            pair("https?://[a-z]{1,9}\\.(com|org)(/[a-z0-9]{1,5}){0,3}(\\?[a-z]=[a-z0-9]{1,5})?"),
            pair("[a-z.]{0,5}[a-z]@[a-z]{2,8}\\.(com|example)"),
            pair("(25[0-5]|1?[0-9]{1,2})(\\.(25[0-5]|1?[0-9]{1,2})){3}(:[0-9]{2,5})?"),
            pair("fe80(:[0-9a-f]{1,4}){4}"),
        ]
    }

    proptest! {
        #[test]
        fn twice_is_once(message in any::<String>()) {
            let once = normalise(&message);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn twice_is_once_near_what_is_taken_out(message in "[a-f0-9:/.@<>n,=\\\\ +-]{0,60}") {
            let once = normalise(&message);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn messages_that_differ_only_so_are_the_same(
            words in prop::collection::vec("[a-z]{1,9}", 1..6),
            values in prop::collection::vec(volatile(), 1..5),
        ) {
            let message = |pick: fn(&(String, String)) -> &String| {
                let mut text = String::new();
                for (n, value) in values.iter().enumerate() {
                    text.push_str(&words[n % words.len()]);
                    text.push(' ');
                    text.push_str(pick(value));
                    text.push(' ');
                }
                text
            };
            prop_assert_eq!(normalise(&message(|pair| &pair.0)), normalise(&message(|pair| &pair.1)));
        }

        #[test]
        fn words_are_kept(words in prop::collection::vec("[g-z]{1,9}", 1..20)) {
            let message = words.join(" ");
            prop_assert_eq!(normalise(&message), message);
        }
    }
}
