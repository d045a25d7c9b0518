//! Writes each mail into a file, for people who want to open them with their mail program.

use std::path::{Path, PathBuf};

use lettre::Address;
use tokio::io::AsyncWriteExt as _;

use crate::clock::Clock;
use crate::job::JobId;
use crate::mail::{MailFault, SendError};

/// A folder of `.eml` files.
pub(in crate::mail) struct Folder {
    path: PathBuf,
    clock: Clock,
}

impl Folder {
    /// A folder; it is made at the first mail, so that checking the configuration leaves no trace.
    pub(super) fn new(path: PathBuf, clock: Clock) -> Result<Self, Vec<MailFault>> {
        if path.as_os_str().is_empty() {
            return Err(vec![MailFault::new("mail.folder", "must not be empty")]);
        }
        if path.exists() && !path.is_dir() {
            return Err(vec![MailFault::new("mail.folder", "is not a folder")]);
        }
        Ok(Self { path, clock })
    }

    pub(super) async fn write<'a>(
        &self,
        job: JobId,
        recipients: impl IntoIterator<Item = &'a Address>,
        message: &[u8],
    ) -> Result<String, SendError> {
        let name = self.name(job);
        write_then_rename(&self.path, &name, &with_recipients(recipients, message)).await.map_err(
            |error| SendError {
                code: "mail-file".into(),
                message: format!("the mail could not be written: {error}"),
                retryable: true,
            },
        )?;
        Ok(format!("250 written to {name}"))
    }

    /// A name that sorts by time and that no other mail has, not even the next attempt of the same job.
    fn name(&self, job: JobId) -> String {
        let now = self.clock.now();
        let time: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        let unique = self.clock.job_id(now).as_uuid().as_u128();
        format!("{time}-{job}-{:016x}.eml", unique as u64)
    }
}

/// The message with who it is for at its top: without it, nobody could tell who the blind copies were for. In a file only;
/// what is sent never says it.
fn with_recipients<'a>(recipients: impl IntoIterator<Item = &'a Address>, message: &[u8]) -> Vec<u8> {
    let recipients: Vec<&str> = recipients.into_iter().map(AsRef::as_ref).collect();
    let header = format!("X-Envelope-To: {}\r\n", recipients.join(",\r\n "));
    [header.as_bytes(), message].concat()
}

/// Writes a file that is there as a whole or not at all, for its owner's eyes only.
async fn write_then_rename(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let unfinished = folder.join(format!(".{name}.tmp"));
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let written = async {
        let mut file = options.open(&unfinished).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        tokio::fs::rename(&unfinished, folder.join(name)).await
    };
    let written = written.await;
    if written.is_err() {
        // The error that counts is the first one.
        let _ = tokio::fs::remove_file(&unfinished).await;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_attempts_leave_two_private_files_that_sort_by_time() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("made/later");
        let folder = Folder::new(path.clone(), Clock::system()).unwrap();
        assert!(!path.exists(), "the folder was made too early");
        for body in ["first", "second"] {
            folder.write(JobId::MAX, [], body.as_bytes()).await.unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().all(|name| Path::new(name).extension().is_some_and(|end| end == "eml")));
        for (name, body) in names.iter().zip(["first", "second"]) {
            assert!(name.contains(&format!("Z-{}-", JobId::MAX)), "{name}");
            assert!(name.starts_with("20") && name.as_bytes()[8] == b'T', "{name}");
            let written = std::fs::read_to_string(path.join(name)).unwrap();
            assert!(written.ends_with(body), "{written}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = std::fs::metadata(path.join(name)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn every_recipient_is_written_down() {
        let all: Vec<Address> = (0..3).map(|n| format!("a{n}@example.com").parse().unwrap()).collect();
        let written = with_recipients(&all, b"From: x\r\n\r\nbody");
        let expected =
            "X-Envelope-To: a0@example.com,\r\n a1@example.com,\r\n a2@example.com\r\nFrom: x\r\n\r\nbody";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_transient() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("file/below"), Clock::system()).unwrap();
        std::fs::write(temporary.path().join("file"), "").unwrap();
        let error = folder.write(JobId::MIN, [], b"x").await.unwrap_err();
        assert!(error.retryable && error.code == "mail-file");
    }

    #[test]
    fn what_is_no_folder_is_a_fault() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path().to_owned(), PathBuf::new()] {
            assert_eq!(Folder::new(path, Clock::system()).err().unwrap()[0].key, "mail.folder");
        }
    }
}
