//! What a client says.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest `invocationId`, in bytes: it is repeated in every item of a stream.
const LONGEST_ID: usize = 256;

/// A message of a client, as far as it asks for something.
#[derive(Debug)]
pub(in super::super) enum Message<'a> {
    /// Call a method.
    Call(Call<'a>),
    /// End the stream of this invocation.
    Cancel(String),
    /// Nothing, but it is there.
    Ping,
    /// It leaves.
    Close,
    /// What is of no use here (items of a stream of its own, completions) or not known: to be passed over.
    Other,
}

/// The call of a method.
#[derive(Debug)]
pub(in super::super) struct Call<'a> {
    /// What its answer is to be called. `None`: it wants none, and must get none.
    pub(in super::super) id: Option<String>,
    /// Whether the answer is to be a stream.
    pub(in super::super) streams: bool,
    /// The method.
    pub(in super::super) target: Cow<'a, str>,
    /// What it is called with, as it was written.
    pub(in super::super) arguments: Vec<&'a RawValue>,
}

/// What cannot be read, and why. Nothing of it is quoted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(in super::super) struct Malformed(pub(super) Cow<'static, str>);

/// Members in any order, each as it was written: which of them matter depends on the type. All others are passed over.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "invocationId")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    target: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Reads one record after the handshake.
///
/// # Errors
///
/// When it is no message. A client that sends such a thing is not one of SignalR; there is no going on with it.
pub(in super::super) fn parse(record: &[u8]) -> Result<Message<'_>, Malformed> {
    let members: Members<'_> = object(record)?;
    let kind: i64 = member(members.kind, "type", "a whole number")?.ok_or(missing("type"))?;
    match kind {
        1 => call(&members, false),
        4 => call(&members, true),
        5 => Ok(Message::Cancel(id(members.id)?.ok_or(missing("invocationId"))?)),
        6 => Ok(Message::Ping),
        7 => Ok(Message::Close),
        _ => Ok(Message::Other),
    }
}

fn call<'a>(members: &Members<'a>, streams: bool) -> Result<Message<'a>, Malformed> {
    let id = id(members.id)?;
    if streams && id.is_none() {
        return Err(missing("invocationId"));
    }
    let Text(target) = member(members.target, "target", "a string")?.ok_or(missing("target"))?;
    let arguments = member(members.arguments, "arguments", "an array")?.unwrap_or_default();
    Ok(Message::Call(Call { id, streams, target, arguments }))
}

fn id(written: Option<&RawValue>) -> Result<Option<String>, Malformed> {
    let id: Option<String> = member(written, "invocationId", "a string")?;
    match id {
        Some(id) if id.len() > LONGEST_ID => Err(Malformed(
            format!("\"invocationId\" of a message must have at most {LONGEST_ID} bytes").into(),
        )),
        id => Ok(id),
    }
}

/// A text that is borrowed where it was written without escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// One member; none when it is not there or is null.
fn member<'a, T: Deserialize<'a>>(
    written: Option<&'a RawValue>,
    name: &str,
    what: &str,
) -> Result<Option<T>, Malformed> {
    let Some(written) = written else { return Ok(None) };
    serde_json::from_str::<Option<T>>(written.get())
        .map_err(|_| Malformed(format!("\"{name}\" of a message must be {what}").into()))
}

fn missing(name: &str) -> Malformed {
    Malformed(format!("a message has no \"{name}\"").into())
}

/// The members of an object. serde would take an array for one too.
pub(super) fn object<'a, T: Deserialize<'a>>(record: &'a [u8]) -> Result<T, Malformed> {
    if record.trim_ascii_start().first() != Some(&b'{') {
        return Err(Malformed("a message must be a JSON object".into()));
    }
    serde_json::from_slice(record).map_err(|error| {
        if error.is_data() {
            Malformed("a member of a message stands twice".into())
        } else {
            Malformed(format!("a message is not JSON: see byte {}", error.column()).into())
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(record: &[u8]) -> String {
        parse(record).unwrap_err().to_string()
    }

    fn called(record: &str) -> (Option<String>, bool, String, Vec<String>) {
        let Ok(Message::Call(call)) = parse(record.as_bytes()) else { panic!("{record}") };
        let arguments = call.arguments.iter().map(|argument| argument.get().to_owned()).collect();
        (call.id, call.streams, call.target.into_owned(), arguments)
    }

    #[test]
    fn a_call_is_read_whatever_the_order_of_its_members() {
        let want = (Some("7".to_owned()), false, "GetJob".to_owned(), vec!["\"a\"".to_owned()]);
        for record in [
            r#"{"type":1,"invocationId":"7","target":"GetJob","arguments":["a"]}"#,
            r#" {"arguments" : [ "a" ], "target":"GetJob","invocationId":"7","type":1 } "#,
            r#"{"streamIds":[],"headers":{"a":"b"},"later":{"x":[1]},"target":"GetJob","arguments":["a"],"invocationId":"7","type":1}"#,
            r#"{"type":1,"invocationId":"\u0037","target":"Get\u004aob","arguments":["a"],"streamIds":["1"],"headers":null}"#,
        ] {
            assert_eq!(called(record), want, "{record}");
        }
        assert_eq!(called(r#"{"type":1,"target":"X","arguments":[]}"#), (None, false, "X".into(), vec![]));
        assert_eq!(
            called(r#"{"type":1,"target":"X","invocationId":null}"#),
            (None, false, "X".into(), vec![])
        );
        let stream = r#"{"type":4,"target":"X","invocationId":"","arguments":[{"a": [1e400, 0.10]}, null]}"#;
        let arguments = vec![r#"{"a": [1e400, 0.10]}"#.to_owned(), "null".to_owned()];
        assert_eq!(
            called(stream),
            (Some(String::new()), true, "X".into(), arguments),
            "as they were written"
        );
    }

    #[test]
    fn the_other_types() {
        assert!(matches!(parse(br#"{"invocationId":"1","type":5}"#), Ok(Message::Cancel(id)) if id == "1"));
        assert!(matches!(parse(br#"{"type":6}"#), Ok(Message::Ping)));
        assert!(matches!(parse(br#"{"type":7,"error":"x"}"#), Ok(Message::Close)));
        for other in [
            r#"{"type":2,"invocationId":"1","item":1}"#,
            r#"{"type":3,"invocationId":"1","result":1}"#,
            r#"{"type":8,"sequenceId":1}"#,
            r#"{"type":9,"sequenceId":1}"#,
            r#"{"type":99,"target":[],"arguments":"x"}"#,
            r#"{"type":-1}"#,
            r#"{"type":0}"#,
        ] {
            assert!(matches!(parse(other.as_bytes()), Ok(Message::Other)), "{other}");
        }
    }

    #[test]
    fn what_is_no_message_is_said() {
        for (record, said) in [
            (&b""[..], "must be a JSON object"),
            (b"[1]", "must be a JSON object"),
            (b"6", "must be a JSON object"),
            (b"null", "must be a JSON object"),
            (b"{", "not JSON: see byte"),
            (b"{}{}", "not JSON: see byte 3"),
            (b"{\"type\":\xff}", "not JSON"),
            (b"{\"type\":6,\"\xff\":1}", "not JSON"),
            (b"{}", "has no \"type\""),
            (b"{\"type\":null}", "has no \"type\""),
            (b"{\"type\":\"1\"}", "\"type\" of a message must be a whole number"),
            (b"{\"type\":1.5}", "must be a whole number"),
            (b"{\"type\":6,\"type\":6}", "stands twice"),
            (b"{\"type\":1}", "has no \"target\""),
            (b"{\"type\":1,\"target\":1}", "\"target\" of a message must be a string"),
            (
                b"{\"type\":1,\"target\":\"x\",\"arguments\":{}}",
                "\"arguments\" of a message must be an array",
            ),
            (b"{\"type\":1,\"target\":\"x\",\"invocationId\":1}", "\"invocationId\" of a message must be"),
            (b"{\"type\":4,\"target\":\"x\"}", "has no \"invocationId\""),
            (b"{\"type\":5}", "has no \"invocationId\""),
        ] {
            let found = fault(record);
            assert!(found.contains(said), "{:?}: {found}", String::from_utf8_lossy(record));
        }
        let secret = fault(br#"{"type":"s3cret"}"#);
        assert!(!secret.contains("s3cret"), "{secret}");
    }

    #[test]
    fn an_id_has_a_longest() {
        for (length, fits) in [(LONGEST_ID - 1, true), (LONGEST_ID, true), (LONGEST_ID + 1, false)] {
            let id = "x".repeat(length);
            let record = format!(r#"{{"type":5,"invocationId":"{id}"}}"#);
            assert_eq!(parse(record.as_bytes()).is_ok(), fits, "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in r#"\{("type"|"target"|[0-9:,"\[\]{}]){0,12}\}"#) {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
