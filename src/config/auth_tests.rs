//! Tests of `[auth]`.

use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::config::testing::{config, faults, loaded, with_all, with_file};
use crate::config::{Config, Role, SINGLE_TOKEN, Token};

const TOKEN: &str = "0123456789abcdef";

fn item(token: &str, rest: &str) -> String {
    format!("auth.tokens=[{{name=\"ci\",token=\"{token}\",roles=[\"submit\"]}}{rest}]")
}

#[test]
fn one_token_has_every_role() {
    let auth = config(&["auth.token=0123456789abcdef"]).auth;
    assert_eq!(auth.tokens.len(), 1);
    assert_eq!((auth.tokens[0].name.as_str(), auth.tokens[0].roles.len()), (SINGLE_TOKEN, 3));
    let from_env = with_all("", &[("BACKROOM_AUTH__TOKEN", "12345678901234567890")], &[]).unwrap();
    assert_eq!(from_env.config.auth.tokens[0].token.expose_secret(), "12345678901234567890");
    assert!(config(&[]).auth.tokens.is_empty());
}

#[test]
fn named_tokens_come_from_every_layer() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "fedcba9876543210\r\n").unwrap();
    let text = format!(
        "[[auth.tokens]]\nname = 'ci'\ntoken = '{TOKEN}'\nroles = ['submit']\n[[auth.tokens]]\nname = 'ops'\n\
         token_file = '{}'\nroles = ['read', 'operate']\n",
        file.path().display()
    );
    let tokens = with_file(&text, &["auth.token=abcdefghijklmnop"]).unwrap().config.auth.tokens;
    let names: Vec<&str> = tokens.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names, ["token", "ci", "ops"]);
    assert_eq!(tokens[2].token.expose_secret(), "fedcba9876543210");
    assert_eq!(tokens[2].roles, [Role::Read, Role::Operate]);
    assert_eq!(config(&[&item(TOKEN, "")]).auth.tokens[0].roles, [Role::Submit]);
    let (_, value) = item(TOKEN, "").split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
    let replaced = with_all(&text, &[("BACKROOM_AUTH__TOKENS", &value)], &[]).unwrap();
    assert_eq!(replaced.config.auth.tokens.len(), 1, "a stronger layer replaces the list");
    assert!(with_all(&text, &[("BACKROOM_AUTH__TOKENS", "")], &[]).unwrap().config.auth.tokens.is_empty());
}

#[test]
fn the_length_of_a_token_has_two_ends() {
    for (length, good) in [(15, false), (16, true), (512, true), (513, false)] {
        let token = "x".repeat(length);
        for set in [format!("auth.token={token}"), item(&token, "")] {
            if good {
                assert_eq!(config(&[&set]).auth.tokens.len(), 1);
            } else {
                assert_eq!(faults(&[&set]).len(), 1, "{length}");
            }
        }
    }
    for bad in ["sixteen chars or more", "0123456789abcdéf", "0123456789abcdef\u{7f}"] {
        assert_eq!(faults(&[&format!("auth.token={bad}")]).len(), 1, "{bad}");
    }
}

#[test]
fn whatever_is_wrong_is_named_and_no_secret_with_it() {
    let of = |items: &str| {
        let found = faults(&[&format!("auth.tokens={items}")]);
        assert!(!found.concat().contains("s3cret"), "{found:?}");
        found
            .iter()
            .map(|fault| fault.trim_start_matches("--set: auth.tokens: ").to_owned())
            .collect::<Vec<_>>()
    };
    let a = r#"{name="a",token="s3cret-s3cret-s3cret",roles=["read"]}"#;
    let second = |item: &str| of(&format!("[{a},{item}]"));
    insta::assert_snapshot!(
        [
            of("s3cret"),
            of("[\"s3cret-s3cret-s3cret\"]"),
            of("{name=\"s3cret\"}"),
            second("{}"),
            second(r#"{name="b c",token="s3cret",roles=[]}"#),
            second(r#"{name="b",token="s3cret-s3cret-s3cret-2",token_file="x",roles=["reed"]}"#),
            second(r#"{name="b",token_file="/nonexistent/x",roles="read"}"#),
            second(r#"{name="b",tokn="s3cret",token="s3cret-s3cret-s3cret-2",roles=["read"]}"#),
            second(r#"{name=5,token=["s3cret"],roles=["read"]}"#),
            second(a),
            second(r#"{name="b",token="s3cret-s3cret-s3cret",roles=["read"]}"#),
        ]
        .map(|faults| faults.join("\n"))
        .join("\n--\n")
    );
}

#[test]
fn the_single_token_is_a_name_too() {
    let same = "auth.tokens=[{name=\"token\",token=\"abcdefghijklmnop\",roles=[\"read\"]}]";
    config(&[same]);
    assert_eq!(
        faults(&["auth.token=0123456789abcdef", same]),
        ["--set: auth.tokens: token \"token\": another token has this name"]
    );
}

#[test]
fn tokens_are_neither_shown_nor_debugged() {
    let loaded = loaded(&["auth.token=s3cret-s3cret-s3cret-1", &item("s3cret-s3cret-s3cret-2", "")]);
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("s3cret") && shown.contains("[redacted]"), "{shown}");
    let value = |key: &str| loaded.effective.iter().find(|v| v.key == key).unwrap().value.clone();
    assert_eq!(value("auth.token"), "[redacted]");
    assert_eq!(value("auth.tokens"), json!([{"name": "ci", "token": "[redacted]", "roles": ["submit"]}]));
}

#[test]
fn nobody_is_let_in_by_oversight() {
    let open = "server.bind=0.0.0.0:80";
    config(&[open, "auth.token=0123456789abcdef"]);
    config(&[open, &item(TOKEN, "")]);
    config(&[open, "auth.mode=none"]);
    assert_eq!(faults(&[open]).len(), 1);
    // One fault, not two: the token is there, only it cannot be read.
    let found = faults(&[open, "auth.token_file=/nonexistent/x"]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("--set: auth.token_file: /nonexistent/x cannot be read: "), "{found:?}");
    let found = faults(&["auth.mode=none", "auth.token=0123456789abcdef"]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("--set: auth.mode: is \"none\""), "{found:?}");
}

#[test]
fn tokens_made_in_code_are_checked_too() {
    let token =
        |name: &str, token: &str| Token { name: name.into(), token: token.into(), roles: vec![Role::Read] };
    let faults = |tokens: Vec<Token>| {
        let mut config = Config::default();
        config.auth.tokens = tokens;
        config.faults().len()
    };
    assert_eq!(faults(vec![token("a", TOKEN), token("b", "abcdefghijklmnop")]), 0);
    assert_eq!(faults(vec![token("a", TOKEN), token("b", TOKEN)]), 1);
    assert_eq!(faults(vec![token("", "short")]), 2);
    assert_eq!(faults(vec![Token { roles: Vec::new(), ..token("a", TOKEN) }]), 1);
    let many = |count: usize| (0..count).map(|n| token(&n.to_string(), &format!("{n:016}"))).collect();
    assert_eq!((faults(many(1_000)), faults(many(1_001))), (0, 1));
}
