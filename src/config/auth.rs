//! `[auth]`: who may call.

use std::net::IpAddr;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value as Json, json};

use super::fault::instead_of;
use super::reader::{Reader, Section};
use super::secret;
use super::server::Server;
use super::value::Value;

/// The name of the caller that `auth.token` lets in.
pub const SINGLE_TOKEN: &str = "token";

/// Long enough that nobody guesses it: 16 characters of hex are 64 bits.
const SHORTEST: usize = 16;
const LONGEST: usize = 512;
const LONGEST_NAME: usize = 64;

/// Each request is compared with all of them.
const MOST: usize = 1_000;

/// Says who may call.
#[derive(Clone, Debug)]
pub struct Auth {
    /// How a caller is known.
    pub mode: AuthMode,
    /// The tokens, `auth.token` among them under the name [`SINGLE_TOKEN`]. None together with [`AuthMode::None`]; with
    /// [`AuthMode::Tokens`] and none of them, only this host is served.
    pub tokens: Vec<Token>,
}

/// Names how a caller is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthMode {
    /// By a token. Without one it means: only on loopback, and only under local names.
    Tokens,
    /// Not at all.
    None,
}

/// Lets a caller in.
#[derive(Clone, Debug)]
pub struct Token {
    /// What the caller is called: 1 to 64 letters, digits, `_`, `-` or `.`. No other token has it.
    pub name: String,
    /// What the caller sends: 16 to 512 visible ASCII characters. No other token is the same.
    pub token: SecretString,
    /// What the caller may do; at least one.
    pub roles: Vec<Role>,
}

/// Says what a caller may do. A role includes no other one, but for [`Role::Operate`], which includes all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Enqueue, and read, watch and cancel a job by its id.
    Submit,
    /// See lists, queues, events and mail.
    Read,
    /// Change anything, and read payloads.
    Operate,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Submit, Self::Read, Self::Operate];

    /// Its word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }

    fn parse(word: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::as_str);
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| format!("unknown role {word:?}; {}", instead_of(word, known)))
    }
}

impl Auth {
    /// Reads the section, and refuses to be open to everybody by oversight.
    pub(super) fn read(reader: &mut Reader<'_>, server: &Server) -> Self {
        let modes = [("tokens", AuthMode::Tokens), ("none", AuthMode::None)];
        let before = reader.found.faults.len();
        let auth = reader.section("auth", |s| {
            let mode = s.choice("mode", &modes);
            let single = s.secret("token", "token_file", |text| check_token(text).map(|()| secret::hidden()));
            let mut tokens: Vec<Token> = single.value().map(single_token).into_iter().collect();
            tokens.extend(named(s));
            Self { mode, tokens }
        });
        // A token that is at fault would have been one: what is said of those that are missing would be wrong.
        if reader.found.faults.len() == before && !reader.found.incomplete {
            for (key, reason) in auth.faults(server) {
                reader.found.fault(key, reason);
            }
        }
        auth
    }

    /// What does not fit each other, and what is wrong with tokens that were made in code, as key and reason.
    pub(super) fn faults(&self, server: &Server) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.tokens.len() > MOST {
            faults.push(("auth.tokens", format!("there may be at most {MOST} tokens")));
        }
        for (index, token) in self.tokens.iter().enumerate().take(MOST) {
            let own = token.faults().into_iter();
            let of_all = token.repeats(&self.tokens[..index]).into_iter();
            faults.extend(
                own.chain(of_all).map(|fault| ("auth.tokens", format!("{}: {fault}", token.label()))),
            );
        }
        if self.mode == AuthMode::None && !self.tokens.is_empty() {
            let reason = "is \"none\", so nobody is asked for a token, but there are some (auth.token, auth.tokens): leave \
                          out the one or the others";
            faults.push(("auth.mode", reason.to_owned()));
        }
        faults.extend(self.openness(server));
        faults
    }

    /// Why the server would be open to those whom nobody meant, if it would and nobody has said so.
    fn openness(&self, server: &Server) -> Option<(&'static str, String)> {
        if self.mode == AuthMode::None || !self.tokens.is_empty() {
            return None;
        }
        let ip: IpAddr = server.bind.ip();
        if !ip.to_canonical().is_loopback() {
            let reason = format!(
                "{ip} is beyond loopback and there is no token, so everybody who can connect could submit jobs; give it \
                 one (auth.token_file), bind to 127.0.0.1 behind a reverse proxy, or write auth.mode = \"none\" if that \
                 is meant"
            );
            return Some(("server.bind", reason));
        }
        server.cors_origins.iter().any(|origin| origin == "*").then(|| {
            let reason = "\"*\" lets every web page that is opened on this host use the server, because there is no \
                          token: name the origins, or give it a token (auth.token_file)";
            ("server.cors_origins", reason.to_owned())
        })
    }
}

fn single_token(token: SecretString) -> Token {
    Token { name: SINGLE_TOKEN.to_owned(), token, roles: Role::ALL.to_vec() }
}

impl Token {
    /// As it is called in a fault.
    fn label(&self) -> String {
        let name: String = self.name.chars().take(LONGEST_NAME).collect();
        format!("token {name:?}")
    }

    fn faults(&self) -> Vec<String> {
        let no_role = self.roles.is_empty().then_some("has no role; write one of submit, read, operate");
        let faults = [check_name(&self.name).err(), check_token(self.token.expose_secret()).err(), no_role];
        faults.into_iter().flatten().map(str::to_owned).collect()
    }

    fn repeats(&self, others: &[Self]) -> Option<String> {
        if others.iter().any(|other| other.name == self.name) {
            return Some("another token has this name".to_owned());
        }
        let same = |other: &&Self| other.token.expose_secret() == self.token.expose_secret();
        others.iter().find(same).map(|other| format!("is the same as {}", other.label()))
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits) {
        Ok(())
    } else {
        Err("name must be 1 to 64 letters, digits, '_', '-' or '.'")
    }
}

/// Never quotes it.
fn check_token(token: &str) -> Result<(), &'static str> {
    if token.len() < SHORTEST {
        return Err(
            "must have at least 16 characters, so that nobody guesses it: try `openssl rand -hex 32`",
        );
    }
    if token.len() > LONGEST {
        return Err("must have at most 512 characters");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces: it is sent in a header");
    }
    Ok(())
}

/// The members of `auth.tokens`. Nothing of it is shown but names, roles and paths.
fn named(s: &mut Section<'_>) -> Vec<Token> {
    let rule = "must be a list of tables, as in [{ name = \"shop\", token_file = \"/run/secrets/shop\", roles = [\"submit\"] }]";
    let Some(value) = s.hidden_value("tokens") else {
        return Vec::new();
    };
    let Some(items) = value.items().filter(|items| items.len() <= MOST) else {
        s.fault("tokens", rule);
        return Vec::new();
    };
    let (mut tokens, mut shown) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let found = item.members().ok_or_else(|| vec![rule.to_owned()]).and_then(token);
        match found {
            Ok((token, json)) => {
                tokens.push(token);
                shown.push(json);
            }
            Err(faults) => {
                for fault in faults {
                    s.fault("tokens", format!("item {}: {fault}", index + 1));
                }
            }
        }
    }
    s.show("tokens", shown);
    tokens
}

/// One token, and how it is shown; or all that is wrong with it.
fn token(members: &[(String, Value)]) -> Result<(Token, Json), Vec<String>> {
    const KEYS: [&str; 4] = ["name", "roles", "token", "token_file"];
    let mut faults = Vec::new();
    for (key, _) in members.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())) {
        faults.push(format!("unknown key {key:?}; {}", instead_of(key, KEYS)));
    }
    let member = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    let mut text = |key: &str| {
        let value = member(key)?;
        let text = value.string();
        if text.is_none() {
            faults.push(format!("{key} must be text"));
        }
        Some(text.unwrap_or_default())
    };
    let (name, value, path) = (text("name"), text("token"), text("token_file"));
    let (value, path) = (value.filter(|text| !text.is_empty()), path.filter(|text| !text.is_empty()));
    let roles: Result<Vec<Role>, String> = match member("roles").map(Value::strings) {
        None => Err("roles are missing: name at least one of submit, read, operate".to_owned()),
        Some(None) => Err("roles must be a list of texts, as in [\"submit\", \"read\"]".to_owned()),
        Some(Some(words)) if words.is_empty() => {
            Err("roles are empty: name at least one of submit, read, operate".to_owned())
        }
        Some(Some(words)) => words.iter().map(|word| Role::parse(word)).collect(),
    };
    let mut shown = json!({ "name": name.clone().unwrap_or_default() });
    let secret = match (value, path) {
        (Some(_), Some(_)) => Err("token is given, and so is token_file; write one of the two".to_owned()),
        (None, None) => Err("has neither token nor token_file".to_owned()),
        (Some(value), None) => {
            shown["token"] = secret::hidden().into();
            check_token(&value).map(|()| SecretString::from(value)).map_err(|fault| format!("token {fault}"))
        }
        (None, Some(path)) => {
            shown["token_file"] = path.clone().into();
            let checked = secret::from_file(path.as_ref())
                .and_then(|value| check_token(value.expose_secret()).map(|()| value).map_err(str::to_owned));
            checked.map_err(|fault| format!("token_file {fault}"))
        }
    };
    let named = name.ok_or_else(|| "name is missing".to_owned());
    let named = named.and_then(|name| check_name(&name).map(|()| name).map_err(str::to_owned));
    match (named, secret, roles) {
        (Ok(name), Ok(token), Ok(roles)) if faults.is_empty() => {
            shown["roles"] = roles.iter().map(|role| role.as_str()).collect();
            Ok((Token { name, token, roles }, shown))
        }
        (named, secret, roles) => {
            faults.extend([named.err(), secret.err(), roles.err()].into_iter().flatten());
            Err(faults)
        }
    }
}
