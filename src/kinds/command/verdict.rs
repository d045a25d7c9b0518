//! From the end of a program to the end of an attempt.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::Signal;
use serde::de::IgnoredAny;

use crate::handler::Failure;
use crate::job::truncate;

/// How much of the last line is quoted in an error, in bytes.
const QUOTED: usize = 1_024;

/// sysexits: what the program was given is wrong, and stays wrong.
const USAGE: i32 = 64;
const DATA: i32 = 65;
/// sysexits: try again later.
const TEMPORARY: i32 = 75;

/// Names the signals that end programs.
const SIGNALS: [(Signal, &str); 20] = [
    (Signal::HUP, "sighup"),
    (Signal::INT, "sigint"),
    (Signal::QUIT, "sigquit"),
    (Signal::ILL, "sigill"),
    (Signal::TRAP, "sigtrap"),
    (Signal::ABORT, "sigabrt"),
    (Signal::BUS, "sigbus"),
    (Signal::FPE, "sigfpe"),
    (Signal::KILL, "sigkill"),
    (Signal::USR1, "sigusr1"),
    (Signal::SEGV, "sigsegv"),
    (Signal::USR2, "sigusr2"),
    (Signal::PIPE, "sigpipe"),
    (Signal::ALARM, "sigalrm"),
    (Signal::TERM, "sigterm"),
    (Signal::XCPU, "sigxcpu"),
    (Signal::XFSZ, "sigxfsz"),
    (Signal::VTALARM, "sigvtalrm"),
    (Signal::PROF, "sigprof"),
    (Signal::SYS, "sigsys"),
];

/// Why the attempt failed, if the program did. `last` is the last line that it wrote to its standard error.
pub(super) fn failure(status: ExitStatus, retry_on_exit: bool, last: &str) -> Option<Failure> {
    let because = if last.is_empty() { String::new() } else { format!(": {}", truncate(last, QUOTED)) };
    match status.code() {
        Some(0) => None,
        Some(code) => {
            let transient = match code {
                TEMPORARY => true,
                USAGE | DATA => false,
                _ => retry_on_exit,
            };
            let message = format!("the program ended with exit code {code}{because}");
            let code = format!("exit-{code}");
            Some(if transient {
                Failure::transient(code, message)
            } else {
                Failure::permanent(code, message)
            })
        }
        None => {
            let signal = signal_name(status.signal().unwrap_or_default());
            let message = format!("the program was killed by {}{because}", signal.to_uppercase());
            Some(Failure::transient(signal, message))
        }
    }
}

fn signal_name(number: i32) -> String {
    let named = SIGNALS.iter().find(|(signal, _)| signal.as_raw() == number);
    named.map_or_else(|| format!("signal-{number}"), |(_, name)| (*name).to_owned())
}

/// Whether a media type promises JSON (RFC 8259, and the suffix of RFC 6839).
pub(super) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Whether it is one JSON value. What is wrong is said without quoting it.
pub(super) fn check_json(bytes: &[u8]) -> Result<(), Failure> {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(IgnoredAny) if std::str::from_utf8(bytes).is_ok() => Ok(()),
        Ok(IgnoredAny) => Err(Failure::permanent("invalid-result", "the output of the program is not UTF-8")),
        Err(error) => {
            let place = (error.line(), error.column());
            let message =
                format!("the output of the program is not JSON (line {}, column {})", place.0, place.1);
            Err(Failure::permanent("invalid-result", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobError;

    fn verdict(raw: i32, retry_on_exit: bool, last: &str) -> Option<(String, bool, String)> {
        let error = JobError::from(failure(ExitStatus::from_raw(raw), retry_on_exit, last)?);
        Some((error.code.into_owned(), error.retryable, error.message.into()))
    }

    #[test]
    fn every_row_of_the_table() {
        let exit =
            |code: i32, retry| verdict(code << 8, retry, "").map(|(code, retryable, _)| (code, retryable));
        for retry in [true, false] {
            assert_eq!(exit(0, retry), None);
            assert_eq!(exit(75, retry), Some(("exit-75".into(), true)));
            for code in [64, 65] {
                assert_eq!(exit(code, retry), Some((format!("exit-{code}"), false)));
            }
            for code in [1, 2, 63, 66, 74, 76, 78, 126, 127, 255] {
                assert_eq!(exit(code, retry), Some((format!("exit-{code}"), retry)));
            }
            for (number, name) in [(9, "sigkill"), (11, "sigsegv"), (15, "sigterm"), (64, "signal-64")] {
                assert_eq!(verdict(number, retry, "").map(|v| (v.0, v.1)), Some((name.into(), true)));
            }
        }
    }

    #[test]
    fn the_error_quotes_the_last_line() {
        let message = |raw: i32, last: &str| verdict(raw, true, last).unwrap().2;
        assert_eq!(message(3 << 8, ""), "the program ended with exit code 3");
        assert_eq!(message(3 << 8, "no paper"), "the program ended with exit code 3: no paper");
        assert_eq!(message(11, "x"), "the program was killed by SIGSEGV: x");
        assert!(message(3 << 8, &"y".repeat(5_000)).len() < 1_100);
    }

    #[test]
    fn json_is_what_the_type_promises() {
        for (media, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("application/jsonl", false),
            ("text/plain; note=application/json", false),
        ] {
            assert_eq!(is_json(media), json, "{media}");
        }
        for good in ["null", " {\"a\": [1, \"x\"]} \n"] {
            assert!(check_json(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [&b""[..], b"{", b"{} {}", b"s3cret", b"\"\xff\""] {
            let error = JobError::from(check_json(bad).unwrap_err());
            assert_eq!((&*error.code, error.retryable), ("invalid-result", false));
            assert!(!error.message.contains("s3cret"), "{}", error.message);
        }
    }
}
