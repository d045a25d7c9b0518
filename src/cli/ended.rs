//! How a command ended, if not well.

use std::io;

use super::exit;
use crate::server::StartError;

/// An end with an exit code other than 0.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, see [`exit`].
    pub code: u8,
    /// What to tell the user; empty when everything has been said.
    pub message: String,
}

impl Ended {
    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Self { code: exit::CONFIG, message: message.into() }
    }

    /// The command line is wrong, or a file that it names.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: exit::USAGE, message: message.into() }
    }

    /// It failed while running.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: exit::FAILED, message: message.into() }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        // Whoever reads our output may stop early (`backroom config | head`); that is no failure.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: exit::OK, message: String::new() };
        }
        Self::failed(format!("error: {error}"))
    }
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("error: {error:#}"))
    }
}

impl From<StartError> for Ended {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Config(_) | StartError::Spill(_) => exit::CONFIG,
            StartError::Listen { .. } | StartError::Other(_) => exit::FAILED,
        };
        Self { code, message: format!("error: {:#}", anyhow::Error::from(error)) }
    }
}
