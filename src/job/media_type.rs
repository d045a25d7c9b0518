//! What a result is.

/// How long one may be, in bytes. It is a header of every answer that shows the result.
const LONGEST: usize = 200;

/// Whether a text is a media type (RFC 9110 §8.3.1), as far as it can go wrong: a type, a subtype, parameters of visible
/// characters; at most 200 bytes.
pub(crate) fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        let may = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        !text.is_empty() && text.chars().all(may)
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let named = essence.trim_end().split_once('/').is_some_and(|(of, sub)| token(of) && token(sub));
    let visible = parameters.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let visible = visible && (parameters.trim().is_empty() || parameters.contains('='));
    named && visible && text.len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_type_a_subtype_and_visible_parameters() {
        for good in ["application/pdf", "text/csv; charset=utf-8", "text/plain;", "image/svg+xml ;x=\"y\""] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in [
            "",
            "text",
            "/plain",
            "text/",
            "text/html, text/plain",
            "text/plain\r\nx: y",
            "text/plain; x=\r\ny: z",
            "text/plain; x=\u{fc}",
            "t\u{e9}xt/plain",
            " text/plain",
            "text/plain; charset",
        ] {
            assert!(!is_media_type(bad), "{bad:?}");
        }
        for (length, good) in [(199, true), (200, true), (201, false)] {
            assert_eq!(is_media_type(&format!("text/{}", "x".repeat(length - 5))), good, "{length}");
        }
    }
}
