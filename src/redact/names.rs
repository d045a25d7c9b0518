//! Which names say that what stands under them is secret.

/// A word of a name that makes it sensitive; so does a word that ends with one of these (`csrftoken`).
const WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "authorization",
    "cookie",
    "credential",
];
/// The same, but too short to be looked for at the end of longer words.
const SHORT_WORDS: [&str; 4] = ["pwd", "jwt", "otp", "bearer"];
/// Two words of a name that make it sensitive together, however they are joined.
const PAIRS: [&str; 7] =
    ["apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "sessionkey", "sessionid"];
/// Words by which a name speaks of how many or how long, so that a number under it is no secret (`max_tokens`).
const COUNTING: [&str; 12] =
    ["count", "max", "min", "limit", "length", "size", "expires", "expiry", "ttl", "total", "used", "age"];
/// Parameters of a URL that let its holder in, beside those with a sensitive name.
const TELLING: [&str; 7] = ["key", "code", "sig", "signature", "t", "auth", "otp"];
/// The longest part of a name that is looked at, in bytes: its end.
const LONGEST: usize = 128;

/// How much a name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Says {
    /// Nothing.
    Nothing,
    /// A secret in data, and an ordinary word in prose: `pass`, `auth`.
    Perhaps,
    /// A secret.
    Secret,
}

/// Whether what stands under this name is secret; `also` are further names, of the kind of the job.
///
/// Case and style do not matter: `api_key`, `API-Key`, `apiKey` and `x_api_keys_2` are the same. Sensitive are the words
/// password, passwd, passphrase, passcode, pwd, secret, token, authorization, cookie, credential, jwt, otp and bearer
/// wherever they stand in a name; pass at its end; auth when it is the whole name; and api, access, private, signing,
/// encryption or session before key, and session before id.
pub fn is_sensitive(name: &str, also: &[String]) -> bool {
    says(name, also) != Says::Nothing
}

pub(super) fn says(name: &str, also: &[String]) -> Says {
    let normal = normal(name);
    let words: Vec<&str> = normal.split('_').filter(|word| !word.is_empty()).map(stem).collect();
    let is_word = |word: &&str| SHORT_WORDS.contains(word) || WORDS.iter().any(|end| word.ends_with(end));
    // `passwordHash` is two words, `password_hash` too, and `passwordhash` is meant as well.
    let is_pair = |pair: &[&str]| PAIRS.iter().any(|end| [pair[0], pair[1]].concat().ends_with(end));
    let named = || {
        let bounded = format!("_{normal}_");
        also.iter().any(|more| {
            let more = self::normal(more);
            bounded.contains(&format!("_{more}_")) || bounded.contains(&format!("_{more}s_"))
        })
    };
    if words.iter().any(|word| is_word(word) || word.starts_with("password"))
        || words.iter().any(|word| PAIRS.iter().any(|end| word.ends_with(end)))
        || words.windows(2).any(is_pair)
        || named()
    {
        return Says::Secret;
    }
    match words.as_slice() {
        ["auth"] | [.., "pass"] => Says::Perhaps,
        _ => Says::Nothing,
    }
}

/// Whether a number under this name is a count or a length.
pub(super) fn counts(name: &str) -> bool {
    normal(name).split('_').any(|word| COUNTING.contains(&word))
}

/// Whether a name is that of a header whose value goes on to the end of its line.
pub(super) fn is_header(name: &str) -> bool {
    let name = normal(name);
    name.ends_with("authorization") || name.ends_with("cookie")
}

/// Whether a name is that of a URL.
pub(super) fn is_url(name: &str) -> bool {
    let name = normal(name);
    ["url", "uri", "href", "link"]
        .iter()
        .any(|word| name.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with('_')))
}

/// Whether a parameter of a URL lets its holder in.
pub(super) fn is_telling(parameter: &str) -> bool {
    says(parameter, &[]) != Says::Nothing || TELLING.contains(&normal(parameter).as_str()) || {
        let normal = normal(parameter);
        normal.ends_with("_signature") || normal.ends_with("_code")
    }
}

/// Without the number at its end, and in the singular.
fn stem(word: &str) -> &str {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    word.strip_suffix('s').filter(|word| !word.ends_with('s')).unwrap_or(word)
}

/// `api_key`, `API-Key`, `apiKey` and `x.api.key` are made of the same words here.
pub(super) fn normal(name: &str) -> String {
    let name = &name[name.ceil_char_boundary(name.len().saturating_sub(LONGEST))..];
    let mut normal = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && previous_lower {
            normal.push('_');
        }
        previous_lower = c.is_lowercase() || c.is_ascii_digit();
        if c.is_alphanumeric() {
            normal.extend(c.to_lowercase());
        } else {
            normal.push('_');
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_style() {
        for name in [
            "password",
            "Password",
            "PASSWORD",
            "user_password",
            "password2",
            "passwordHash",
            "passwords",
            "new-password",
            "passwd",
            "DB_PASSWD",
            "passphrase",
            "pwd",
            "userPwd",
            "secret",
            "clientSecret",
            "CLIENT_SECRET",
            "clientsecret",
            "token",
            "access_token",
            "accessToken",
            "accesstoken",
            "X-CSRF-Token",
            "csrftoken",
            "tokens",
            "authorization",
            "Authorization",
            "Proxy-Authorization",
            "api_key",
            "apiKey",
            "APIKey",
            "apikey",
            "API-KEY",
            "X-Api-Key",
            "XApiKey",
            "x_api_key_2",
            "api.key",
            "cookie",
            "Set-Cookie",
            "cookies",
            "credential",
            "credentials",
            "private_key",
            "privateKey",
            "AWS_ACCESS_KEY_ID",
            "secretAccessKey",
            "jwt",
            "otp",
            "session_id",
            "auth",
            "smtp_pass",
            "pass",
            "bearer",
            "passcode",
        ] {
            assert!(is_sensitive(name, &[]), "{name} is sensitive");
        }
    }

    #[test]
    fn ordinary_names_say_nothing() {
        for name in [
            "to",
            "name",
            "secretary",
            "tokenize",
            "tokenizer",
            "author",
            "authored_by",
            "key",
            "keyboard",
            "primary_key",
            "passenger",
            "pass_rate",
            "passport",
            "compass",
            "session",
            "id",
            "subject",
            "url",
            "public_key",
            "monkey",
            "idempotency_key",
            "cook",
            "opt",
            "",
            "_",
            "größe",
            "authenticated",
        ] {
            assert!(!is_sensitive(name, &[]), "{name} is ordinary");
        }
    }

    #[test]
    fn a_kind_names_more() {
        let also = ["iban".to_owned(), "cardNumber".to_owned()];
        for name in ["iban", "IBAN", "ibans", "user_iban", "card_number", "CARD-NUMBER"] {
            assert!(is_sensitive(name, &also), "{name}");
        }
        assert!(!is_sensitive("urbane", &also));
    }

    #[test]
    fn a_very_long_name_is_judged_by_its_end() {
        let name = format!("{}_password", "ä".repeat(100_000));
        assert!(is_sensitive(&name, &[]));
        assert!(!is_sensitive(&"ä".repeat(100_000), &[]));
    }
}
