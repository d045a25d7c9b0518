//! Values that must not be seen, given as they are or in a file.

use secrecy::{ExposeSecret as _, SecretString};

use super::reader::Section;

/// A secret as it was found.
pub(super) enum Secret {
    /// Neither the value nor a file is named.
    None,
    /// There is one.
    Given {
        /// It.
        value: SecretString,
        /// The key by which it was given.
        key: &'static str,
    },
    /// What was given is a fault, which has been noted.
    Faulty,
}

impl Secret {
    /// The secret, if there is one.
    pub(super) fn value(self) -> Option<SecretString> {
        match self {
            Self::Given { value, .. } => Some(value),
            Self::None | Self::Faulty => None,
        }
    }
}

impl Section<'_> {
    /// A secret from `key` or from the file that `file_key` names. `check` says how the value may be shown, or what is
    /// wrong with it (without quoting it).
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        check: fn(&str) -> Result<String, &'static str>,
    ) -> Secret {
        let path = self.path(file_key);
        let Some(text) = self.hidden(key) else {
            return Secret::Faulty;
        };
        let secret = match path {
            Some(_) if !text.is_empty() => {
                let section = self.name();
                let reason = format!("is given, and so is {section}.{key}; write one of the two");
                self.fault(file_key, reason);
                return Secret::Faulty;
            }
            None if text.is_empty() => Secret::None,
            None => Secret::Given {
                value: text.into(),
                key,
            },
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let text = text
                        .strip_suffix('\n')
                        .map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
                    if text.is_empty() {
                        self.fault(file_key, "is an empty file");
                        return Secret::Faulty;
                    }
                    Secret::Given {
                        value: text.into(),
                        key: file_key,
                    }
                }
                Err(error) => {
                    self.fault(file_key, format!("cannot be read: {error}"));
                    return Secret::Faulty;
                }
            },
        };
        let shown = match &secret {
            Secret::Given { value, key: given } => match check(value.expose_secret()) {
                // What came from a file is shown by its path alone.
                Ok(shown) => {
                    if *given == key {
                        shown
                    } else {
                        String::new()
                    }
                }
                Err(reason) => {
                    let given = *given;
                    self.fault(given, reason);
                    return Secret::Faulty;
                }
            },
            Secret::None | Secret::Faulty => String::new(),
        };
        self.show(key, shown);
        secret
    }
}
