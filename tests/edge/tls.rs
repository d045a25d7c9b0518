//! HTTPS: who is served, which certificate is shown, and how it is replaced.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use backroom::config::Tls;
use nix::sys::signal::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::app::{TestApp, within};
use crate::process::{Place, Process};

/// A certificate that signs itself, for `localhost` and `127.0.0.1`.
struct Certified {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Certified {
    fn new() -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// A client that trusts this certificate and no other.
    fn client(&self) -> reqwest::ClientBuilder {
        let authority = reqwest::Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([authority])
    }

    /// A connection of a client that trusts this certificate and offers these protocols.
    async fn connect(
        &self,
        address: SocketAddr,
        version: &'static rustls::SupportedProtocolVersion,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn write(&self, folder: &TempDir) {
        std::fs::write(folder.path().join("c.pem"), &self.certificate).unwrap();
        std::fs::write(folder.path().join("k.pem"), &self.key).unwrap();
    }
}

/// Asks on a connection that is kept.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nok\n") {
        let count = within("an answer", stream.read_buf(&mut read)).await.unwrap();
        assert_ne!(count, 0, "the connection ended after {:?}", String::from_utf8_lossy(&read));
    }
    String::from_utf8_lossy(&read[..15]).into_owned()
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn start(certified: &Certified, folder: &TempDir, header_timeout: Duration) -> TestApp {
    certified.write(folder);
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let files = Tls { certificate: path("c.pem"), key: path("k.pem") };
    TestApp::with(|config| {
        config.server.tls = Some(files);
        config.server.header_timeout = header_timeout;
    })
    .await
}

const SECONDS: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_trusts_the_certificate_is_served() {
    let (certified, folder) = (Certified::new(), tempfile::tempdir().unwrap());
    let app = start(&certified, &folder, SECONDS).await;
    assert_eq!(app.server.scheme(), "https");
    let url = format!("https://localhost:{}/api/jobs", app.server.address().port());
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = certified.client().tls_version_min(version).tls_version_max(version).build().unwrap();
        let response = client.post(&url).json(&json!({"kind": "noop"})).send().await.unwrap();
        assert_eq!(
            (response.status(), response.version()),
            (reqwest::StatusCode::ACCEPTED, reqwest::Version::HTTP_11)
        );
    }
    // Nobody else: neither who trusts somebody else, nor who speaks without TLS.
    let stranger = Certified::new().client().build().unwrap();
    assert!(stranger.get(&url).send().await.unwrap_err().is_connect());
    let plain = url.replace("https://", "http://");
    assert!(certified.client().build().unwrap().get(plain).send().await.is_err());
    app.stop().await;
}

#[tokio::test]
async fn only_http_1_is_spoken() {
    let (certified, folder) = (Certified::new(), tempfile::tempdir().unwrap());
    let app = start(&certified, &folder, SECONDS).await;
    for (offered, agreed) in
        [(&[][..], None), (&["http/1.1"], Some(&b"http/1.1"[..])), (&["h2", "http/1.1"], Some(b"http/1.1"))]
    {
        let mut stream = certified.connect(app.server.address(), &TLS13, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
        assert_eq!(ask(&mut stream).await, "HTTP/1.1 200 OK");
    }
    for version in [&TLS12, &TLS13] {
        assert!(certified.connect(app.server.address(), version, &["h2"]).await.is_err());
    }
    app.stop().await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut() {
    let (certified, folder) = (Certified::new(), tempfile::tempdir().unwrap());
    let app = start(&certified, &folder, Duration::from_millis(300)).await;
    // Nothing, and the beginning of a ClientHello.
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(app.server.address()).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut read = Vec::new();
        let ended = within("the end of the connection", stream.read_to_end(&mut read)).await;
        assert!(ended.is_err() || read.is_empty(), "{read:?}");
    }
    // After the handshake the head has a deadline too.
    let mut stream = certified.connect(app.server.address(), &TLS13, &[]).await.unwrap();
    assert_eq!(ask(&mut stream).await, "HTTP/1.1 200 OK");
    stream.write_all(b"GET /livez HTTP/1.1\r\nhos").await.unwrap();
    let mut read = Vec::new();
    within("the end of the connection", stream.read_to_end(&mut read)).await.unwrap();
    assert!(read.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&read));
    app.stop().await;
}

/// The real program with the certificate in its working directory.
fn place(certified: &Certified) -> Place {
    let place = Place::new(&["server.tls.certificate=c.pem", "server.tls.key=k.pem"]);
    certified.write(&place.folder);
    place
}

fn address(process: &Process) -> SocketAddr {
    process.base.strip_prefix("https://").expect("it says that it is HTTPS").parse().unwrap()
}

#[tokio::test]
async fn sighup_takes_a_new_certificate_and_drops_nobody() {
    let (old, new) = (Certified::new(), Certified::new());
    let place = place(&old);
    let process = place.start().await;
    let address = address(&process);
    let mut kept = old.connect(address, &TLS13, &[]).await.unwrap();
    assert_eq!(ask(&mut kept).await, "HTTP/1.1 200 OK");

    // A certificate whose key has not come yet: nothing changes.
    std::fs::write(place.path("c.pem"), &new.certificate).unwrap();
    process.signal(Signal::SIGHUP);
    let refused = process.message("not reloaded: the certificate in use stays in use").await;
    assert_eq!(refused["level"], "ERROR");
    assert!(
        refused["error"].as_str().unwrap().starts_with("server.tls.key: k.pem is not the key"),
        "{refused}"
    );
    let stream = old.connect(address, &TLS12, &[]).await.unwrap();
    assert_eq!(shown(&stream), old.der);

    new.write(&place.folder);
    process.signal(Signal::SIGHUP);
    assert_eq!(process.message("reloaded").await["part"], "server.tls");
    for version in [&TLS12, &TLS13] {
        let mut stream = new.connect(address, version, &[]).await.unwrap();
        assert_eq!(shown(&stream), new.der);
        assert_eq!(ask(&mut stream).await, "HTTP/1.1 200 OK");
        assert!(old.connect(address, version, &[]).await.is_err(), "the old one is not shown any more");
    }
    assert_eq!(ask(&mut kept).await, "HTTP/1.1 200 OK", "who was connected goes on");
    assert_eq!(shown(&kept), old.der);
    drop(kept);
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_and_the_check() {
    let (one, other) = (Certified::new(), Certified::new());
    let place = place(&one);
    std::fs::write(place.path("k.pem"), &other.key).unwrap();
    let reason = "server.tls.key: k.pem is not the key of the first certificate in c.pem";
    let ended = place.fail(&[]).await;
    assert_eq!(ended.code, Some(78), "{}", ended.text());
    assert!(ended.text().contains(reason), "{}", ended.text());

    let mut check = vec!["check"];
    for set in &place.sets {
        check.extend(["--set", set]);
    }
    let (code, said) = run(&place, &check, &[]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains(&format!("--set: {reason}")), "{said}");
    one.write(&place.folder);
    let (code, said) = run(&place, &check, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("would listen on https://"), "{said}");
    std::fs::remove_file(place.path("c.pem")).unwrap();
    let (code, said) = run(&place, &check, &[]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("--set: server.tls.certificate: cannot read c.pem"), "{said}");
}

#[tokio::test]
async fn health_asks_over_https_too() {
    let certified = Certified::new();
    let place = place(&certified);
    let process = place.start().await;
    let health = ["health", "--server", &process.base];
    let ends = async |more: &[&str]| run(&place, &[&health, more].concat(), &[]).await;
    assert_eq!(ends(&["--ca-file", "c.pem"]).await, (Some(0), String::new()));
    assert_eq!(ends(&["--insecure"]).await, (Some(0), String::new()));
    assert_eq!(ends(&[]).await.0, Some(1), "nobody vouches for this certificate");
    std::fs::write(place.path("other.pem"), Certified::new().certificate).unwrap();
    assert_eq!(ends(&["--ca-file", "other.pem"]).await.0, Some(1));
    let (code, said) = ends(&["--ca-file", "missing.pem"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("--ca-file: missing.pem cannot be used"), "{said}");
    assert_eq!(ends(&["--ca-file", "k.pem"]).await.0, Some(1), "a key is no certificate");
    process.stop().await;
}

#[tokio::test]
async fn health_needs_no_authorities_for_plain_http() {
    let place = Place::new(&[]);
    let process = place.start().await;
    // As in a container that was given nothing but the program.
    let bare = [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];
    assert_eq!(run(&place, &["health", "--server", &process.base], &bare).await, (Some(0), String::new()));
    process.stop().await;
}

/// Runs a command of the program to its end; gives back its exit code and what it said.
async fn run(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_backroom"))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(place.folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = within("the command", output).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}
