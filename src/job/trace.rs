//! Where a job belongs in a trace that somebody else began (W3C Trace Context).

use std::fmt::Write as _;

/// How long `tracestate` may be, in bytes; a longer one is left out (W3C Trace Context §3.3.1.5).
const STATE_BYTES: usize = 512;

/// The trace of the request that submitted a job. What the job calls is told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    id: u128,
    /// The span that submitted the job.
    span: u64,
    flags: u8,
    state: Option<Box<str>>,
}

impl Trace {
    /// Reads `traceparent` and `tracestate`. A header that breaks the rules counts as none, as the standard asks.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut fields = parent.trim().split('-');
        let version = hex(fields.next()?, 2)?;
        let (id, span, flags) = (hex(fields.next()?, 32)?, hex(fields.next()?, 16)?, hex(fields.next()?, 2)?);
        // A later version may say more behind this; the first one may not.
        if version == 0xff || (version == 0 && fields.next().is_some()) || id == 0 || span == 0 {
            return None;
        }
        let fits = |state: &&str| {
            (1..=STATE_BYTES).contains(&state.len()) && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let state = state.map(str::trim).filter(fits).map(Into::into);
        let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
        Some(Self { id, span, flags, state })
    }

    /// The same trace, seen from another of its spans.
    #[must_use]
    pub fn from_span(self, span: u64) -> Self {
        Self { span, ..self }
    }

    /// By what all of its spans are known.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The span that submitted the job.
    pub fn span(&self) -> u64 {
        self.span
    }

    /// What the caller asked for: bit 0 says that the trace is recorded.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// `traceparent` for a call of the job, which is the span `span`.
    pub fn parent(&self, span: u64) -> String {
        let mut text = String::with_capacity(55);
        // Writing into memory cannot fail. A span of nothing but zeros would not be one.
        let _ = write!(text, "00-{:032x}-{:016x}-{:02x}", self.id, span.max(1), self.flags);
        text
    }

    /// `tracestate`, if there was one.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// A number of so many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_hex);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_trace_goes_on_with_another_span() {
        let trace = Trace::parse(PARENT, Some(" a=1,b=2 ")).unwrap();
        assert_eq!(trace.parent(0xab), "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01");
        assert_eq!(trace.parent(0), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
        assert_eq!(trace.state(), Some("a=1,b=2"));
        assert_eq!((trace.span(), trace.flags()), (0x00f0_67aa_0ba9_02b7, 1));
        assert_eq!(trace.parent(trace.span()), PARENT);
        assert_eq!(trace.id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(trace.clone().from_span(7).span(), 7);
        assert!(Trace::parse(&format!("{}-more", PARENT.replacen("00", "cc", 1)), None).is_some());
        for (length, kept) in [(512, true), (513, false)] {
            assert_eq!(Trace::parse(PARENT, Some(&"x".repeat(length))).unwrap().state().is_some(), kept);
        }
        assert_eq!(Trace::parse(PARENT, Some("a=\u{fc}")).unwrap().state(), None);
    }

    #[test]
    fn what_breaks_the_rules_is_no_trace() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(Trace::parse(bad, None), None, "{bad}");
        }
    }
}
