//! Payloads, and what is said about jobs with them.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::setting;
use super::text_tests::{plain, redactor, text};

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

#[test]
fn a_mark_in_a_text_is_the_mark_of_the_value() {
    let mark = redactor().mark("hunter2");
    assert_eq!(text("password=hunter2"), format!("password={mark}"));
    let payload = redactor().payload(&raw(&json!({"password": "hunter2"})), &[]);
    assert_eq!(payload["password"], mark);
}

#[test]
fn payloads_are_hidden_in_every_form() {
    for (given, wanted) in [
        (
            json!({"headers": {"Authorization": "Bearer x", "Accept": "*/*"}}),
            json!({"headers": {"Authorization": "[#]", "Accept": "*/*"}}),
        ),
        (
            json!({"headers": [{"name": "Authorization", "value": "Bearer x"}, {"name": "Accept", "value": "*/*"}]}),
            json!({"headers": [{"name": "Authorization", "value": "[#]"}, {"name": "Accept", "value": "*/*"}]}),
        ),
        (
            json!({"headers": [["X-Api-Key", "x"], ["Accept", "*/*"]]}),
            json!({"headers": [["X-Api-Key", "[#]"], ["Accept", "*/*"]]}),
        ),
        (
            json!({"headers": [{"Key": "Cookie", "Values": ["x", "y"]}]}),
            json!({"headers": [{"Key": "Cookie", "Values": "[#]"}]}),
        ),
        (json!({"credentials": {"user": "ada", "n": 1}}), json!({"credentials": "[#]"})),
        (json!({"secret": 12345, "private_key": [1, 2]}), json!({"secret": "[#]", "private_key": "[#]"})),
        (json!({"max_tokens": 4096, "token_count": 3}), json!({"max_tokens": 4096, "token_count": 3})),
        (json!({"max_tokens": "4096"}), json!({"max_tokens": "[#]"})),
        (json!({"reset_url": "https://a.example/r?token=x"}), json!({"reset_url": "[#]"})),
        (json!({"uri": "https://a.example/r#access_token=x"}), json!({"uri": "[#]"})),
        (
            json!({"text": "go to https://a.example/r?token=x now"}),
            json!({"text": "go to https://a.example/r?token=[#] now"}),
        ),
        (json!({"server": "smtp://u:p@h"}), json!({"server": "smtp://[#]@h"})),
        (json!({"body": "{\"password\":\"x\"}"}), json!({"body": "{\"password\":\"[#]\"}"})),
        (json!(["password", "email"]), json!(["password", "email"])),
        (json!("password=x"), json!("password=[#]")),
        (
            json!({"to": "ada@example.com", "n": 1, "b": true, "z": null}),
            json!({"to": "ada@example.com", "n": 1, "b": true, "z": null}),
        ),
    ] {
        let shown = redactor().payload(&raw(&given), &[]).to_string();
        assert_eq!(plain(&shown), wanted.to_string());
    }
}

#[test]
fn what_is_hidden_in_one_place_is_hidden_in_all() {
    let payload = json!({"password": "geheim", "text": "Your word is geheim.", "list": [{"n": "geheim"}], "secret": "redacted"});
    let shown = redactor().payload(&raw(&payload), &[]);
    let mark = redactor().mark("geheim");
    assert_eq!(shown["text"], format!("Your word is {mark}."));
    assert_eq!(shown["list"][0]["n"], mark);
    assert_eq!(shown["secret"], redactor().mark("redacted"));
}

fn echoed(payload: &Value, said: &str) -> String {
    let secrets = redactor().secrets(&raw(payload), &["iban".to_owned()]);
    plain(&redactor().text(said, &secrets))
}

#[test]
fn what_is_secret_in_the_payload_is_hidden_in_what_is_said() {
    for (payload, said, kept) in [
        (json!({"password": "hunter2"}), "no, hunter2 is wrong (xhunter2x)", "no, [#] is wrong (x[#]x)"),
        (json!({"password": "hunter2"}), "nothing of it", "nothing of it"),
        (json!({"iban": "DE0212"}), "DE0212 and IBAN=DE99", "[#] and IBAN=[#]"),
        (json!({"a": [{"credentials": {"b": ["geheim", 987_654]}}]}), "geheim 987654", "[#] [#]"),
        (json!({"token": "a\"b\\c\nd"}), r#"said "a\"b\\c\nd""#, "said \"[#]\""),
        (json!({"token": "a b/c+d=e"}), "/x?q=a%20b%2Fc%2Bd%3De", "/x?q=[#]"),
        (json!({"token": "  spaced out \n"}), "spaced out", "[#]"),
        (json!({"headers": {"authorization": "Bearer abcdefg"}}), "abcdefg was refused", "[#] was refused"),
        (json!({"url": "https://x.example/?token=abcdefg"}), "abcdefg was refused", "[#] was refused"),
        (json!({"server": "smtp://me:p%40ssw0rd@h"}), "p@ssw0rd, p%40ssw0rd", "[#], [#]"),
        (
            json!({"iban": "https://ada99:p%40ssw0rd@x.example/hooks?a=sp+ace%21&b=true&c=abc;d=second#behind"}),
            "ada99 p@ssw0rd p%40ssw0rd YWRhOTk6cEBzc3cwcmQ= sp ace! sp+ace%21 second behind true abc hooks",
            "[#] [#] [#] [#] [#] [#] [#] [#] true abc hooks",
        ),
        (json!({"iban": "https://x.example/hooks"}), "x.example hooks", "x.example hooks"),
        (json!({"text": "your password: abcdefg"}), "abcdefg was sent", "[#] was sent"),
        (json!({"password": "abc"}), "abc", "abc"),
        (json!({"password": "pass"}), "pass, passed, a_pass, (pass)", "[#], passed, a_pass, ([#])"),
        (json!({"password": "abcde"}), "abcde, xabcde", "[#], xabcde"),
        (json!({"password": "abcdef"}), "abcdef, xabcdef", "[#], x[#]"),
        (json!({"password": "abcdef", "secret": "cdefgh"}), "xabcdefghx", "x[#]x"),
        (json!({"password": "true"}), "true", "true"),
        (json!({"max_tokens": 4096}), "4096", "4096"),
        (json!({"password": true, "secret": null}), "true null", "true null"),
        (json!({"password": "größer"}), "viel größer, größe", "viel [#], größe"),
    ] {
        assert_eq!(echoed(&payload, said), kept, "{payload}");
    }
}

#[test]
fn a_long_secret_is_hidden_as_far_as_it_is_repeated() {
    let secret = "0123456789abcdef".repeat(10);
    let payload = json!({"token": secret});
    assert_eq!(echoed(&payload, &format!("<{secret}>")), "<[#]>");
    assert_eq!(echoed(&payload, &format!("<{}...", &secret[..100])), "<[#]...");
    assert_eq!(echoed(&payload, &format!("<{}...", &secret[..32])), "<[#]...");
    assert_eq!(echoed(&payload, &format!("<{}...", &secret[..31])), format!("<{}...", &secret[..31]));
}

#[test]
fn a_text_that_is_too_long_ends_before_half_a_secret() {
    let payload = json!({"token": "Zq8v B2nM 4kLp"});
    for lead in 65_510..=65_550 {
        let said = format!("{}Zq8v B2nM 4kLp{}", "x ".repeat(lead / 2), "y".repeat(lead % 2 + 100_000));
        let secrets = redactor().secrets(&raw(&payload), &[]);
        let kept = redactor().text(&said, &secrets);
        assert!(kept.len() <= 65_536 + 19 && !kept.contains("Zq8"), "{lead}: {}", &kept[65_400..]);
        // Nor does a pattern that is cut.
        let said = format!("{}smtp://u:hunter2@h {}", " ".repeat(lead), "y".repeat(100_000));
        assert!(!text(&said).contains("hun"), "{lead}");
    }
    let short = "x".repeat(65_536);
    assert_eq!(text(&short), short);
    assert_eq!(text(&format!("{short}x")).len(), 65_536);
}

#[test]
fn what_cannot_be_looked_through_is_hidden_whole() {
    let deep = format!("{}\"s3cret\"{}", "[".repeat(200), "]".repeat(200));
    let deep = RawValue::from_string(deep).unwrap();
    let secrets = redactor().secrets(&deep, &[]);
    assert_eq!(plain(&redactor().text("anything", &secrets)), "[#]");
    // So is a text about more secrets than can be searched for.
    let many = |n: usize| json!({"tokens": (0..n).map(|n| format!("secret-{n}")).collect::<Vec<_>>()});
    assert_eq!(echoed(&many(8_192), "anything but secret-77"), "anything but [#]");
    assert_eq!(echoed(&many(8_193), "anything but secret-77"), "[#]");
}

/// Each of these takes minutes where the time is quadratic. As long as a payload can be by default.
#[test]
fn time_is_linear_in_the_length_of_the_text() {
    const LENGTH: usize = 256 * 1024;
    for part in [
        "://",
        "://a:b/",
        "eyJ-",
        "sk-",
        "password: is ",
        "cookie: is ",
        "cookie: [redacted 12345678]",
        "password=\"\"",
        "\\",
        "key key: ",
        "password ",
        "'password',",
        "[",
        "((",
        "password=null(",
        "a@",
        "-----BEGIN ",
        "token=&",
        "x=",
        "\"",
        "password: must.",
    ] {
        let said = json!({"text": part.repeat(LENGTH / part.len())});
        let _ = redactor().payload(&raw(&said), &[]);
        let _ = redactor().line(said["text"].as_str().unwrap());
    }
    // A value and a text that repeat themselves.
    for value in ["a".repeat(200_000), "ab".repeat(100_000) + "c"] {
        let said = &value[..60_000];
        let kept = echoed(&json!({"token": value}), said);
        assert_eq!(kept, "[#]");
    }
    let many: Vec<String> = (0..2_000).map(|n| format!("{}{n}", "a".repeat(28))).collect();
    assert_eq!(echoed(&json!({"tokens": many}), &"a".repeat(60_000)), "a".repeat(60_000));
}

/// Values that begin alike are all found at every place of a text that does so too: that many are not gone through, and
/// the text is hidden whole.
#[test]
fn many_values_that_begin_alike_cost_no_more_than_others() {
    let values: Vec<_> = (0..2_000).map(|n| format!("{}{n}", "a".repeat(32))).collect();
    let text = "a".repeat(20_000);
    let texts: Vec<_> = (0..100).map(|_| text.clone()).collect();
    let payload = raw(&json!({"password": values, "one": text, "more": texts}));
    let secrets = redactor().secrets(&payload, &[]);
    assert_eq!(redactor().text(&text, &secrets).len(), "[redacted 1a2b3c4d]".len());
    let shown = redactor().payload(&payload, &[]);
    assert!(!shown.to_string().contains("aaaa"));
    // Few of them are worked off as ever.
    let payload = raw(&json!({"password": values[..9], "one": format!("so {}", values[7])}));
    let shown = redactor().payload(&payload, &[]);
    assert!(shown["one"].as_str().unwrap().starts_with("so [redacted "), "{shown}");
}

#[test]
fn options_are_hidden_by_name_and_by_look() {
    for (key, value, shown) in [
        ("webhooks.secret", json!("whsec_x"), json!("[redacted]")),
        ("webhooks.secret", json!(["a", "b"]), json!(["[redacted]", "[redacted]"])),
        ("auth.token", json!("x"), json!("[redacted]")),
        (
            "auth.tokens",
            json!([{"name": "ci", "token": "x"}]),
            json!([{"name": "ci", "token": "[redacted]"}]),
        ),
        ("auth.token_file", json!("/run/secrets/token"), json!("/run/secrets/token")),
        ("auth.token", json!(""), json!("")),
        ("mail.smtp_password", json!("[redacted]"), json!("[redacted]")),
        ("mail.smtp_url", json!("smtp://u:p@h:25?tls=none"), json!("smtp://[redacted]@h:25?tls=none")),
        ("mail.smtp_url", json!("smtp://[redacted]@h"), json!("smtp://[redacted]@h")),
        ("mail.from", json!("Backroom <b@localhost>"), json!("Backroom <b@localhost>")),
        ("limits.batch", json!(5), json!(5)),
    ] {
        assert_eq!(setting(key, &value), shown, "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_is_redacted_twice(said in "([ -~]|[\"'\\\\:=\\[\\]@]|é|password|token|://|Bearer ){0,60}") {
        let once = text(&said);
        let _ = redactor().line(&said);
        prop_assert!(text(&once).matches("[redacted ").count() <= once.matches("[redacted ").count());
    }

    #[test]
    fn a_secret_is_hidden_however_it_is_repeated(
        secret in "Zq[ -~äß€\\n\"\\\\]{4,60}",
        before in "[ -~]{0,40}",
        after in "[ -~]{0,40}",
    ) {
        prop_assume!(!before.contains("Zq") && !after.contains("Zq"));
        let payload = json!({"data": [{"password": &secret}]});
        let secrets = redactor().secrets(&raw(&payload), &[]);
        for form in [secret.clone(), format!("{secret:?}"), json!(secret).to_string()] {
            let kept = redactor().text(&format!("{before}{form}{after}"), &secrets).into_owned();
            prop_assert!(!kept.contains("Zq"), "{kept}");
        }
        let shown = redactor().payload(&raw(&payload), &[]).to_string();
        prop_assert!(!shown.contains("Zq"), "{shown}");
    }

    #[test]
    fn whatever_stands_under_a_name_is_hidden(secret in "Zq[!#-%*-Z^_a-z|~]{4,40}") {
        prop_assume!(!secret.ends_with('='));
        for said in [format!("password={secret} x"), format!("{{\"password\":{}}}", json!(secret)), format!("password: {secret:?}")] {
            let kept = text(&said);
            prop_assert!(!kept.contains(&secret) && !kept.contains("Zq"), "{kept}");
        }
    }
}
