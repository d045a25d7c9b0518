//! What a server answers: a code and lines of text (RFC 5321 §4.2).

use std::fmt;

/// How long one line may be, in bytes: RFC 5321 §4.5.3.1.5 says 512, and some servers say more.
pub(super) const MAX_LINE_BYTES: usize = 4_096;

/// How many lines a reply may have.
const MAX_LINES: usize = 200;

/// A whole reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// What a line is to the reply that it belongs to.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// There are more.
    More,
    /// It was the last.
    Done,
}

impl Reply {
    /// A reply that no line is known of yet.
    pub(super) const fn new() -> Self {
        Self { code: 0, lines: Vec::new() }
    }

    /// Adds a line, without its end; `None` when it cannot belong here.
    ///
    /// The text counts for nothing, so that whatever is not UTF-8 in it is replaced: a mail that was taken must not be sent
    /// again because of an umlaut in the thanks.
    pub(super) fn add(&mut self, line: &[u8]) -> Option<Next> {
        let (digits, rest) = line.split_at_checked(3)?;
        let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let known = digits.iter().all(u8::is_ascii_digit) && (200..600).contains(&code);
        let same = self.lines.is_empty() || self.code == code;
        if !known || !same || self.lines.len() == MAX_LINES {
            return None;
        }
        let (next, text) = match rest.split_first() {
            None => (Next::Done, rest),
            Some((b' ', text)) => (Next::Done, text),
            Some((b'-', text)) => (Next::More, text),
            Some(_) => return None,
        };
        self.code = code;
        self.lines.push(String::from_utf8_lossy(text).trim_end().to_owned());
        Some(next)
    }

    pub(super) const fn code(&self) -> u16 {
        self.code
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

impl fmt::Display for Reply {
    /// All in one line; an enhanced code (RFC 2034 §4) that every line repeats is said once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let first = self.lines().next().unwrap_or_default();
        let word = first.split(' ').next().unwrap_or_default();
        let is_enhanced =
            word.split('.').count() == 3 && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        for (n, line) in self.lines().enumerate() {
            let repeated = line.strip_prefix(word).filter(|_| n > 0 && is_enhanced);
            let line = repeated.and_then(|rest| rest.strip_prefix(' ')).unwrap_or(line);
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&[u8]]) -> Option<(Reply, Next)> {
        let mut reply = Reply::new();
        let mut last = None;
        for line in lines {
            last = Some(reply.add(line)?);
        }
        last.map(|next| (reply, next))
    }

    #[test]
    fn replies_are_read_as_they_are_written() {
        for (lines, text) in [
            (&[&b"250 2.0.0 ok"[..]][..], "250 2.0.0 ok"),
            (&[b"250"], "250 "),
            (&[b"250-a", b"250-", b"250 b"], "250 a  b"),
            (&[b"550-5.7.1 no", b"550 5.7.1 never"], "550 5.7.1 no never"),
            (&[b"550-5.7.1 no", b"550 5.7.12 never"], "550 5.7.1 no 5.7.12 never"),
            (&[b"250 dankesch\xf6n"], "250 dankesch\u{fffd}n"),
        ] {
            let (reply, next) = reply(lines).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((reply.to_string().as_str(), next), (text, Next::Done));
        }
        assert_eq!(reply(&[b"250-a"]).unwrap().1, Next::More);
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for lines in [
            &[&b""[..]][..],
            &[b"25"],
            &[b"+25 a"],
            &[b"199 a"],
            &[b"600 a"],
            &[b"2500 a"],
            &[b"250-a", b"550 b"],
            &[b"hello"],
        ] {
            assert_eq!(reply(lines), None, "{lines:?}");
        }
        let endless = vec![&b"250-a"[..]; MAX_LINES + 1];
        assert_eq!(reply(&endless), None);
    }
}
