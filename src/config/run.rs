//! `kinds.<name>.run`: kinds that a user makes without code, of a program or of an address of the own app.

use std::fmt;

use reqwest::Url;

use super::command::Command;
use super::reader::Section;
use crate::egress::{Allow, AllowError};

/// The members that belong to one of the two forms.
const OF_COMMAND: [&str; 5] = ["command", "folder", "env", "result_type", "retry_on_exit"];
const OF_PUSH: [&str; 1] = ["url"];

/// Says what runs the jobs of a kind that has no handler in the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Run {
    /// A request to the user's own app.
    Push(Push),
    /// A program.
    Command(Command),
}

/// Says where the jobs of a kind are sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    /// The address: absolute, `http` or `https`, without user, password and fragment.
    pub url: String,
}

#[derive(Clone, Copy)]
enum Form {
    Push,
    Command,
}

impl Run {
    /// Whether a section speaks of running at all.
    pub(super) fn is_in(s: &Section<'_>) -> bool {
        s.has("run") || OF_COMMAND.iter().chain(&OF_PUSH).any(|key| s.has(key))
    }

    /// `None` where there is none, and together with a fault. `has_handler`: the program itself runs this kind.
    pub(super) fn read(s: &mut Section<'_>, has_handler: bool) -> Option<Self> {
        if has_handler {
            let reason =
                "is for kinds of your own, and this one is run by the program itself; choose another name";
            refuse(s, &["run"], reason);
            refuse(s, &OF_COMMAND, reason);
            refuse(s, &OF_PUSH, reason);
            return None;
        }
        match s.optional("run", |s, key| s.text(key, None, form)) {
            None => {
                refuse(s, &OF_COMMAND, "needs run = \"command\"");
                refuse(s, &OF_PUSH, "needs run = \"push\"");
                None
            }
            // Which of the members would be right is not known.
            Some(None) => {
                for key in OF_COMMAND.iter().chain(&OF_PUSH) {
                    s.optional(key, |_, _| ());
                }
                None
            }
            Some(Some(Form::Push)) => {
                refuse(s, &OF_COMMAND, "is for run = \"command\", but run is \"push\"");
                required(s, "url", Push::read_url).flatten().map(|url| Self::Push(Push { url }))
            }
            Some(Some(Form::Command)) => {
                refuse(s, &OF_PUSH, "is for run = \"push\", but run is \"command\"");
                Command::read(s).map(Self::Command)
            }
        }
    }

    /// What of it, made in code, cannot be followed: the member and the reason.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Push(push) => {
                push_url(&push.url).err().map(|reason| ("url", reason.to_owned())).into_iter().collect()
            }
            Self::Command(command) => command.faults(),
        }
    }
}

impl Push {
    /// Read without showing what is wrong: it may hold a password by mistake.
    fn read_url(s: &mut Section<'_>, key: &'static str) -> Option<String> {
        let text = s.hidden(key)?;
        match push_url(&text) {
            Ok(url) => {
                s.show(key, shown_url(&url));
                Some(url)
            }
            Err(reason) => {
                s.fault(key, reason);
                None
            }
        }
    }
}

impl fmt::Debug for Push {
    /// Without the query of the URL, which may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("url", &shown_url(&self.url)).finish()
    }
}

fn form(text: &str) -> Result<Option<Form>, String> {
    match text {
        "push" => Ok(Some(Form::Push)),
        "command" => Ok(Some(Form::Command)),
        _ => Err("must be \"push\" or \"command\"".to_owned()),
    }
}

fn refuse(s: &mut Section<'_>, keys: &[&'static str], reason: &str) {
    for key in keys {
        s.optional(key, |s, key| s.fault(key, reason));
    }
}

/// A member without which `run` has no meaning.
pub(super) fn required<T>(
    s: &mut Section<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'_>, &'static str) -> T,
) -> Option<T> {
    let value = s.optional(key, |s, key| read(s, key));
    if value.is_none() && !s.is_incomplete() {
        let form = if OF_PUSH.contains(&key) { "push" } else { "command" };
        s.fault_of(key, "run", format!("is required with run = \"{form}\""));
    }
    value
}

fn push_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be an absolute URL, as in \"http://app:3000/jobs\"")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if url.fragment().is_some() {
        return Err("must have no fragment: it would not be sent");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and no password: the app knows a request by its signature");
    }
    if Allow::parse(url.host_str().unwrap_or_default()) == Err(AllowError::Never) {
        return Err("leads to a link-local or metadata address, which is never allowed");
    }
    Ok(url.into())
}

/// Without what may be a token.
fn shown_url(url: &str) -> String {
    match url.split_once('?') {
        Some((url, _)) => format!("{url}?[redacted]"),
        None => url.to_owned(),
    }
}
