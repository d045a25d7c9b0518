//! Which files make a certificate, and which are refused with what reason.

use base64::Engine as _;
use rcgen::{CertifiedKey, KeyPair, PKCS_RSA_SHA256, RsaKeySize, generate_simple_self_signed};
use tempfile::TempDir;

use super::*;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn certified() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Where some bytes stand in others.
fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("it is in there")
}

fn fault(certificate: &Path, key: &Path) -> String {
    match Tls::load(certificate, key) {
        Ok(_) => panic!("{} and {} were taken", certificate.display(), key.display()),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn every_form_of_key_is_taken() {
    let files = Files::new();
    let CertifiedKey { cert, signing_key } = certified();
    let certificate = files.write("c.pem", cert.pem());
    let pkcs8 = files.write("pkcs8.pem", signing_key.serialize_pem());
    Tls::load(&certificate, &pkcs8).unwrap();
    // RFC 5915: a short sequence, version 1, 32 bytes of key.
    let der = signing_key.serialize_der();
    let at = find(&der, &[0x02, 0x01, 0x01, 0x04, 0x20]) - 2;
    let sec1 = files.write("sec1.pem", pem("EC PRIVATE KEY", &der[at..][..2 + usize::from(der[at + 1])]));
    Tls::load(&certificate, &sec1).unwrap();

    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let cert = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&rsa).unwrap();
    let certificate = files.write("rsa.pem", cert.pem());
    // RFC 8017: a long sequence, version 0, a long number, and it goes to the end.
    let der = rsa.serialize_der();
    let at = find(&der, &[0x02, 0x01, 0x00, 0x02, 0x82]) - 4;
    let pkcs1 = files.write("pkcs1.pem", pem("RSA PRIVATE KEY", &der[at..]));
    Tls::load(&certificate, &pkcs1).unwrap();
}

#[test]
fn what_cannot_be_used_is_named_with_its_file_and_reason() {
    let files = Files::new();
    let (one, other) = (certified(), certified());
    let certificate = files.write("c.pem", one.cert.pem());
    let key = files.write("k.pem", one.signing_key.serialize_pem());
    let other_key = files.write("other.pem", other.signing_key.serialize_pem());
    let notes = files.write("notes.txt", "remember the milk\n");
    let missing = files.0.path().join("missing.pem");
    let encrypted = files.write("encrypted.pem", pem("ENCRYPTED PRIVATE KEY", b"secret"));
    let cut_off = files.write("cut.pem", &one.signing_key.serialize_pem()[..60]);
    let no_der = files.write("no-der.pem", pem("CERTIFICATE", b"this is no certificate"));
    let no_key = files.write("no-key.pem", pem("PRIVATE KEY", b"this is no key"));

    for (certificate, key, part, named, reason) in [
        (&missing, &key, "certificate: ", &missing, "No such file"),
        (&certificate, &missing, "key: ", &missing, "No such file"),
        (&notes, &key, "certificate: ", &notes, "holds no certificate"),
        (&key, &key, "certificate: ", &key, "holds no certificate"),
        (&certificate, &notes, "key: ", &notes, "holds no private key"),
        (&certificate, &certificate, "key: ", &certificate, "holds no private key"),
        (&certificate, &encrypted, "key: ", &encrypted, "encrypted cannot be read"),
        (&certificate, &cut_off, "key: ", &cut_off, "is no sound PEM"),
        (&no_der, &key, "certificate: ", &no_der, "cannot be used"),
        (&certificate, &no_key, "key: ", &no_key, "cannot be used"),
        (&certificate, &other_key, "key: ", &other_key, "is not the key of the first certificate"),
    ] {
        let fault = fault(certificate, key);
        assert!(fault.starts_with(part), "{fault}");
        assert!(fault.contains(named.to_str().unwrap()), "{fault}");
        assert!(fault.contains(reason), "{fault}");
    }
}

#[test]
fn a_file_has_its_bound() {
    let files = Files::new();
    let CertifiedKey { cert, signing_key } = certified();
    let key = files.write("k.pem", signing_key.serialize_pem());
    let of = |size: usize| {
        let mut text = cert.pem();
        text.push_str(&"\n".repeat(size - text.len()));
        files.write("c.pem", text)
    };
    Tls::load(&of(1 << 20), &key).unwrap();
    assert!(fault(&of((1 << 20) + 1), &key).contains("larger than 1 MiB"));
}

#[test]
fn a_fault_never_quotes_a_key() {
    let files = Files::new();
    let CertifiedKey { cert, signing_key } = certified();
    let certificate = files.write("c.pem", cert.pem());
    let text = signing_key.serialize_pem();
    let secret = text.lines().nth(1).unwrap();
    for broken in [
        text.replace(secret, &format!("{secret}?")),
        text.replace("END PRIVATE KEY", secret),
        text.replace("-----END PRIVATE KEY-----", &format!("-----{secret}")),
        text.replace("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY----"),
    ] {
        let fault = fault(&certificate, &files.write("k.pem", &broken));
        assert!(!fault.contains(&secret[..8]), "{fault}");
    }
}

#[test]
fn a_bad_reload_keeps_what_was_in_use() {
    let files = Files::new();
    let (one, other) = (certified(), certified());
    let certificate = files.write("c.pem", one.cert.pem());
    let key = files.write("k.pem", one.signing_key.serialize_pem());
    let tls = Tls::load(&certificate, &key).unwrap();
    let first = tls.current();
    assert!(Arc::ptr_eq(&first, &tls.current()));
    // The new certificate is there, its key is not yet.
    files.write("c.pem", other.cert.pem());
    assert!(tls.reload().is_err());
    assert!(Arc::ptr_eq(&first, &tls.current()));
    files.write("k.pem", other.signing_key.serialize_pem());
    tls.reload().unwrap();
    assert!(!Arc::ptr_eq(&first, &tls.current()));
}
