//! What came out of a job.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::weight::{ALLOCATION, COUNTS};

/// What a handler gave back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobResult {
    /// The media type of `bytes`, for example `application/json`.
    pub media_type: Cow<'static, str>,
    /// The body of `GET /api/jobs/{id}/result`.
    pub bytes: Bytes,
}

/// The result of a completed job, or the memory that there was one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResultSlot {
    /// It returned nothing, so that nothing needs to be kept.
    Null,
    /// It is here.
    Kept(KeptResult),
    /// It was let go, because memory was needed for other jobs.
    Expired,
}

/// A [`JobResult`] in one piece of memory of its own, which all copies share.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptResult(Arc<[u8]>);

/// The media type that most results have. It is not written out.
const JSON: &str = "application/json";
/// How long the media type is, which stands behind this number and before the body.
type Length = u16;
/// Stands in its place.
const IS_JSON: Length = Length::MAX;
const HEAD: usize = size_of::<Length>();

impl JobResult {
    /// What a handler that returned nothing has as its result: the JSON value `null`.
    pub const fn null() -> Self {
        Self { media_type: Cow::Borrowed(JSON), bytes: Bytes::from_static(b"null") }
    }
}

impl From<JobResult> for ResultSlot {
    fn from(result: JobResult) -> Self {
        if result == JobResult::null() { Self::Null } else { Self::Kept(KeptResult::of(&result)) }
    }
}

impl KeptResult {
    /// A copy: what the handler gave can be a small part of a large piece of memory, and would keep all of it.
    fn of(result: &JobResult) -> Self {
        let media_type = match &*result.media_type {
            JSON => "",
            // Longer than any client would read, and than can be said here.
            long if long.len() >= usize::from(IS_JSON) => "application/octet-stream",
            other => other,
        };
        let length = Length::try_from(media_type.len()).ok().filter(|_| result.media_type != JSON);
        let length = length.unwrap_or(IS_JSON);
        Self([&length.to_ne_bytes()[..], media_type.as_bytes(), &result.bytes].concat().into())
    }

    /// The media type of the bytes.
    pub fn media_type(&self) -> &str {
        match self.length() {
            IS_JSON => JSON,
            length => std::str::from_utf8(&self.0[HEAD..HEAD + usize::from(length)]).unwrap_or_default(),
        }
    }

    /// The body of `GET /api/jobs/{id}/result`.
    pub fn bytes(&self) -> &[u8] {
        &self.0[self.body_at()..]
    }

    /// The same, to be sent: a handle on this piece of memory.
    pub fn to_bytes(&self) -> Bytes {
        let at = self.body_at();
        Bytes::from_owner(Arc::clone(&self.0)).slice(at..)
    }

    /// The whole piece, to be copied.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// A copy of a piece that [`Self::encoded`] gave.
    pub(super) fn decode(encoded: &[u8]) -> Self {
        Self(encoded.into())
    }

    /// The bytes of memory that it takes.
    pub(super) fn weight(&self) -> usize {
        COUNTS + ALLOCATION + self.0.len()
    }

    fn length(&self) -> Length {
        self.0.first_chunk().map_or(IS_JSON, |length| Length::from_ne_bytes(*length))
    }

    fn body_at(&self) -> usize {
        match self.length() {
            IS_JSON => HEAD,
            length => HEAD + usize::from(length),
        }
    }
}

impl fmt::Debug for KeptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeptResult");
        shown.field("media_type", &self.media_type()).field("bytes", &self.to_bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_given() {
        let long = "x".repeat(65_534);
        for media_type in [JSON, "", "text/plain", "text/plain; charset=\u{fc}", &long] {
            for bytes in [&b""[..], b"null", b"\0\xff", &[7; 9_000]] {
                let result = JobResult {
                    media_type: media_type.to_owned().into(),
                    bytes: Bytes::copy_from_slice(bytes),
                };
                let is_null = media_type == JSON && bytes == b"null";
                match ResultSlot::from(result) {
                    ResultSlot::Kept(kept) => {
                        assert_eq!((kept.media_type(), kept.bytes()), (media_type, bytes));
                        assert_eq!(kept.to_bytes(), bytes);
                        assert!(!is_null);
                    }
                    slot => assert!(is_null && slot == ResultSlot::Null, "{slot:?}"),
                }
            }
        }
        assert_eq!(JobResult::null().media_type, JSON);
        for length in [65_535, 65_536] {
            let result = JobResult { media_type: "x".repeat(length).into(), bytes: Bytes::from_static(b"1") };
            let ResultSlot::Kept(kept) = ResultSlot::from(result) else { panic!("it is kept") };
            assert_eq!((kept.media_type(), kept.bytes()), ("application/octet-stream", &b"1"[..]));
        }
    }

    /// It must not make every job larger, whether it has a result or not.
    #[test]
    fn a_state_is_no_larger_for_it() {
        assert_eq!(size_of::<crate::job::JobState>(), 32);
    }
}
