//! Bodies that say what is to change (RFC 7396): what is left out stays as it is, `null` takes back what was said.

use std::collections::HashSet;
use std::fmt;

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::api::Api;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::{body, request};
use crate::job::Fault;

/// What is to change, and what in it is not known.
pub(super) struct MergePatch {
    pub(super) members: Map<String, Value>,
    pub(super) faults: Vec<Fault>,
}

/// Reads the body of a patch. What is in it is looked at when it is known that there is something to change.
///
/// # Errors
///
/// When the body cannot be read, or is neither `application/merge-patch+json` nor `application/json`.
pub(super) async fn body(http: &HttpRequest, payload: Payload, api: &Api) -> Result<Bytes, Problem> {
    let body = body::read(http, payload, api).await?;
    body::require_merge_patch(http)?;
    Ok(body)
}

impl MergePatch {
    /// Reads a patch of these members; the caller looks at their values.
    ///
    /// # Errors
    ///
    /// When it is no JSON, or no object.
    pub(super) fn parse(body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let text = request::text_of(body)?;
        let Value::Object(members) = request::parsed(text)? else {
            // RFC 7396 would put it in the place of what there is.
            let fault = Fault::new("", "must be an object with what is to be changed");
            return Err(Problem::faults(ProblemType::ValidationFailed, vec![fault]));
        };
        // Of a member that stands twice a tree keeps the second only.
        serde_json::from_str::<Names>(text).map_err(|error| request::malformed(&error))?;
        let faults = request::unknown_members(&members, known);
        Ok(Self { members, faults })
    }
}

/// An object each of whose members stands there once.
struct Names;

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if !seen.insert(name) {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(self)
    }
}
