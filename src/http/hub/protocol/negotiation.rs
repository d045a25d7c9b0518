//! The answer of `negotiate`: what a connection is called, and by which transports it can be opened.

use serde_json::{Value, json};

/// The version of the negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Version {
    /// A connection is asked for by its id.
    Zero,
    /// A connection is asked for by a token that only its client knows; its id may be shown around.
    One,
}

impl Version {
    /// The version that is spoken with a client that asks for this one. `None`: it asked for nothing that is one.
    pub(in super::super) fn of(asked: Option<&str>) -> Option<Self> {
        match asked.map(str::parse::<u32>) {
            None | Some(Ok(0)) => Some(Self::Zero),
            // A newer client speaks the older version too.
            Some(Ok(_)) => Some(Self::One),
            Some(Err(_)) => None,
        }
    }
}

/// A connection that can be opened.
#[derive(Debug)]
pub(in super::super) struct Negotiated<'a> {
    pub(in super::super) version: Version,
    pub(in super::super) id: &'a str,
    pub(in super::super) token: &'a str,
}

impl Negotiated<'_> {
    /// The body of the answer. Transports stand in the order in which they are to be tried.
    pub(in super::super) fn body(&self) -> Value {
        let transports = ["WebSockets", "ServerSentEvents", "LongPolling"]
            .map(|transport| json!({ "transport": transport, "transferFormats": ["Text"] }));
        match self.version {
            Version::Zero => {
                json!({ "negotiateVersion": 0, "connectionId": self.id, "availableTransports": transports })
            }
            Version::One => json!({
                "negotiateVersion": 1,
                "connectionId": self.id,
                "connectionToken": self.token,
                "availableTransports": transports,
            }),
        }
    }
}

/// The body of an answer that gives no connection.
pub(in super::super) fn refusal(why: &str) -> Value {
    json!({ "error": why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_best_that_both_speak() {
        use Version::{One, Zero};
        for (asked, spoken) in [
            (None, Some(Zero)),
            (Some("0"), Some(Zero)),
            (Some("1"), Some(One)),
            (Some("2"), Some(One)),
            (Some(""), None),
            (Some("-1"), None),
            (Some("x"), None),
        ] {
            assert_eq!(Version::of(asked), spoken, "{asked:?}");
        }
    }

    #[test]
    fn only_version_one_has_a_token_and_neither_promises_more() {
        let body = |version| Negotiated { version, id: "i", token: "t" }.body();
        let (zero, one) = (body(Version::Zero), body(Version::One));
        assert_eq!((&zero["negotiateVersion"], &zero["connectionId"]), (&json!(0), &json!("i")));
        assert!(!zero.to_string().contains("connectionToken"), "{zero}");
        assert_eq!(
            (&one["negotiateVersion"], &one["connectionId"], &one["connectionToken"]),
            (&json!(1), &json!("i"), &json!("t"))
        );
        for body in [zero, one] {
            assert_eq!(body["availableTransports"][0]["transport"], "WebSockets");
            assert_eq!(body["availableTransports"][2]["transferFormats"], json!(["Text"]));
            assert!(!body.to_string().contains("Stateful"), "{body}");
        }
        assert_eq!(refusal("no").to_string(), r#"{"error":"no"}"#);
    }
}
