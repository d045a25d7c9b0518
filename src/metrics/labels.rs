//! The values that labels can have, beside the names of queues, kinds and routes, which are known at the start.

/// Declares an enum whose variants are the values of a label.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// The value as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

values! {
    /// Why a job was not accepted: the slug of the problem that the caller was told.
    Rejection {
        /// Something is wrong with it.
        Invalid = "validation-failed",
        /// There is no such kind. The name that was given is in no label.
        UnknownKind = "unknown-kind",
        /// Its payload, or the whole request, is too large.
        PayloadTooLarge = "payload-too-large",
        /// Its queue had no room in time.
        QueueFull = "queue-full",
        /// The store, or the memory of idempotency keys, had no room.
        MemoryFull = "memory-full",
        /// The server stops.
        Draining = "draining",
        /// The store did not answer.
        Internal = "internal",
        /// The request could not be parsed.
        Malformed = "malformed-request",
        /// The request did not say that it is JSON.
        MediaType = "unsupported-media-type",
        /// The body did not arrive in time.
        Timeout = "request-timeout",
        /// The caller has used up what it may submit.
        Quota = "quota-exceeded",
        /// Its `callback_url` leads where nothing may be sent to.
        CallbackUrl = "callback-url-forbidden",
        /// The `Idempotency-Key` is none.
        KeyInvalid = "idempotency-key-invalid",
        /// The first request with this key has not been answered yet.
        KeyInProgress = "idempotency-in-progress",
        /// The key was used for another body.
        KeyReused = "idempotency-key-reused",
        /// Anything else.
        Other = "other",
    }
}

impl Rejection {
    /// The one that a slug stands for.
    pub fn of_slug(slug: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == slug).unwrap_or(Self::Other)
    }
}

values! {
    /// What became of a mail.
    MailOutcome {
        /// It was taken.
        Sent = "sent",
        /// It was not taken, and a repeat could succeed.
        Failed = "failed",
        /// It was refused for good.
        Refused = "refused",
    }
}

values! {
    /// What became of one attempt to deliver a webhook.
    Delivery {
        /// It was taken.
        Delivered = "delivered",
        /// It was not taken, and will be tried again.
        Failed = "failed",
        /// It was not taken, and was the last attempt.
        Exhausted = "exhausted",
        /// The receiver wants no more of them.
        Disabled = "disabled",
    }
}

values! {
    /// How somebody who watches jobs is connected.
    Transport {
        /// Server-sent events, of a job or of all, or of the hub.
        ServerSentEvents = "sse",
        /// A WebSocket of the hub.
        WebSocket = "websocket",
        /// Long polling of the hub.
        LongPolling = "long_polling",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_makes_no_label() {
        assert_eq!(Rejection::of_slug("queue-full"), Rejection::QueueFull);
        assert_eq!(Rejection::of_slug("whatever-somebody-writes"), Rejection::Other);
    }
}
