//! What tells itself by its look: keys of well-known services, the scheme of a header, our own marks.

/// How keys of well-known services begin.
const PREFIXES: [&str; 34] = [
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "whsec_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "glptt-",
    "AKIA",
    "ASIA",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "sk-ant-",
    "sk-proj-",
    "sk-",
    "SG.",
    "AIza",
    "npm_",
    "pypi-",
    "hf_",
    "dop_v1_",
    "shpat_",
    "shpss_",
    "ya29.",
    "eyJ",
];
/// How much must follow such a beginning.
const AFTER_PREFIX: usize = 10;

/// Where the key of a well-known service begins in a word.
pub(super) fn key_in(word: &str) -> Option<usize> {
    if word.len() < 12 {
        return None;
    }
    let bytes = word.as_bytes();
    let last_dot = bytes.iter().rposition(|b| *b == b'.');
    let last_odd = bytes.iter().rposition(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let fits = |prefix: &str, at: usize| {
        let behind = &bytes[at + prefix.len()..];
        match prefix {
            "AKIA" | "ASIA" => {
                behind.len() >= 16
                    && behind[..16].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            }
            // The head of a JSON Web Token (RFC 7519 §3), which has two or more parts.
            "eyJ" => behind.len() >= 17 && last_dot.is_some_and(|dot| dot > at),
            "AIza" => behind.len() >= 30,
            "sk-" | "SG." | "hf_" | "pypi-" | "npm_" => {
                behind.len() >= 16 && last_odd.is_some_and(|odd| odd >= at + prefix.len())
            }
            _ => behind.len() >= AFTER_PREFIX,
        }
    };
    let begins = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
    let first = |prefix: &&str| {
        word.match_indices(*prefix).map(|(at, _)| at).find(|at| begins(*at) && fits(prefix, *at))
    };
    PREFIXES.iter().filter_map(first).min()
}

/// What a header begins with before its secret.
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "digest", "negotiate", "apikey"];

/// The length of `[redacted 1a2b3c4d]`.
pub(super) const MARK: usize = 19;

/// What stands behind the scheme of a header: `abc` in `Bearer abc`.
pub(super) fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(' ')?;
    is_scheme(scheme).then_some(rest)
}

pub(super) fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Whether a text is one mark and nothing else.
pub(super) fn is_mark(text: &[u8]) -> bool {
    text.len() == MARK
        && text.starts_with(b"[redacted ")
        && text[10..18].iter().all(u8::is_ascii_hexdigit)
        && text[18] == b']'
}
