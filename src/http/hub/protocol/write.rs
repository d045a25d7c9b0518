//! What a client is told after the handshake. Results and items are JSON already.

use serde_json::{Value, json};

use super::records::END;

/// Why a connection ends, and whether the client should come again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in super::super) struct Close {
    /// For whoever wrote the client. `None`: nothing is wrong.
    pub(in super::super) error: Option<String>,
    /// Without it a client that reconnects by itself does not.
    pub(in super::super) allow_reconnect: bool,
}

impl Close {
    pub(in super::super) fn record(&self) -> Vec<u8> {
        let mut message = json!({ "type": 7 });
        if let Some(error) = &self.error {
            message["error"] = Value::from(error.as_str());
        }
        if self.allow_reconnect {
            message["allowReconnect"] = Value::from(true);
        }
        record(&[message.to_string().as_bytes()])
    }
}

/// A call of one of the client's methods that wants no answer. `target` needs no escapes.
pub(in super::super) fn invocation(target: &'static str, argument: &[u8]) -> Vec<u8> {
    let head = format!("{{\"type\":1,\"target\":\"{target}\",\"arguments\":[");
    record(&[head.as_bytes(), argument, b"]}"])
}

/// An item of a stream.
pub(in super::super) fn item(id: &str, item: &[u8]) -> Vec<u8> {
    let head = format!("{{\"type\":2,\"invocationId\":{},\"item\":", Value::from(id));
    record(&[head.as_bytes(), item, b"}"])
}

/// The answer to a call.
pub(in super::super) fn completed(id: &str, result: &[u8]) -> Vec<u8> {
    let head = format!("{{\"type\":3,\"invocationId\":{},\"result\":", Value::from(id));
    record(&[head.as_bytes(), result, b"}"])
}

/// The end of a stream, which has no result.
pub(in super::super) fn settled(id: &str) -> Vec<u8> {
    record(&[json!({ "type": 3, "invocationId": id }).to_string().as_bytes()])
}

/// The answer to a call that failed, or the end of a stream that did.
pub(in super::super) fn failed(id: &str, error: &str) -> Vec<u8> {
    record(&[json!({ "type": 3, "invocationId": id, "error": error }).to_string().as_bytes()])
}

/// Nothing, but we are there.
pub(in super::super) fn ping() -> Vec<u8> {
    record(&[b"{\"type\":6}"])
}

fn record(parts: &[&[u8]]) -> Vec<u8> {
    let mut record = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 1);
    for part in parts {
        record.extend_from_slice(part);
    }
    record.push(END);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client reads, after a look at the end.
    fn read(record: &[u8]) -> Value {
        let (end, text) = record.split_last().unwrap();
        assert_eq!((*end, text.contains(&END)), (END, false));
        serde_json::from_slice(text).unwrap()
    }

    #[test]
    fn every_message_is_json_and_one_end() {
        let strange = "a\"\u{1e}\\\n";
        for (record, want) in [
            (
                invocation("JobUpdated", br#"{"a":1}"#),
                json!({"type": 1, "target": "JobUpdated", "arguments": [{"a": 1}]}),
            ),
            (item(strange, b"null"), json!({"type": 2, "invocationId": strange, "item": null})),
            (completed(strange, b"[1]"), json!({"type": 3, "invocationId": strange, "result": [1]})),
            (settled("1"), json!({"type": 3, "invocationId": "1"})),
            (failed("1", strange), json!({"type": 3, "invocationId": "1", "error": strange})),
            (ping(), json!({"type": 6})),
            (Close::default().record(), json!({"type": 7})),
            (
                Close { error: Some(strange.to_owned()), allow_reconnect: false }.record(),
                json!({"type": 7, "error": strange}),
            ),
            (
                Close { error: None, allow_reconnect: true }.record(),
                json!({"type": 7, "allowReconnect": true}),
            ),
        ] {
            assert_eq!(read(&record), want);
        }
    }
}
