//! `[server.tls]`: with which certificate to listen.

use std::path::PathBuf;

use super::reader::Section;

/// Names the files of a certificate and its key. Whether they can be used is seen by who makes a server of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// PEM: the server's own certificate first, then those of its issuers.
    pub certificate: PathBuf,
    /// PEM: its private key, not encrypted.
    pub key: PathBuf,
}

impl Tls {
    /// Reads the section; `None` when neither file is named.
    pub(super) fn read(server: &mut Section<'_>) -> Option<Self> {
        server.section("tls", |s| match (s.path("certificate"), s.path("key")) {
            (Some(certificate), Some(key)) => Some(Self { certificate, key }),
            (Some(_), None) => {
                s.fault_of("key", "certificate", "is missing: a certificate is of no use without its key");
                None
            }
            (None, Some(_)) => {
                s.fault_of("certificate", "key", "is missing: a key is of no use without its certificate");
                None
            }
            (None, None) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults, with_file};

    #[test]
    fn both_files_or_none() {
        let both = Some(Tls { certificate: "c.pem".into(), key: "k.pem".into() });
        assert_eq!(config(&[]).server.tls, None);
        assert_eq!(config(&["server.tls.certificate=c.pem", "server.tls.key=k.pem"]).server.tls, both);
        let file = "[server]\ntls = { certificate = 'c.pem', key = 'k.pem' }\n";
        assert_eq!(with_file(file, &[]).unwrap().config.server.tls, both);
        assert_eq!(
            faults(&["server.tls.certificate=c.pem"]),
            ["--set: server.tls.key: is missing: a certificate is of no use without its key"]
        );
        assert_eq!(
            faults(&["server.tls.key=k.pem"]),
            ["--set: server.tls.certificate: is missing: a key is of no use without its certificate"]
        );
    }

    #[test]
    fn it_is_a_section_with_two_keys() {
        assert_eq!(faults(&["server.tls=c.pem"]), ["--set: server.tls: is a section, not a value"]);
        let found = faults(&["server.tls.cert=c.pem"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("--set: server.tls.cert: unknown key"), "{found:?}");
    }
}
