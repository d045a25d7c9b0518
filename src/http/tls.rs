//! HTTPS: certificates, and taking new ones while connections go on.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

/// The largest file that is read; a chain of certificates is a few kilobytes.
const LARGEST: u64 = 1 << 20;

/// The certificate of the server, as its files had it when they were last read without a fault.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// Taken by every new connection. All of it is replaced, with the sessions that clients could resume: who comes
    /// back after a new certificate sees the new certificate.
    current: RwLock<Arc<ServerConfig>>,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{part}: {reason}")]
pub(crate) struct TlsFault {
    /// `certificate` or `key`.
    part: &'static str,
    reason: String,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    ///
    /// Files that cannot be read, hold something else, or do not belong together.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsFault> {
        let current = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// Reads both files again. Connections that are open go on with what they began with.
    ///
    /// # Errors
    ///
    /// As [`Self::load`]; what was in use stays in use.
    pub(crate) fn reload(&self) -> Result<(), TlsFault> {
        let fresh = Arc::new(read(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// For the next connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsFault> {
    let chain = chain(certificate).map_err(|reason| TlsFault { part: "certificate", reason })?;
    let secret = private_key(key).map_err(|reason| TlsFault { part: "key", reason })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsFault { part: "certificate", reason: error.to_string() })?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| unusable(&error, certificate, key))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn unusable(error: &rustls::Error, certificate: &Path, key: &Path) -> TlsFault {
    use rustls::Error as E;
    match error {
        E::InconsistentKeys(_) => {
            let (key, certificate) = (key.display(), certificate.display());
            let reason = format!(
                "{key} is not the key of the first certificate in {certificate}; put the server's own certificate \
                 before those of its issuers"
            );
            TlsFault { part: "key", reason }
        }
        E::InvalidCertificate(error) => {
            let reason =
                format!("the first certificate in {} cannot be used: {error}", certificate.display());
            TlsFault { part: "certificate", reason }
        }
        error => TlsFault { part: "key", reason: format!("{} cannot be used: {error}", key.display()) },
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = contents(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| format!("{} is no sound PEM: {error}", path.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate (-----BEGIN CERTIFICATE-----)", path.display()));
    }
    Ok(chain)
}

/// PKCS #8, SEC 1 (EC) or PKCS #1 (RSA), in the clear.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    use rustls::pki_types::pem::Error;
    let bytes = contents(path)?;
    // Its errors can quote a line of the file, which here is one of a secret.
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        Error::NoItemsFound => format!(
            "{} holds no private key (-----BEGIN PRIVATE KEY-----); one that is encrypted cannot be read",
            path.display()
        ),
        _ => format!("{} is no sound PEM", path.display()),
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{} is larger than 1 MiB, which no PEM file of a server is", path.display()));
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
