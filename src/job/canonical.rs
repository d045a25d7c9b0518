//! JSON in one form, so that two texts which mean the same are the same bytes, and two which do not are not.
//!
//! It follows RFC 8785 but for numbers. There a number is an IEEE double, and 9007199254740993 is the same as
//! 9007199254740992; an id of that size is not. Here a number is the decimal that was written: `1`, `1.0` and `10e-1` are
//! the same, and no two that differ are. The form is for hashing only and is itself not JSON.

use std::borrow::Cow;

/// How deep a text may be nested, as everywhere.
const DEEPEST: usize = 127;

/// The canonical form of a JSON text: members in the order of their names, no white space, one spelling for each string
/// and number. Nothing when the text is not JSON.
pub(crate) fn canonical(text: &str) -> Option<Vec<u8>> {
    let mut scanner = Scanner { text, at: 0, out: Vec::with_capacity(text.len()) };
    scanner.value(0)?;
    scanner.space();
    (scanner.at == text.len()).then_some(scanner.out)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    out: Vec<u8>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes this byte, after white space, if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => {
                self.number();
                Some(())
            }
            _ => {
                let rest = &self.text[self.at..];
                let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word))?;
                self.at += word.len();
                self.out.extend_from_slice(word.as_bytes());
                Some(())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.out.push(b'[');
        if !self.take(b']') {
            loop {
                self.value(depth + 1)?;
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
                self.out.push(b',');
            }
        }
        self.out.push(b']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.out.push(b'{');
        let begin = self.out.len();
        // Of each member where it begins, where its name ends and where it ends itself.
        let mut members: Vec<(usize, usize, usize)> = Vec::new();
        if !self.take(b'}') {
            loop {
                self.space();
                let start = self.out.len();
                if self.peek()? != b'"' {
                    return None;
                }
                self.string()?;
                let named = self.out.len();
                if !self.take(b':') {
                    return None;
                }
                self.out.push(b':');
                self.value(depth + 1)?;
                self.out.push(b',');
                members.push((start, named, self.out.len()));
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        let name = |member: &(usize, usize, usize)| &self.out[member.0..member.1];
        if !members.is_sorted_by(|a, b| name(a) <= name(b)) {
            // Stable: of two members of one name the second wins with most readers, so their order means something.
            members.sort_by(|a, b| name(a).cmp(name(b)));
            let sorted: Vec<u8> =
                members.iter().flat_map(|member| &self.out[member.0..member.2]).copied().collect();
            self.out.truncate(begin);
            self.out.extend_from_slice(&sorted);
        }
        self.out.push(b'}');
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let (mut end, mut escapes) = (start + 1, false);
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => {
                    escapes = true;
                    end += 2;
                }
                0..=0x1f => return None,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        // Both ends are quotation marks, so that neither is inside a character.
        let raw: &'a str = &self.text[start..=end];
        if !escapes {
            self.out.extend_from_slice(raw.as_bytes());
            return Some(());
        }
        match serde_json::from_str::<Cow<'_, str>>(raw) {
            // Writing text into memory cannot fail.
            Ok(decoded) => serde_json::to_writer(&mut self.out, &decoded).ok()?,
            // Half a surrogate pair, which is no text. Marked, so that it is never taken for one.
            Err(_) => {
                self.out.push(b'!');
                self.out.extend_from_slice(raw.as_bytes());
            }
        }
        Some(())
    }

    fn number(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let literal = &rest[..length];
        self.at += length;
        match decimal(literal) {
            Some((negative, digits, exponent)) => {
                if negative {
                    self.out.push(b'-');
                }
                self.out.extend_from_slice(digits.as_bytes());
                self.out.push(b'e');
                self.out.extend_from_slice(exponent.to_string().as_bytes());
            }
            // An exponent beyond 64 bits: whatever it is, it is only the same as itself.
            None => {
                self.out.push(b'!');
                self.out.extend_from_slice(literal.as_bytes());
            }
        }
    }
}

/// Whether a number is negative, its digits without zeros at their ends, and the power of ten of the last one.
fn decimal(literal: &str) -> Option<(bool, String, i64)> {
    let (negative, literal) = match literal.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, literal),
    };
    let (mantissa, exponent) = match literal.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (literal, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let dropped = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        // The sign stays: there are readers to whom -0 is not 0.
        return Some((negative, "0".to_owned(), 0));
    }
    let exponent = exponent
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(dropped).ok()?)?;
    Some((negative, significant.to_owned(), exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(texts: &[&str]) {
        let first = canonical(texts[0]).unwrap();
        for text in texts {
            assert_eq!(canonical(text).unwrap(), first, "{text} and {}", texts[0]);
        }
    }

    fn all_differ(texts: &[&str]) {
        for (n, one) in texts.iter().enumerate() {
            for other in &texts[..n] {
                assert_ne!(canonical(one).unwrap(), canonical(other).unwrap(), "{one} and {other}");
            }
        }
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        same(&["{}", " { } ", "\n{\t}\r\n"]);
        same(&[r#"{"a":1,"b":[true,null]}"#, r#" { "b" : [ true , null ] , "a" : 1 } "#]);
        same(&[r#"{"x":{"a":1,"b":2},"a":0}"#, r#"{"a":0,"x":{"b":2,"a":1}}"#]);
        same(&[r#""é/A\n""#, r#""\u00e9\/\u0041\u000a""#, r#""\u00E9\/A\u000A""#]);
        same(&[r#"{"\u0061":1,"b":2}"#, r#"{"b":2,"a":1}"#]);
        same(&[r#""😀""#, r#""\ud83d\ude00""#, r#""\uD83D\uDE00""#]);
        same(&["100", "1e2", "1E+2", "100.0", "1000e-1", "0.1e3", "10.00e1"]);
        same(&["0", "0.0", "0e5", "0E-7"]);
        same(&["-1.5", "-15e-1", "-0.15E1"]);
        same(&["0.001", "1e-3", "0.00100"]);
    }

    #[test]
    fn what_means_something_else_is_not() {
        all_differ(&["9007199254740992", "9007199254740993", "9007199254740992.5"]);
        all_differ(&["18446744073709551615", "18446744073709551616", "18446744073709551617"]);
        all_differ(&["0.1", "0.1000000000000000055511151231257827", "0.10000000000000001"]);
        all_differ(&["1e400", "1e401", "1e99999999999999999999", "1e99999999999999999998"]);
        all_differ(&["0", "-0", "1", "-1", "10", "0.1", "1e-2"]);
        all_differ(&[
            "1", "\"1\"", "null", "\"null\"", "[]", "{}", "\"\"", "\"[]\"", "false", "true", "[1]", "[[1]]",
        ]);
        all_differ(&["[1,2]", "[2,1]", "[12]", "[1,[2]]", "[[1],2]"]);
        all_differ(&[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"b":1}"#, r#"{"a":1,"b":1}"#, r#"{"a":{"b":1}}"#]);
        all_differ(&[r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, r#"{"a":2}"#]);
        all_differ(&[r#""a,b""#, r#"["a","b"]"#, r#""a\",\"b""#, r#"["a,b"]"#]);
        all_differ(&[r#""\ud83d""#, r#""\ud83e""#, r#""\\ud83d""#, r#""!""#, r#""\u0000""#]);
    }

    #[test]
    fn what_is_not_json_has_no_form() {
        for text in [
            "", " ", "{", "[1,]x", "{\"a\"}", "{a:1}", "[1 2]", "nul", "\"", "\"\\", "\"a\nb\"", "{} {}",
            "[1}",
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(canonical(&nested(127)).is_some());
        assert!(canonical(&nested(128)).is_some());
        assert!(canonical(&nested(129)).is_none());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            ".{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[a-c\\\\\"é]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_values_have_equal_forms_and_others_do_not(one in json(), other in json()) {
            let pretty = serde_json::to_string_pretty(&one).unwrap();
            prop_assert_eq!(canonical(&one.to_string()).unwrap(), canonical(&pretty).unwrap());
            prop_assert_eq!(canonical(&one.to_string()) == canonical(&other.to_string()), one == other);
        }

        #[test]
        fn numbers_that_differ_have_forms_that_differ(one in any::<f64>(), other in any::<f64>()) {
            let form = |number: f64| canonical(&serde_json::Value::from(number).to_string());
            prop_assert_eq!(form(one) == form(other), one.to_bits() == other.to_bits());
            // The same digits in both: of two shortest ones different printers may choose differently.
            prop_assert_eq!(canonical(&format!("{one}")), canonical(&format!("{one:e}")));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,64}") {
            let _ = canonical(&text);
            let _ = canonical(&format!("[{text}]"));
            let _ = canonical(&format!("{{\"{text}\":1}}"));
        }
    }
}
