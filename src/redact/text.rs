//! Secrets in free text: what handlers and far sides say.
//!
//! One pass from the left to the right, which never goes back further than one word: its time is linear in the length of
//! the text, whatever the text is. Where it cannot tell, it hides too much rather than too little.

use std::ops::Range;

use super::look::{MARK, is_mark, is_scheme, key_in};
use super::names::{self, Says};

/// Where a secret stands in a text.
pub(super) type Span = Range<usize>;

/// What follows `password: ` in prose and is no password.
const PROSE: [&str; 30] = [
    "must",
    "is",
    "are",
    "was",
    "has",
    "have",
    "had",
    "cannot",
    "can",
    "could",
    "should",
    "may",
    "not",
    "no",
    "too",
    "required",
    "missing",
    "invalid",
    "expired",
    "wrong",
    "unknown",
    "unexpected",
    "expected",
    "failed",
    "does",
    "at",
    "the",
    "a",
    "an",
    "incorrect",
];
/// What stands for nothing.
const NOTHING: [&str; 8] = ["null", "none", "nil", "undefined", "true", "false", "empty", "[redacted]"];

/// How far the rest of a password is looked for that has a '/' in it.
const LONGEST_PASSWORD: usize = 256;

/// Where secrets stand in a text, in order and without overlap; `also` are names that the kind of the job hides.
pub(super) fn spans(text: &str, also: &[String]) -> Vec<Span> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), also, url_until: 0, found: Vec::new() };
    let mut at = 0;
    while at < text.len() {
        at = scanner.step(at);
    }
    scanner.found
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    also: &'t [String],
    /// Where the URL ends that was begun last.
    url_until: usize,
    found: Vec<Span>,
}

/// What stands between a name and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    Equals,
    /// `name:value`, and whether there is a space behind the colon.
    Colon {
        spaced: bool,
    },
    /// `("name", "value")`.
    Comma,
    /// `--name value`.
    Space,
}

struct Separated {
    between: Between,
    value_at: usize,
    quoted: bool,
}

impl Scanner<'_> {
    /// Looks at what begins here, and says where to go on.
    fn step(&mut self, at: usize) -> usize {
        match self.bytes[at] {
            b':' if self.bytes[at..].starts_with(b"://") => self.authority(at + 3),
            b'[' if self.is_mark(at) => at + MARK,
            byte if is_word(byte) => self.word(at),
            _ => at + 1,
        }
    }

    fn word(&mut self, at: usize) -> usize {
        let end = self.end_of(at, is_word);
        if self.bytes[at..].starts_with(b"-----BEGIN") {
            return self.private_key(at).unwrap_or(end);
        }
        if let Some(from) = key_in(&self.text[at..end]) {
            return self.hide(at + from..end);
        }
        let word = &self.text[at..end];
        if self.byte(end) == Some(b' ')
            && is_scheme(word)
            && let Some(token) = self.token(end + 1)
        {
            return self.hide(token);
        }
        let parameter =
            at < self.url_until && at > 0 && matches!(self.bytes[at - 1], b'?' | b'&' | b'#' | b';');
        if parameter && self.byte(end) == Some(b'=') && names::is_telling(word) {
            let value = end + 1..self.end_of(end + 1, |b| !matches!(b, b'&' | b'#')).min(self.url_until);
            return if self.is_mark(value.start) { value.start + MARK } else { self.hide(value) };
        }
        match self.separated(at, end) {
            Some(separated) => self.named(at, end, &separated),
            None => end,
        }
    }

    /// Hides the value behind a name, if the name says that it is secret.
    fn named(&mut self, at: usize, end: usize, separated: &Separated) -> usize {
        let name = &self.text[at..end];
        let says = match names::says(name, self.also) {
            // `api key: …` and the like are two words.
            Says::Nothing if name.eq_ignore_ascii_case("key") || name.eq_ignore_ascii_case("id") => {
                let before = self.text[..at].strip_suffix(' ').map(|before| {
                    let from = before.bytes().rposition(|b| !is_word(b)).map_or(0, |at| at + 1);
                    format!("{}_{name}", &before[from.max(before.len().saturating_sub(20))..])
                });
                before.map_or(Says::Nothing, |name| names::says(&name, self.also))
            }
            says => says,
        };
        let in_prose = matches!(separated.between, Between::Colon { .. }) && !separated.quoted;
        if says == Says::Nothing || (says == Says::Perhaps && in_prose) {
            return end;
        }
        let start = separated.value_at;
        if self.is_mark(start) {
            return start + MARK;
        }
        let escapes = self.end_of(start, |b| b == b'\\') - start;
        if let Some(quote @ (b'"' | b'\'' | b'`')) = self.byte(start + escapes) {
            let inside = start + escapes + 1;
            let close = self.closing_quote(inside, quote, escapes);
            // The backslashes that escape a quote belong to it.
            let slashes =
                self.bytes[inside..close].iter().rev().take(escapes).take_while(|b| **b == b'\\').count();
            return self.hide_value(name, inside..close - slashes);
        }
        let colon = matches!(separated.between, Between::Colon { .. });
        if names::is_header(name) {
            let first = self.end_of(start, |b| b.is_ascii_alphabetic());
            let scheme = is_scheme(&self.text[start..first]) && self.byte(first) == Some(b' ');
            let behind = if scheme { first + 1 } else { start };
            if self.is_mark(behind) {
                return behind + MARK;
            }
            if colon && is_prose(&self.text[start..first]) && self.byte(first).is_none_or(is_blank) {
                return end;
            }
            if colon {
                let until = self.end_of(start, |b| !matches!(b, b'\n' | b'\r' | b'"' | b'\'' | b'`'));
                return self.hide_value(name, start..until);
            }
            if scheme {
                let value = self.bare_value(behind);
                return self.hide(start..value.end);
            }
        }
        let value = self.bare_value(start);
        let spaced = matches!(separated.between, Between::Colon { spaced: true } | Between::Space);
        if spaced && is_prose(&self.text[value.clone()]) {
            return end;
        }
        self.hide_value(name, value)
    }

    fn hide_value(&mut self, name: &str, value: Span) -> usize {
        let text = &self.text[value.clone()];
        let is_number = || text.bytes().all(|b| b.is_ascii_digit()) && names::counts(name);
        if NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word)) || is_number() {
            return value.end;
        }
        if self.is_mark(value.start) && value.len() == MARK {
            return value.end;
        }
        self.hide(value)
    }

    /// Hides what is not empty, and goes on behind it.
    fn hide(&mut self, span: Span) -> usize {
        let end = span.end;
        if !span.is_empty() {
            self.found.push(span);
        }
        end
    }

    /// Whether a name is followed by what leads to its value.
    fn separated(&self, at: usize, end: usize) -> Option<Separated> {
        let escapes = self.end_of(end, |b| b == b'\\') - end;
        let quoted = matches!(self.byte(end + escapes), Some(b'"' | b'\''));
        let mut i = match (quoted, escapes, self.byte(end)) {
            (true, _, _) => end + escapes + 1,
            (false, 0, Some(b']')) => end + 1,
            (false, 0, _) => end,
            (false, ..) => return None,
        };
        let behind_name = i;
        i = self.end_of(i, is_blank);
        let between = match self.byte(i)? {
            b'=' => {
                i = self.end_of(i, |b| matches!(b, b'=' | b'>'));
                Between::Equals
            }
            b':' if matches!(self.byte(i + 1), Some(b':')) || self.bytes[i..].starts_with(b"://") => {
                return None;
            }
            b':' => {
                i = self.end_of(i + 1, |b| b == b'=');
                Between::Colon { spaced: self.byte(i).is_some_and(is_blank) }
            }
            b',' if quoted => {
                i += 1;
                Between::Comma
            }
            _ if !quoted && i > behind_name && self.bytes[at..].starts_with(b"--") => Between::Space,
            _ => return None,
        };
        let value_at = self.end_of(i, is_blank);
        let next = self.byte(value_at)?;
        // A list of texts is no list of names and values, unless it has exactly two.
        if between == Between::Comma && !matches!(next, b'"' | b'\'' | b'\\') {
            return None;
        }
        Some(Separated { between, value_at, quoted })
    }

    /// A value without quotes: up to a space, or to what closes around it.
    fn bare_value(&self, start: usize) -> Span {
        let (mut i, mut depth) = (start, 0_usize);
        while let Some(byte) = self.byte(i) {
            let goes_on = || self.byte(i + 1).is_some_and(|b| is_word(b) || b >= 0x80);
            match byte {
                b'"' | b'\'' if depth > 0 || matches!(&self.text[start..i], "b" | "r" | "u" | "br") => {
                    i = self.closing_quote(i + 1, byte, 0);
                }
                b'"' | b'\'' | b'`' if !goes_on() => break,
                b'\\' if depth == 0 && matches!(self.byte(i + 1), Some(b'"' | b'\'')) => break,
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth > 0 => {
                    depth -= 1;
                    // A list or an object as a whole, and what follows it is another member.
                    if depth == 0 && !goes_on() {
                        i += 1;
                        break;
                    }
                }
                b')' | b']' | b'}' if !goes_on() => break,
                b'&' if depth == 0 && self.is_parameter(i + 1) => break,
                byte if depth == 0 && byte.is_ascii_whitespace() => break,
                _ => {}
            }
            i += 1;
        }
        let value = &self.text[start..i.min(self.text.len())];
        start..start + value.trim_end_matches([',', ';', '.', '>', ':']).len()
    }

    /// Whether a parameter of a form begins here: `name=` or `user[name]=`.
    fn is_parameter(&self, at: usize) -> bool {
        self.byte(self.end_of(at, |b| is_word(b) || matches!(b, b'[' | b']'))) == Some(b'=')
    }

    /// Where a quoted text ends: at the quote that is escaped as deeply as the one that began it, or at the end.
    fn closing_quote(&self, from: usize, quote: u8, escapes: usize) -> usize {
        let mut backslashes = 0;
        for (n, byte) in self.bytes[from..].iter().enumerate() {
            if *byte == b'\\' {
                backslashes += 1;
                continue;
            }
            if *byte == quote {
                let deeper =
                    backslashes >= escapes && !(backslashes - escapes).is_multiple_of(2 * (escapes + 1));
                if !deeper {
                    return from + n;
                }
            }
            backslashes = 0;
        }
        self.bytes.len()
    }

    /// The credentials of a URL whose authority begins here.
    fn authority(&mut self, at: usize) -> usize {
        let ends = |b: u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'<' | b'>' | b'`');
        // Not again for a URL inside of a URL: many of them would make this quadratic.
        if at >= self.url_until {
            self.url_until = self.end_of(at, |b| !ends(b));
        }
        let until = self.end_of(at, |b| !ends(b) && !matches!(b, b'/' | b'?' | b'#'));
        let authority = &self.text[at..until];
        let user_until = authority.rfind('@').map(|end| at + end).or_else(|| {
            // A password with a '/' in it, which should have been encoded: no port looks like that.
            let (_, port) = authority.rsplit_once(':')?;
            let odd = !port.is_empty() && !port.ends_with(']') && !port.bytes().all(|b| b.is_ascii_digit());
            let near = until..self.url_until.min(until + LONGEST_PASSWORD);
            let end = self.bytes[near].iter().rposition(|b| *b == b'@').filter(|_| odd)?;
            Some(until + end)
        });
        match user_until {
            Some(end) if self.is_mark(at) && end == at + MARK => end,
            Some(end) if &self.text[at..end] == "[redacted]" => end,
            Some(end) => self.hide(at..end),
            None => at,
        }
    }

    /// What follows `Bearer `, if it looks like no word.
    fn token(&self, at: usize) -> Option<Span> {
        let end = self.end_of(at, |b| is_word(b) || matches!(b, b'~' | b'+' | b'/' | b'='));
        let token = self.text[at..end].trim_end_matches(['.', '-', '/']);
        let odd = token.bytes().skip(1).any(|b| !b.is_ascii_lowercase() && !matches!(b, b'.' | b'-' | b'/'));
        (token.len() >= 8 && (odd || token.len() >= 20)).then(|| at..at + token.len())
    }

    /// A private key in PEM form, up to its end.
    fn private_key(&mut self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let line = &rest[..rest.floor_char_boundary(80)];
        let header = &line[..line[5..].find("-----").map_or(line.len(), |end| end + 10)];
        if !header.contains("PRIVATE KEY") {
            return None;
        }
        let end = rest.find("-----END").map_or(self.text.len(), |end| {
            let end = at + end + 8;
            self.text[end..].find("-----").map_or(self.text.len(), |more| end + more + 5)
        });
        Some(self.hide(at..end))
    }

    fn is_mark(&self, at: usize) -> bool {
        self.bytes.get(at..at + MARK).is_some_and(is_mark)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn end_of(&self, from: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|b| !belongs(*b)).unwrap_or(rest.len())
    }
}

fn is_prose(word: &str) -> bool {
    PROSE.iter().any(|prose| word.eq_ignore_ascii_case(prose))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
