//! A payload that is passed on as it is.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::handler::Payload;

/// The payload of a kind that the configuration defines: any JSON. What it may be, its schema says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Raw(Box<RawValue>);

impl Payload for Raw {
    /// Only a stand-in: handlers of this payload are registered under the names of the configuration.
    const KIND: &'static str = "raw";

    fn decode(payload: &RawValue) -> Result<Self, serde_json::Error> {
        Ok(Self(payload.to_owned()))
    }
}

impl Raw {
    /// The payload, as the caller wrote it.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}
