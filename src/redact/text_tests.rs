//! Texts: what of them must not be seen, and what must be left as it is.

use super::{Redactor, Secrets};

pub(super) fn redactor() -> Redactor {
    Redactor::new(&[7; 32])
}

pub(super) fn text(text: &str) -> String {
    redactor().text(text, &Secrets::default()).into_owned()
}

/// Without the hashes.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[redacted ") {
        plain = plain + before + "[#]";
        rest = &after[9..];
    }
    plain + rest
}

/// A text, and the same as it may be kept.
const HIDDEN: &[(&str, &str)] = &[
    // By name.
    ("login failed: password=hunter2", "login failed: password=[#]"),
    ("login failed: password = hunter2, retrying", "login failed: password = [#], retrying"),
    ("password: hunter2", "password: [#]"),
    ("PASSWORD=hunter2;", "PASSWORD=[#];"),
    ("db.password=hunter2 host=db", "db.password=[#] host=db"),
    ("the token: abc123", "the token: [#]"),
    (r#"{"user":"ada","password":"hunter2"}"#, r#"{"user":"ada","password":"[#]"}"#),
    (r#"{"password":"hun\"ter2","user":"ada"}"#, r#"{"password":"[#]","user":"ada"}"#),
    (r#"{"password":"hunter2\\","user":"ada"}"#, r#"{"password":"[#]","user":"ada"}"#),
    (r#"{"password": "hunter2"#, r#"{"password": "[#]"#),
    (r#"{"pin_secret": 12345, "n": 1}"#, r#"{"pin_secret": [#], "n": 1}"#),
    (r#"{"secret":["a","b"],"n":1}"#, r#"{"secret":[#],"n":1}"#),
    (r#"{"credentials":{"user":"ada","key":"x"},"n":1}"#, r#"{"credentials":[#],"n":1}"#),
    (r#""body: {\"password\":\"hunter2\",\"n\":1}""#, r#""body: {\"password\":\"[#]\",\"n\":1}""#),
    ("{'password': 'hunter2', 'user': 'ada'}", "{'password': '[#]', 'user': 'ada'}"),
    (r#"Login { user: "ada", password: "hunter2" }"#, r#"Login { user: "ada", password: "[#]" }"#),
    (r#"Login { password: Some("hunter 2"), n: 1 }"#, "Login { password: [#], n: 1 }"),
    (r#"("authorization", "Bearer abc")"#, r#"("authorization", "[#]")"#),
    (r#"password: b"hunter2" "#, "password: [#] "),
    ("password=\"correct horse battery\" host=db", "password=\"[#]\" host=db"),
    ("password:\\'é'", "password:\\'[#]'"),
    ("password=f(a b) host=db", "password=[#] host=db"),
    ("password=a,b)c'd host=db", "password=[#] host=db"),
    ("user[password]=hunter2&user[name]=ada", "user[password]=[#]&user[name]=ada"),
    ("{password=hunter2}", "{password=[#]}"),
    ("password => hunter2", "password => [#]"),
    ("curl --password hunter2 --verbose", "curl --password [#] --verbose"),
    ("curl --token=hunter2 --verbose", "curl --token=[#] --verbose"),
    ("export AWS_SECRET_ACCESS_KEY=wJalrXUtn/K7MDENG", "export AWS_SECRET_ACCESS_KEY=[#]"),
    ("api key: 1234abcd", "api key: [#]"),
    ("x-api-key: 1234abcd", "x-api-key: [#]"),
    ("apiKey=1234abcd", "apiKey=[#]"),
    ("client_secret=1234abcd&grant_type=x", "client_secret=[#]&grant_type=x"),
    ("auth=1234abcd", "auth=[#]"),
    ("smtp_pass=1234abcd", "smtp_pass=[#]"),
    ("größe=1 password=größe", "größe=1 password=[#]"),
    // Headers.
    ("Authorization: Bearer abc def", "Authorization: [#]"),
    ("authorization: Basic dXNlcjpwYXNz\nhost: x", "authorization: [#]\nhost: x"),
    (
        r#"curl -H "Authorization: token abc" https://x.example"#,
        r#"curl -H "Authorization: [#]" https://x.example"#,
    ),
    ("Cookie: a=b; session=c\r\nHost: x", "Cookie: [#]\r\nHost: x"),
    ("Set-Cookie: sid=abc; Path=/", "Set-Cookie: [#]"),
    ("sent Bearer abcDEF123456 twice", "sent Bearer [#] twice"),
    ("sent Basic dXNlcjpwYXNz twice", "sent Basic [#] twice"),
    // URLs.
    (
        "connect to smtp://user:hunter2@mail.example:587 failed",
        "connect to smtp://[#]@mail.example:587 failed",
    ),
    ("amqp://user:hun@ter2@mq.example/x", "amqp://[#]@mq.example/x"),
    ("smtp://user:hun/ter2@mail.example", "smtp://[#]@mail.example"),
    ("https://key@sentry.example/1", "https://[#]@sentry.example/1"),
    ("GET https://x.example/a?token=abc&page=2 failed", "GET https://x.example/a?token=[#]&page=2 failed"),
    ("GET /a?access_token=abc&page=2", "GET /a?access_token=[#]&page=2"),
    ("https://x.example/a?page=2&sig=abc#top", "https://x.example/a?page=2&sig=[#]#top"),
    ("https://x.example/a?X-Amz-Signature=abc", "https://x.example/a?X-Amz-Signature=[#]"),
    ("https://x.example/cb#access_token=abc", "https://x.example/cb#access_token=[#]"),
    ("<a href=\"https://x.example/r?code=abc\">x</a>", "<a href=\"https://x.example/r?code=[#]\">x</a>"),
    ("<https://x.example/r?token=abc>", "<https://x.example/r?token=[#]>"),
    // By look.
    ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln back", "got [#] back"),
    ("key sk_live_4eC39HqLyjWDarjtT1 refused", "key [#] refused"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[#]"),
    ("AKIAIOSFODNN7EXAMPLE is not allowed", "[#] is not allowed"),
    ("xoxb-1234567890-abcdef", "[#]"),
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "[#]"),
    ("(glpat-abcdefghij0123456789)", "([#])"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nand so on",
        "[#]\nand so on",
    ),
    ("-----BEGIN PRIVATE KEY-----\nMIIE", "[#]"),
];

/// Texts that stay as they are.
const SHOWN: &[&str] = &[
    "the token ring",
    "a bearer of good news",
    "bearer certificates are not taken",
    "Basic authentication is required",
    "password must be 8 characters",
    "password: must be 8 characters",
    "/payload/password: is required",
    "/payload/token: has to be text",
    "secret: missing",
    "the password is wrong",
    "unexpected token '<' at line 1",
    "unexpected token: }",
    "the secretary: Bob",
    "tokenize: yes",
    "author=ada",
    "password=null",
    "password: None",
    "token=\"\"",
    "password=",
    "max_tokens=4096 prompt_tokens: none",
    "pass: 3, fail: 2",
    "auth: failed",
    "password::hash::Params",
    "token://x",
    "550 5.1.1 <ada@example.com>: no such user",
    "ada@example.com",
    "https://x.example/token?page=2&size=10",
    "https://x.example:8080/a/b#top",
    "http://[::1]:8080/",
    "smtp://[redacted]@h:587",
    "password=[redacted]",
    "job 019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55 failed",
    "error code: 42, key: x, keys = 3",
    "public key: abc, primary key: 7",
    "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
    "sk-learn is a library, task-force-of-ten-people too",
    "timeout: 30s, retries=3, a:b=c",
    "größer als 5 — naïve “quotes” \u{1f600}",
    "",
    ": = \" ' \\ [ ] ://",
];

#[test]
fn secrets_in_texts_are_hidden() {
    for (given, wanted) in HIDDEN {
        assert_eq!(plain(&text(given)), *wanted, "{given}");
    }
}

#[test]
fn ordinary_texts_stay_as_they_are() {
    for given in SHOWN {
        assert_eq!(text(given), *given);
    }
}

#[test]
fn what_is_redacted_is_not_redacted_again() {
    for (given, _) in HIDDEN {
        let once = text(given);
        assert_eq!(text(&once), once, "{given}");
    }
}

#[test]
fn a_line_of_the_log_holds_no_address() {
    for (given, wanted) in [
        ("550 5.1.1 <ada@example.com>: no such user", "550 5.1.1 <a***@example.com>: no such user"),
        ("ada@example.com,bob.b+x@b.example", "a***@example.com,b***@b.example"),
        ("größe@example.com", "g***@example.com"),
        ("mailto:ada@x, smtp://u:p@h", "mailto:a***@x, smtp://[#]@h"),
        ("@home, a @ b, a@, @", "@home, a @ b, a@, @"),
        ("disk on fire", "disk on fire"),
    ] {
        assert_eq!(plain(&redactor().line(given)), wanted);
    }
}
