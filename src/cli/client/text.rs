//! Texts of the server as they may be printed: what they hold must not steer a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text with everything escaped that is no visible character or space, so that it stays on its line and says what it
/// seems to say.
pub(in crate::cli) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return text.into();
    }
    let escape = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect::<String>().into()
}

/// The same of a text of several lines.
pub(super) fn clean_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(|line| clean(line.trim_end_matches('\r'))).collect();
    lines.join("\n")
}

/// JSON as it may be printed, on one line: outside of strings it has only spaces to lose, inside of them every escape
/// means what it stands for. What is no JSON, such as the page of a proxy, becomes a string.
pub(in crate::cli) fn json_line(text: &str) -> String {
    let text = text.trim();
    let whole = match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Cow::from(text),
        Err(_) => Cow::from(serde_json::Value::from(text).to_string()),
    };
    let mut line = String::with_capacity(whole.len());
    let mut units = [0; 2];
    for c in whole.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if steers(c) => {
                for unit in c.encode_utf16(&mut units) {
                    // Writing into memory cannot fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            c => line.push(c),
        }
    }
    line
}

/// Controls, and what turns the direction of text round or hides in it.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(clean("gr\u{fc}n \u{2014} \u{1f980}"), "gr\u{fc}n \u{2014} \u{1f980}");
        assert_eq!(clean("a\u{1b}[2Jb\r\n\tc\u{7f}\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\tc\\u{7f}\\u{9b}");
        assert_eq!(clean("abc\u{202e}cba\u{200b}"), "abc\\u{202e}cba\\u{200b}");
        assert_eq!(clean_lines("a\r\nb\u{7}\n"), "a\nb\\u{7}\n");
    }

    #[test]
    fn json_means_the_same_afterwards() {
        for text in ["{\"a\":\n \"\u{9b}2J \u{202e} \u{7f} \u{e0041}\", \"n\": 1.000}", "[]", " null\n"] {
            let line = json_line(text);
            assert!(!line.chars().any(steers), "{line}");
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&line), value(text));
        }
        assert_eq!(json_line("{\"n\":1.000}"), "{\"n\":1.000}");
        assert_eq!(json_line("<html>\u{1b}\n"), "\"<html>\\u001b\"");
    }
}
