//! `backroom openapi`.

use std::io::{self, Write};

use crate::server::openapi;

/// Writes the description of the API.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn print_openapi(out: &mut impl Write) -> io::Result<()> {
    out.write_all(openapi().as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        let mut full: &mut [u8] = &mut [0; 8];
        assert!(print_openapi(&mut full).is_err());
    }
}
