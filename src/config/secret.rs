//! Values that must not be seen, given as they are or in a file.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::layers::unreadable;
use super::reader::Section;
use super::tree::{Node, Table};

/// Every secret: the section, the key of the value, and the key of the file that holds it.
const PAIRS: [(&str, &str, &str); 4] = [
    ("auth", "token", "token_file"),
    ("mail", "smtp_url", "smtp_url_file"),
    ("mail", "smtp_password", "smtp_password_file"),
    ("webhooks", "secret", "secret_file"),
];

/// What is shown instead of a secret of which nothing may be shown.
pub(super) fn hidden() -> String {
    "[redacted]".to_owned()
}

/// The secret in a file, without the newline at its end.
pub(super) fn from_file(path: &Path) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let text = text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
    if text.is_empty() { Err("is an empty file".to_owned()) } else { Ok(text.into()) }
}

/// Puts what weaker layers say about a secret back to what is shipped, where `layer` gives it in the other form. So a
/// variable with the path of a file replaces a value in the configuration file; both forms in one layer stay a fault.
pub(super) fn choose_form(tree: &mut Table, shipped: &Table, layer: &Table) {
    for (section, value, file) in PAIRS {
        let (Some(below), Some(above)) = (tree.table_mut(section), layer.table(section)) else {
            continue;
        };
        for (given, other) in [(value, file), (file, value)] {
            // "" means none: it says nothing about the other form.
            let is_given = match above.entries.get(given) {
                Some(Node::Leaf(leaf)) => leaf.value.string().is_none_or(|text| !text.is_empty()),
                Some(Node::Table(_)) | None => false,
            };
            let nothing = shipped.table(section).and_then(|section| section.entries.get(other));
            if let (true, Some(nothing)) = (is_given, nothing) {
                below.entries.insert(other.to_owned(), nothing.clone());
            }
        }
    }
}

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
    /// wrong with it (without quoting it). The two keys stand in [`PAIRS`].
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        check: fn(&str) -> Result<String, &'static str>,
    ) -> Secret {
        let path = self.path(file_key);
        let Some(text) = self.hidden_text_or_list(key) else {
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
            None => Secret::Given { value: text.into(), key },
            Some(path) => match from_file(&path) {
                Ok(value) => Secret::Given { value, key: file_key },
                Err(reason) => {
                    self.fault(file_key, reason);
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

#[cfg(test)]
mod tests {
    use crate::config::testing::{faults, loaded, with_all, with_file};
    use crate::config::{ConfigFault, Loaded};
    use secrecy::ExposeSecret as _;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn url(loaded: Result<Loaded, Vec<ConfigFault>>) -> Option<String> {
        let url = loaded.unwrap().config.mail.smtp_url;
        url.map(|url| url.expose_secret().to_owned())
    }

    #[test]
    fn a_stronger_layer_replaces_a_secret_in_either_form() {
        let (file, other) = (written("smtp://file"), written("smtp://other"));
        let (file, other) = (file.path().to_str().unwrap(), other.path().to_str().unwrap());
        let (value, path) = ("BACKROOM_MAIL__SMTP_URL", "BACKROOM_MAIL__SMTP_URL_FILE");
        let as_value = "mail.smtp_url = 'smtp://value'";
        let as_file = format!("mail.smtp_url_file = '{file}'");

        assert_eq!(url(with_all(as_value, &[(path, file)], &[])).unwrap(), "smtp://file");
        assert_eq!(url(with_all(&as_file, &[(value, "smtp://env")], &[])).unwrap(), "smtp://env");
        assert_eq!(url(with_all(&as_file, &[(path, other)], &[])).unwrap(), "smtp://other");
        let set = "mail.smtp_url=smtp://set";
        assert_eq!(url(with_all(as_value, &[(path, file)], &[set])).unwrap(), "smtp://set");
        let loaded = with_all(as_value, &[(path, file)], &[]).unwrap();
        let shown = |key: &str| loaded.effective.iter().find(|v| v.key == key).unwrap();
        assert_eq!(shown("mail.smtp_url").value, "");
        assert_eq!(shown("mail.smtp_url_file").origin.to_string(), path);
    }

    #[test]
    fn an_empty_text_replaces_its_own_key_alone() {
        let as_value = "mail.smtp_url = 'smtp://value'";
        let variables = [("BACKROOM_MAIL__SMTP_URL_FILE", "")];
        assert_eq!(url(with_all(as_value, &variables, &[])).unwrap(), "smtp://value");
        assert_eq!(url(with_file(as_value, &["mail.smtp_url="])), None);
    }

    #[test]
    fn both_forms_in_one_layer_are_a_fault() {
        let file = written("smtp://file");
        let file = format!("mail.smtp_url_file={}", file.path().display());
        let want = "--set: mail.smtp_url_file: is given, and so is mail.smtp_url; write one of the two";
        assert_eq!(faults(&["mail.smtp_url=smtp://set", &file]), [want]);
        let text = "[mail]\nsmtp_url = 'smtp://value'\nsmtp_url_file = 'x'\n";
        assert_eq!(with_file(text, &[]).unwrap_err().len(), 1);
        // A layer above that decides mends the one below.
        assert_eq!(url(with_file(text, &["mail.smtp_url=smtp://set"])).unwrap(), "smtp://set");
    }

    #[test]
    fn secrets_come_from_files_without_their_newline() {
        for (text, want) in
            [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" s \n\n", " s \n")]
        {
            let file = written(text);
            let path = file.path().display().to_string();
            let mail = loaded(&[&format!("mail.smtp_password_file={path}")]).config.mail;
            let password = mail.smtp_password.unwrap();
            assert_eq!(password.expose_secret(), want, "{text:?}");
        }
        let file = written("smtp://u:p@h\n");
        let set = format!("mail.smtp_url_file={}", file.path().display());
        assert_eq!(url(Ok(loaded(&[&set]))).unwrap(), "smtp://u:p@h");
    }

    #[test]
    fn a_secret_file_must_hold_a_secret() {
        let found = faults(&["mail.smtp_password_file=/nonexistent/password"]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("--set: mail.smtp_password_file: /nonexistent/password cannot be read: "),
            "{found:?}"
        );
        let empty = written("\n");
        let found = faults(&[&format!("mail.smtp_password_file={}", empty.path().display())]);
        assert_eq!(found, ["--set: mail.smtp_password_file: is an empty file"]);
        let wrong = written("http://u:s3cret@h");
        let found = faults(&[&format!("mail.smtp_url_file={}", wrong.path().display())]);
        assert_eq!(found, ["--set: mail.smtp_url_file: must begin with smtp:// or smtps://"]);
    }
}
