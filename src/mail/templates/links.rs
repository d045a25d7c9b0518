//! Links in mails: to the web, to a mailbox or a telephone, and to nothing that runs.

use url::Url;

/// What a link in the HTML may begin with. `cid` is a part of the mail itself (RFC 2392).
const SCHEMES: [&str; 5] = ["http", "https", "mailto", "tel", "cid"];

/// Whether a text is an absolute address on the web.
pub(super) fn is_web(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    plain && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether the name of a member says that it is a link.
pub(super) fn is_link_name(name: &str) -> bool {
    name == "url" || name.ends_with("_url")
}

/// Whether no mail may link to this, whoever wrote it: it runs.
pub(super) fn is_forbidden(scheme: &str) -> bool {
    matches!(scheme, "javascript" | "vbscript")
}

/// Whether a source, in lower case, has a text or an attribute that begins with this scheme.
pub(super) fn is_literal(source: &str, scheme: &str) -> bool {
    let scheme = format!("{scheme}:");
    source.match_indices(&scheme).any(|(start, _)| {
        let before = source[..start].trim_end();
        before.ends_with(['"', '\'', '='])
    })
}

/// Every link in `html` whose scheme is not a harmless one, as a browser would read it, and the scheme.
pub(super) fn dangerous(html: &str) -> Vec<(String, String)> {
    let lower = html.to_ascii_lowercase();
    let mut found = Vec::new();
    for attribute in ["href", "src", "action", "background"] {
        for (start, _) in lower.match_indices(attribute) {
            let rest = html[start + attribute.len()..].trim_start();
            let Some(rest) = rest.strip_prefix('=') else {
                continue;
            };
            let value = attribute_value(rest.trim_start());
            let value = plain(&value);
            if let Some(scheme) = bad_scheme(&value) {
                found.push((value, scheme));
            }
        }
    }
    found
}

/// The value of an attribute, with the character references that hide a scheme undone.
fn attribute_value(rest: &str) -> String {
    let raw = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next(),
        // Long enough for every scheme, and short enough that a long text full of `href=` costs little.
        _ => rest[..rest.floor_char_boundary(256)].split(|c: char| c.is_whitespace() || c == '>').next(),
    };
    unescape(raw.unwrap_or_default())
}

/// Undoes the character references that minijinja writes, the numeric ones, and those that browsers know for `:`.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        // A number ends where its digits end, with or without a semicolon.
        let (begin, in_name): (usize, fn(char) -> bool) = match rest.as_bytes() {
            [b'#', b'x' | b'X', ..] => (2, |c| c.is_ascii_hexdigit()),
            [b'#', ..] => (1, |c| c.is_ascii_digit()),
            _ => (0, |c| c.is_ascii_alphanumeric()),
        };
        let end = rest[begin..].find(|c| !in_name(c)).map_or(rest.len(), |end| begin + end);
        match reference(&rest[..end]) {
            Some(c) => {
                plain.push(c);
                rest = rest[end..].strip_prefix(';').unwrap_or(&rest[end..]);
            }
            None => plain.push('&'),
        }
    }
    plain.push_str(rest);
    plain
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "colon" => Some(':'),
        "Tab" => Some('\t'),
        "NewLine" => Some('\n'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// A link as a browser reads it: blanks and control characters do not count.
pub(super) fn plain(link: &str) -> String {
    let counts = |c: &char| !c.is_control() && !c.is_whitespace();
    link.chars().filter(counts).collect()
}

/// What stands before the colon, if it is none of the harmless schemes.
pub(super) fn bad_scheme(link: &str) -> Option<String> {
    scheme(link).filter(|scheme| !SCHEMES.contains(&scheme.as_str()))
}

/// What stands before the colon.
fn scheme(link: &str) -> Option<String> {
    let (scheme, _) = link.split_once(':')?;
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (is_scheme && !scheme.is_empty()).then(|| scheme.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_web() {
        assert!(is_web("https://example.com/reset?t=1#x") && is_web("http://localhost:3000"));
        for bad in [
            "javascript:alert(1)",
            "//example.com",
            "/reset",
            "https://",
            "ftp://x",
            "https://x/\ny",
            "x",
            "",
        ] {
            assert!(!is_web(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_stands_in_a_source_is_seen() {
        for source in [r#"src="data:x""#, "href=data:x", "src=' data:x'", r#"{{ button("data:x") }}"#] {
            assert!(is_literal(source, "data"), "{source}");
        }
        for source in [r#"href="{{ data }}""#, "in data: nothing", r#"href="metadata:x""#] {
            assert!(!is_literal(source, "data"), "{source}");
        }
    }

    #[test]
    fn what_runs_is_found_however_it_is_written() {
        for html in [
            r#"<a href="javascript:alert(1)">"#,
            r"<a HREF = 'JaVaScRiPt:alert(1)'>",
            r"<a href=javascript:alert(1)>",
            r#"<a href=" java&#10;script:x">"#,
            r#"<a href="javascript&colon;x">"#,
            r#"<a href="&#x6a;avascript:x">"#,
            r#"<a href="&#106avascript:x">"#,
            r#"<img src="data:text/html,x">"#,
            r#"<a href="vbscript:x">"#,
        ] {
            assert_eq!(dangerous(html).len(), 1, "{html}");
        }
        for html in [
            r#"<a href="https://example.com/?a=javascript:x">"#,
            r#"<a href="mailto:a@example.com">"#,
            r##"<a href="#top">"##,
            r#"<a href="/a:b">"#,
            r#"<img src="cid:logo">"#,
            "<p>href javascript:x",
        ] {
            assert_eq!(dangerous(html), [], "{html}");
        }
    }
}
