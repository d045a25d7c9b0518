//! Entity tags and `If-None-Match` (RFC 9110 §8.8.3, §13.1.2).

use std::hash::{BuildHasher as _, Hasher as _};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderValue};

/// The strong tag of a body.
pub(super) fn tag(body: &[u8]) -> HeaderValue {
    let mut hasher = foldhash::quality::FixedState::with_seed(0xbac0).build_hasher();
    hasher.write(body);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether the caller has this very body already.
pub(super) fn is_known(request: &HttpRequest, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // Weak comparison: a cache on the way may have weakened the tag.
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}
