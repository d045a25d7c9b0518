//! The first record of each side.

use serde::Deserialize;
use serde_json::json;

use super::message::{Malformed, object};
use super::records::END;

/// The version of the protocol `json`. There is a second one, for connections that are taken up again as they were,
/// which are never promised.
const VERSION: i64 = 1;

#[derive(Deserialize)]
struct Request {
    protocol: String,
    version: i64,
}

/// Reads what a client begins with.
///
/// # Errors
///
/// When it speaks something else.
pub(in super::super) fn request(record: &[u8]) -> Result<(), Malformed> {
    let no_handshake = "a connection begins with a handshake: {\"protocol\":\"json\",\"version\":1}";
    let request: Request = object(record).map_err(|_| Malformed(no_handshake.into()))?;
    if request.protocol != "json" {
        return Err(Malformed("this hub speaks the protocol \"json\" only".into()));
    }
    if request.version != VERSION {
        return Err(Malformed(format!("this hub speaks version {VERSION} of the protocol \"json\"").into()));
    }
    Ok(())
}

/// What a client is answered that may go on.
pub(in super::super) fn accepted() -> Vec<u8> {
    vec![b'{', b'}', END]
}

/// What a client is answered that may not.
pub(in super::super) fn refused(why: &str) -> Vec<u8> {
    let mut record = json!({ "error": why }).to_string().into_bytes();
    record.push(END);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_version_one_is_spoken() {
        assert_eq!(request(br#"{"protocol":"json","version":1}"#), Ok(()));
        assert_eq!(request(br#" {"version":1,"x":[],"protocol":"\u006ason"}"#), Ok(()));
        for (bad, said) in [
            (r#"{"protocol":"messagepack","version":1}"#, "the protocol \"json\" only"),
            (r#"{"protocol":"json","version":2}"#, "version 1"),
            (r#"{"protocol":"json","version":0}"#, "version 1"),
            (r#"{"protocol":"json"}"#, "begins with a handshake"),
            (r#"{"protocol":"json","version":"1"}"#, "begins with a handshake"),
            (r#"["json",1]"#, "begins with a handshake"),
            (r#"{"type":6}"#, "begins with a handshake"),
            ("", "begins with a handshake"),
        ] {
            let found = request(bad.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(said), "{bad}: {found}");
        }
    }

    #[test]
    fn the_answer_is_empty_or_an_error() {
        assert_eq!(accepted(), b"{}\x1e");
        assert_eq!(refused("a \"b\"\n"), b"{\"error\":\"a \\\"b\\\"\\n\"}\x1e");
    }
}
