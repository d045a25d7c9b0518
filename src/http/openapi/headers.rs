//! Headers and parameters that many operations share.

#![expect(clippy::needless_pass_by_value, reason = "schemas are made where they are passed")]

use serde_json::{Map, Value, json};

/// A header of answers.
pub(super) struct Header {
    /// As it is written.
    pub(super) name: &'static str,
    description: &'static str,
    /// JSON of its schema.
    schema: &'static str,
}

const fn header(name: &'static str, description: &'static str, schema: &'static str) -> Header {
    Header { name, description, schema }
}

const TEXT: &str = r#"{"type":"string"}"#;

pub(super) const REQUEST_ID: Header = header(
    "X-Request-Id",
    "Names the request in the log: the caller's own id, or a new one.",
    r#"{"type":"string","minLength":1,"maxLength":128}"#,
);
pub(super) const CACHE_CONTROL: Header = header("Cache-Control", "Whether the answer may be kept.", TEXT);
pub(super) const LOCATION: Header = header(
    "Location",
    "Where to ask next: absolute when `server.public_url` is set, else a path.",
    r#"{"type":"string","format":"uri-reference"}"#,
);
pub(super) const RETRY_AFTER: Header = header(
    "Retry-After",
    "When to ask again, in whole seconds; measured, not guessed.",
    r#"{"type":"integer","minimum":1,"maximum":300}"#,
);
pub(super) const ETAG: Header = header(
    "ETag",
    "The tag of this very body, for `If-None-Match`.",
    r#"{"type":"string","pattern":"^\"[0-9a-f]+\"$"}"#,
);
pub(super) const LINK: Header =
    header("Link", "The next page, as `rel=\"next\"` (RFC 8288); not on the last one.", TEXT);
pub(super) const PREFERENCE_APPLIED: Header = header(
    "Preference-Applied",
    "The wait that was granted (RFC 7240), when `Prefer: wait` was sent.",
    r#"{"type":"string","pattern":"^wait=[0-9]+$"}"#,
);
pub(super) const IDEMPOTENT_REPLAYED: Header = header(
    "Idempotent-Replayed",
    "`true` when a request with this `Idempotency-Key` was accepted before and this is its answer.",
    r#"{"type":"string","const":"true"}"#,
);
pub(super) const WWW_AUTHENTICATE: Header =
    header("WWW-Authenticate", "How to say who you are (RFC 6750).", TEXT);
pub(super) const ACCEPT_ENCODING: Header =
    header("Accept-Encoding", "What would have been understood, when the body was compressed.", TEXT);
pub(super) const ACCEPT_PATCH: Header =
    header("Accept-Patch", "What a patch may be, when it was something else.", TEXT);
pub(super) const NOSNIFF: Header =
    header("X-Content-Type-Options", "The media type holds.", r#"{"type":"string","const":"nosniff"}"#);
pub(super) const SECURITY_POLICY: Header =
    header("Content-Security-Policy", "What a browser that shows it must not do.", TEXT);
pub(super) const CONTENT_ENCODING: Header =
    header("Content-Encoding", "A stream is never compressed.", r#"{"type":"string","const":"identity"}"#);
pub(super) const ACCEL_BUFFERING: Header = header(
    "X-Accel-Buffering",
    "Tells proxies not to hold events back.",
    r#"{"type":"string","const":"no"}"#,
);

const ALL: [&Header; 15] = [
    &REQUEST_ID,
    &CACHE_CONTROL,
    &LOCATION,
    &RETRY_AFTER,
    &ETAG,
    &LINK,
    &PREFERENCE_APPLIED,
    &IDEMPOTENT_REPLAYED,
    &WWW_AUTHENTICATE,
    &ACCEPT_ENCODING,
    &ACCEPT_PATCH,
    &NOSNIFF,
    &SECURITY_POLICY,
    &CONTENT_ENCODING,
    &ACCEL_BUFFERING,
];

impl Header {
    /// Where it is always there.
    pub(super) fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/headers/{}", self.name)})
    }

    /// Where it is there sometimes.
    pub(super) fn optional(&self) -> Value {
        let schema: Value = serde_json::from_str(self.schema).unwrap_or_default();
        json!({"description": self.description, "schema": schema})
    }

    fn required(&self) -> Value {
        let mut header = self.optional();
        header["required"] = true.into();
        header
    }
}

/// What every answer has.
pub(super) fn always() -> impl Iterator<Item = (String, Value)> {
    [&REQUEST_ID, &CACHE_CONTROL].into_iter().map(|header| (header.name.to_owned(), header.reference()))
}

/// The headers by their names.
pub(super) fn components() -> Map<String, Value> {
    ALL.into_iter().map(|header| (header.name.to_owned(), header.required())).collect()
}

/// A parameter of the query.
pub(super) fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

/// A parameter of the query that can be given several times; one of its values must fit.
pub(super) fn repeated(name: &str, description: &str, schema: Value) -> Value {
    let schema = json!({"type": "array", "items": schema});
    json!({"name": name, "in": "query", "description": description, "schema": schema, "style": "form", "explode": true})
}

/// A header that one of [`parameters`] describes.
pub(super) fn sent(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// Headers that clients send, by their names. What is not understood in most of them is ignored, as their RFCs want it,
/// so that their schemas take any text.
pub(super) fn parameters() -> Value {
    let header = |name: &str, description: &str, schema: Value, example: &str| json!({"name": name, "in": "header", "description": description, "schema": schema, "example": example});
    let text = || json!({"type": "string"});
    json!({
        "Prefer": header(
            "Prefer",
            "`wait=N` (RFC 7240): hold the answer until the job has come to its end, N seconds at most; beyond 60 counts \
             as 60. What cannot be read is ignored.",
            text(),
            "wait=10",
        ),
        "Idempotency-Key": header(
            "Idempotency-Key",
            "The same key and body again are given the first 202 again, byte for byte, for 24 hours; with `Prefer: wait` the 303 of \
             the same job. Another body is 422. 1 to 255 visible ASCII characters, bare or in double quotes. Keys belong \
             to the caller and the path.",
            json!({"type": "string", "pattern": r#"^([!#-~]{1,255}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#}),
            "order-42-receipt",
        ),
        "If-None-Match": header(
            "If-None-Match",
            "The `ETag` of what you have: 304 if it is still the same.",
            text(),
            "\"5f1d7a84db1e2c3b\"",
        ),
        "Last-Event-ID": header(
            "Last-Event-ID",
            "The `id` of the last event that you have seen; an `EventSource` sends it by itself. What is not one of ours \
             is ignored.",
            text(),
            "4",
        ),
        "X-Request-Id": header(
            "X-Request-Id",
            "Names the request in the log and in the answer: 1 to 128 visible ASCII characters. Anything else is replaced.",
            text(),
            "req-7f3a",
        ),
        "X-Requested-With": header(
            "X-Requested-With",
            "Clients of the hub send it, as they do with every server. It is not looked at.",
            text(),
            "XMLHttpRequest",
        ),
        "X-SignalR-User-Agent": header(
            "X-SignalR-User-Agent",
            "Clients of the hub say by it what they are. It is not looked at.",
            text(),
            "Microsoft SignalR/8.0",
        ),
        "traceparent": header(
            "traceparent",
            "The trace that the job belongs to (W3C Trace Context); what it calls is told. What is not one is ignored.",
            text(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    })
}
