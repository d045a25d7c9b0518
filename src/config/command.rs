//! `kinds.<name>.run = "command"`: which program, and in what surroundings.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::reader::Section;
use super::run::required;
use crate::job::is_media_type;

/// What the program finds in its environment in any case, see [`Command::env`].
const GIVEN: [&str; 4] = ["BACKROOM_JOB_ID", "BACKROOM_ATTEMPT", "BACKROOM_MAX_ATTEMPTS", "BACKROOM_KIND"];

/// The most items of `command` and of `env`, and the longest of them in bytes. Together they stay far below what a
/// system takes (2 MiB on Linux), so that no job fails for it.
const ITEMS: usize = 100;
const ITEM_BYTES: usize = 4_096;

/// Any text can be that, so that no output makes a job fail.
const RESULT_TYPE: &str = "text/plain; charset=utf-8";

/// Says which program runs the jobs of a kind, and in what surroundings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// The program and its arguments, never given to a shell: 1 to 100, each at most 4 KiB. A program with a slash is
    /// looked for in [`Self::folder`], one without on the `PATH` of the server.
    pub command: Vec<String>,
    /// The working directory. `None`: that of the server.
    pub folder: Option<PathBuf>,
    /// What the program finds in its environment beside `BACKROOM_JOB_ID`, `BACKROOM_ATTEMPT`, `BACKROOM_MAX_ATTEMPTS`
    /// and `BACKROOM_KIND`, and nothing else: at most 100.
    pub env: Vec<Variable>,
    /// The media type of what it writes to its standard output. When that is JSON, the output must be.
    pub result_type: String,
    /// Whether a job is tried again after an exit code other than 0, 64, 65 and 75.
    pub retry_on_exit: bool,
}

/// A variable in the environment of a program.
#[derive(Clone, PartialEq, Eq)]
pub enum Variable {
    /// The server's own of this name, as it was when the server started. None if it has none.
    Passed(String),
    /// One with a value of its own.
    Set {
        /// Its name.
        name: String,
        /// Its value, which is never shown.
        value: String,
    },
}

impl Command {
    /// `None` only together with a fault.
    pub(super) fn read(s: &mut Section<'_>) -> Option<Self> {
        let command = required(s, "command", |s, key| s.list(key, 1..=ITEMS, item));
        let folder = s.optional("folder", |s, key| s.text(key, Err(()), |text| folder(text).map(Ok)));
        let env = s.optional("env", Self::read_env).unwrap_or_else(|| Some(Vec::new()));
        let result_type = s.optional("result_type", |s, key| s.text(key, String::new(), media_type));
        let retry_on_exit = s.optional("retry_on_exit", Section::flag).unwrap_or(true);
        let read = Self {
            command: command.filter(|command| !command.is_empty())?,
            folder: folder.unwrap_or(Ok(None)).ok()?,
            env: env?,
            result_type: result_type.unwrap_or_else(|| RESULT_TYPE.to_owned()),
            retry_on_exit,
        };
        // Without one of the layers it may be looked for in the wrong place.
        if !s.is_incomplete()
            && let Err(reason) = read.program()
        {
            s.fault("command", reason);
        }
        Some(read)
    }

    /// Read without showing the values, also where they are wrong.
    fn read_env(s: &mut Section<'_>, key: &'static str) -> Option<Vec<Variable>> {
        let items = s.hidden_list(key)?;
        let variables: Vec<Variable> = items.into_iter().map(Variable::from).collect();
        if let Err(reason) = check_env(&variables) {
            s.fault(key, reason);
            return None;
        }
        s.show(key, variables.iter().map(ToString::to_string).collect::<Vec<_>>());
        Some(variables)
    }

    /// Finds the program: an absolute path to a file that may be executed.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn program(&self) -> Result<PathBuf, String> {
        let name = self.command.first().filter(|name| !name.is_empty());
        let name = name.ok_or("must begin with the name of a program")?;
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| format!("{name:?}: {error}"));
        if !name.contains('/') {
            let path = std::env::var_os("PATH").unwrap_or_default();
            return match find(name, &path) {
                Some(found) => absolute(&found),
                None => Err(format!(
                    "{name:?} is not on the PATH of the server; write its whole path, or ./{name} for one in the folder"
                )),
            };
        }
        let path = absolute(&self.folder.as_deref().unwrap_or(Path::new("")).join(name))?;
        match () {
            () if !path.exists() => Err(format!("there is no program {}", path.display())),
            () if !is_program(&path) => {
                Err(format!("{} may not be executed by this user (chmod +x?)", path.display()))
            }
            () => Ok(path),
        }
    }

    /// The variables of [`Self::env`] with their values.
    pub fn variables(&self) -> Vec<(String, OsString)> {
        let variable = |variable: &Variable| match variable {
            Variable::Passed(name) => std::env::var_os(name).map(|value| (name.clone(), value)),
            Variable::Set { name, value } => Some((name.clone(), value.into())),
        };
        self.env.iter().filter_map(variable).collect()
    }

    /// The names of variables that are to be passed on, and that the server does not have.
    pub(super) fn missing_variables(&self) -> impl Iterator<Item = &str> {
        self.env.iter().filter_map(|variable| match variable {
            Variable::Passed(name) if std::env::var_os(name).is_none() => Some(name.as_str()),
            _ => None,
        })
    }

    /// What of it, made in code, cannot be followed: the member and the reason.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut note =
            |key, result: Result<(), String>| faults.extend(result.err().map(|reason| (key, reason)));
        let long = self.command.len() > ITEMS;
        let items = self.command.iter().try_for_each(|text| item(text).map(drop));
        note("command", if long { Err(format!("must have 1 to {ITEMS} items")) } else { items });
        let place = self.folder.as_deref().map_or(Ok(()), is_folder);
        if place.is_ok() {
            note("command", self.program().map(drop));
        }
        note("folder", place);
        note("env", check_env(&self.env));
        note("result_type", media_type(&self.result_type).map(drop));
        faults
    }
}

impl From<String> for Variable {
    /// `NAME` passes the server's own on, `NAME=value` sets one.
    fn from(text: String) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self::Set { name: name.to_owned(), value: value.to_owned() },
            None => Self::Passed(text),
        }
    }
}

impl Variable {
    fn name(&self) -> &str {
        match self {
            Self::Passed(name) | Self::Set { name, .. } => name,
        }
    }

    fn check(&self) -> Result<(), String> {
        let name = self.name();
        let may = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(may) {
            return Err(
                "must be NAME or NAME=value, the name of letters, digits and '_', not beginning with a digit"
                    .to_owned(),
            );
        }
        if GIVEN.contains(&name) {
            return Err(format!("{name} is given to every program by the server"));
        }
        let value = if let Self::Set { value, .. } = self { value } else { "" };
        item(name).and_then(|_| item(value)).map(drop)
    }
}

impl fmt::Display for Variable {
    /// Without its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(name) => f.write_str(name),
            Self::Set { name, .. } => write!(f, "{name}=[redacted]"),
        }
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An argument or a value: what the system can hand to a program.
fn item(text: &str) -> Result<String, String> {
    if text.len() > ITEM_BYTES {
        Err(format!("must be at most {ITEM_BYTES} bytes"))
    } else if text.contains('\0') {
        Err("must not contain the character NUL".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn check_env(variables: &[Variable]) -> Result<(), String> {
    if variables.len() > ITEMS {
        return Err(format!("must have 0 to {ITEMS} items"));
    }
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let once = seen.insert(variable.name());
        if let Err(reason) = variable.check() {
            faults.push(format!("item {}: {reason}", index + 1));
        } else if !once {
            faults.push(format!("item {}: {} is there twice", index + 1, variable.name()));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

fn folder(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        "" => Ok(None),
        text => is_folder(Path::new(text)).map(|()| Some(PathBuf::from(text))),
    }
}

fn is_folder(path: &Path) -> Result<(), String> {
    if path.is_dir() { Ok(()) } else { Err("is not a folder that can be read".to_owned()) }
}

fn media_type(text: &str) -> Result<String, String> {
    if is_media_type(text) {
        Ok(text.to_owned())
    } else {
        Err("must be a media type, as in \"application/pdf\" or \"text/csv; charset=utf-8\"".to_owned())
    }
}

/// The first program of this name. An empty entry means the working directory to a shell, and nothing here: a program
/// that happens to lie there is not meant.
fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty());
    folders.map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}
