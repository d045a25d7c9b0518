//! `Prefer: wait=N` (RFC 7240 §4.3).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};

/// The longest wait, in seconds (contract, section 3).
const LONGEST_WAIT: u64 = 60;

/// `Preference-Applied`.
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How long the caller is ready to wait: at most a minute, whatever it says. What cannot be read is ignored, as the RFC
/// wants it.
pub(super) fn wait(request: &HttpRequest) -> Option<Wait> {
    // The first one counts (RFC 7240 §2).
    request
        .headers()
        .get_all(PREFER)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| {
            let preference = preference.split(';').next()?;
            let (name, value) = preference.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("wait") {
                return None;
            }
            let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
            Some(Wait(seconds.min(LONGEST_WAIT)))
        })
}

/// A wait that is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wait(u64);

impl Wait {
    pub(super) fn patience(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// What was granted, for the answer.
    pub(super) fn applied(self) -> (HeaderName, HeaderValue) {
        let value = HeaderValue::try_from(format!("wait={}", self.0));
        (PREFERENCE_APPLIED, value.unwrap_or_else(|_| HeaderValue::from_static("wait=0")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn seconds(values: &[&str]) -> Option<u64> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((PREFER, *value));
        }
        wait(&request.to_http_request()).map(|wait| wait.0)
    }

    #[test]
    fn waits_are_read_and_bounded() {
        assert_eq!(seconds(&["wait=10"]), Some(10));
        assert_eq!(seconds(&["respond-async, wait = \"5\"; x=y"]), Some(5));
        assert_eq!(seconds(&["handling=lenient", "WAIT=7"]), Some(7));
        for (asked, granted) in [("wait=0", 0), ("wait=59", 59), ("wait=60", 60), ("wait=61", 60)] {
            assert_eq!(seconds(&[asked]), Some(granted), "{asked}");
        }
        assert_eq!(seconds(&["wait=3, wait=9"]), Some(3));
        for ignored in ["wait", "wait=", "wait=soon", "wait=-1", "waits=4", ""] {
            assert_eq!(seconds(&[ignored]), None, "{ignored:?}");
        }
        assert_eq!(seconds(&[]), None);
    }
}
