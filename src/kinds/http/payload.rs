//! What an `http` job asks for.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use crate::egress::Policy;
use crate::handler::Payload;
use crate::job::{Fault, nearest};

const MEMBERS: [&str; 7] = ["method", "url", "headers", "body", "text", "expect", "follow_redirects"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const MAX_HEADERS: usize = 100;
const MAX_EXPECTED: usize = 50;
/// How long a URL may be, in bytes: what most servers take.
const MAX_URL: usize = 8_192;
/// Headers that belong to the connection (RFC 9110 §7.6.1) or that follow from the rest of the request.
const OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The payload of an `http` job.
///
/// | member | meaning |
/// |---|---|
/// | `url` | where to: absolute, `http` or `https`, without user and password, at most 8 KiB. Required |
/// | `method` | `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`; default `GET`, with a body `POST` |
/// | `headers` | an object of texts, at most 100. `Idempotency-Key` is the id of the job unless it is given |
/// | `body` | any JSON, sent as it is written, as `application/json` unless `headers` says otherwise |
/// | `text` | instead of `body`: a text, sent as `text/plain; charset=utf-8` unless `headers` says otherwise |
/// | `expect` | the statuses that are a success, 1 to 50 of 100 to 599; default: 200 to 299 |
/// | `follow_redirects` | whether up to five redirects are followed; default `false`: a redirect is an answer |
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Http(Box<RawValue>);

impl Payload for Http {
    const KIND: &'static str = "http";

    fn decode(payload: &RawValue) -> Result<Self, serde_json::Error> {
        Ok(Self(payload.to_owned()))
    }
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// Empty: every 2xx.
    pub(super) expect: Vec<u16>,
    pub(super) follow: bool,
}

impl Http {
    /// The request, or everything that is wrong with it. Literal addresses are checked here, names when they are resolved.
    pub(super) fn parse(&self, policy: &Policy) -> Result<Call, Vec<Fault>> {
        let mut reader = Reader { members: BTreeMap::new(), faults: Vec::new() };
        match serde_json::from_str::<BTreeMap<String, &RawValue>>(self.0.get()) {
            Ok(members) => reader.members = members,
            Err(_) => return Err(vec![Fault::new("", "must be an object")]),
        }
        reader.unknown();
        let url = reader.url(policy);
        let (content_type, body) = reader.body().unzip();
        let method = reader.method(body.is_some());
        let headers = reader.headers(content_type);
        let expect = reader.expect();
        let follow = reader.read::<bool>("follow_redirects", "must be true or false").unwrap_or_default();
        match (url, method) {
            (Some(url), Some(method)) if reader.faults.is_empty() => {
                Ok(Call { method, url, headers, body, expect, follow })
            }
            _ => Err(reader.faults),
        }
    }
}

struct Reader<'a> {
    members: BTreeMap<String, &'a RawValue>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.faults.push(Fault::new(pointer, detail));
    }

    fn unknown(&mut self) {
        let unknown: Vec<String> =
            self.members.keys().filter(|name| !MEMBERS.contains(&name.as_str())).cloned().collect();
        for name in unknown {
            let detail = match nearest(&name, MEMBERS.iter().copied()) {
                Some(near) => format!("is not a member of this payload; did you mean {near:?}?"),
                None => format!("is not a member of this payload; there are: {}", MEMBERS.join(", ")),
            };
            self.fault(format!("/{}", Fault::escape(&name)), detail);
        }
    }

    /// A member; `null` counts as missing.
    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).copied().filter(|raw| raw.get() != "null")
    }

    fn read<T: DeserializeOwned>(&mut self, name: &str, rule: &str) -> Option<T> {
        let read = serde_json::from_str(self.raw(name)?.get());
        read.map_err(|_| self.fault(format!("/{name}"), rule)).ok()
    }

    fn url(&mut self, policy: &Policy) -> Option<Url> {
        if self.raw("url").is_none() {
            self.fault("/url", "is required");
            return None;
        }
        let text: String = self.read("url", "must be a text")?;
        if text.len() > MAX_URL {
            self.fault("/url", format!("must be at most {MAX_URL} bytes"));
            return None;
        }
        policy.check_url(&text).map_err(|refused| self.fault("/url", refused.to_string())).ok()
    }

    fn method(&mut self, has_body: bool) -> Option<Method> {
        if self.raw("method").is_none() {
            return Some(if has_body { Method::POST } else { Method::GET });
        }
        let rule = format!("must be one of {}", METHODS.join(", "));
        let name: String = self.read("method", &rule)?;
        let known =
            METHODS.contains(&name.as_str()).then(|| Method::from_bytes(name.as_bytes()).ok()).flatten();
        if known.is_none() {
            self.fault("/method", rule);
        }
        known
    }

    fn body(&mut self) -> Option<(&'static str, Bytes)> {
        // `null` is JSON too, but whoever wants to send it can write it as a text.
        match (self.raw("body"), self.raw("text").is_some()) {
            (Some(_), true) => {
                self.fault("/text", "excludes body: give one of the two");
                None
            }
            (Some(body), false) => Some(("application/json", body.get().to_owned().into())),
            (None, true) => {
                let text: String = self.read("text", "must be a text")?;
                Some(("text/plain; charset=utf-8", text.into()))
            }
            (None, false) => None,
        }
    }

    fn headers(&mut self, content_type: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let rule = "must be an object of texts";
        let given: BTreeMap<String, Value> = self.read("headers", rule).unwrap_or_default();
        if given.len() > MAX_HEADERS {
            self.fault("/headers", format!("must have at most {MAX_HEADERS} members"));
            return headers;
        }
        for (name, value) in given {
            let pointer = format!("/headers/{}", Fault::escape(&name));
            let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                self.fault(pointer, "is not the name of a header");
                continue;
            };
            if OURS.contains(&header.as_str()) {
                self.fault(pointer, "belongs to the connection and cannot be given");
                continue;
            }
            let value = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
            match value {
                Some(value) => {
                    if headers.insert(header, value).is_some() {
                        self.fault(pointer, "stands twice, in different cases");
                    }
                }
                None => self.fault(pointer, "must be a text without control characters, in ASCII"),
            }
        }
        if let Some(content_type) = content_type {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        }
        headers
    }

    fn expect(&mut self) -> Vec<u16> {
        let rule = format!("must be a list of 1 to {MAX_EXPECTED} statuses, each 100 to 599");
        let expect: Option<Vec<u16>> = self.read("expect", &rule);
        let fits = |expect: &Vec<u16>| {
            (1..=MAX_EXPECTED).contains(&expect.len())
                && expect.iter().all(|status| (100..=599).contains(status))
        };
        if expect.as_ref().is_some_and(|expect| !fits(expect)) {
            self.fault("/expect", rule);
        }
        expect.unwrap_or_default()
    }
}
