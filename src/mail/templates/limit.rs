//! How much a template may write: a list in the data makes a long mail of a short template.

use std::io;

use minijinja::{Error, ErrorKind, Output, State, Value, escape_formatter};

/// How large a part of a mail may be, in bytes.
pub(super) const MAX_PART_BYTES: usize = 1 << 20;

/// How much one rendering may show, in bytes, what macros and blocks hold back and show again counted each time.
const MAX_SHOWN_BYTES: usize = 8 * MAX_PART_BYTES;

/// Takes what is rendered, up to [`MAX_PART_BYTES`].
#[derive(Default)]
pub(super) struct Limited(Vec<u8>);

impl Limited {
    /// What was written.
    pub(super) fn into_text(self) -> String {
        // The engine writes texts and nothing else.
        String::from_utf8(self.0).unwrap_or_default()
    }
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_PART_BYTES {
            return Err(io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was shown so far in a rendering.
#[derive(Default)]
struct Shown(usize);

/// Shows a value as the engine would, and counts it: the writer does not see what a macro holds back.
pub(super) fn counted(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let bytes = value.as_str().map_or_else(|| value.to_string().len(), str::len);
    let shown = state.get_or_insert_extension_with(Shown::default);
    shown.0 = shown.0.saturating_add(bytes);
    if shown.0 > MAX_SHOWN_BYTES {
        return Err(ErrorKind::WriteFailure.into());
    }
    escape_formatter(out, state, value)
}
