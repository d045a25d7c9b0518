//! Under which names the server answers, and how much of a head it reads.

use backroom::config::AuthMode;

use crate::app::{Answer, TestApp, assert_answer};
use crate::guard::with_tokens;
use crate::raw::{Raw, RawAnswer};

async fn send(app: &TestApp, request: &str) -> RawAnswer {
    let mut raw = Raw::connect(app).await;
    raw.send(request).await;
    raw.answer().await
}

async fn status(app: &TestApp, path: &str, host: &str) -> u16 {
    send(app, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await.status
}

#[tokio::test]
async fn without_tokens_only_local_names_are_answered() {
    let app = TestApp::start().await;
    for host in [
        "localhost",
        "LOCALHOST:1",
        "a.localhost:8080",
        "localhost.",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]",
        "[::1]:8080",
        "[::ffff:127.0.0.1]",
    ] {
        assert_eq!(status(&app, "/api/jobs", host).await, 200, "{host}");
    }
    for path in ["/api/jobs", "/livez", "/readyz", "/problems/internal", "/nowhere"] {
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "[::]"]
        {
            assert_eq!(status(&app, path, host).await, 421, "{path} {host}");
        }
        for host in [
            "",
            "localhost:99999",
            "user@localhost",
            "localhost/",
            "localhost, localhost",
            "::1",
            "*",
            "l\u{f6}calhost",
        ] {
            assert_eq!(status(&app, path, host).await, 400, "{path} {host}");
        }
    }
    let foreign = app.request("GET", "/api/jobs").header("host", "evil.example");
    assert_answer!("guard_host_not_allowed", Answer::of(foreign).await);
    let garbled = app.request("GET", "/api/jobs").header("host", "localhost:99999");
    assert_answer!("guard_host_malformed", Answer::of(garbled).await);
    app.stop().await;
}

#[tokio::test]
async fn a_name_is_sent_once_and_a_target_may_repeat_it() {
    let app = TestApp::start().await;
    for (request, status) in [
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        ("GET /livez HTTP/1.0\r\n\r\n", 200),
        ("GET /livez HTTP/1.0\r\nhost: evil.example\r\n\r\n", 421),
        ("GET http://localhost/livez HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("GET http://127.0.0.1:81/livez HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("GET http://evil.example/livez HTTP/1.1\r\nhost: localhost\r\n\r\n", 421),
        ("GET http://localhost/livez HTTP/1.1\r\nhost: evil.example\r\n\r\n", 421),
        ("GET http://evil.example/livez HTTP/1.0\r\n\r\n", 421),
        ("GET http://user@localhost/livez HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n", 421),
    ] {
        let answer = send(&app, request).await;
        assert_eq!(answer.status, status, "{request:?}: {}", answer.body);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_has_no_body_but_goes_on_is_answered_at_once() {
    let app = TestApp::with(with_tokens).await;
    let upgrade = "host: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    for (line, status) in [
        ("GET /livez", 200),
        ("GET /api/jobs", 401),
        ("GET /nowhere", 404),
        ("PUT /livez", 405),
        ("DELETE /api/mail", 401),
    ] {
        let mut raw = Raw::connect(&app).await;
        raw.send(format!("{line} HTTP/1.1\r\n{upgrade}\r\n")).await;
        assert_eq!(raw.answer().await.status, status, "{line}");
        assert!(raw.is_closed().await, "{line}");
        let mut raw = Raw::connect(&app).await;
        raw.send(format!("{line} HTTP/1.1\r\n{upgrade}content-length: 3\r\n\r\n")).await;
        assert_eq!(raw.answer().await.status, status, "{line}");
        // Chunks have an end, and another upgrade is passed over.
        let mut raw = Raw::connect(&app).await;
        for form in [
            "upgrade: websocket\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "upgrade: h2c\r\ncontent-length: 3\r\n\r\nabc",
        ] {
            raw.send(format!("{line} HTTP/1.1\r\nhost: x\r\n{form}")).await;
            assert_eq!(raw.answer().await.status, status, "{line}");
        }
    }
    let mut raw = Raw::connect(&app).await;
    raw.send("CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn more_names_can_be_given() {
    let named = |config: &mut backroom::config::Config| {
        config.server.allowed_hosts =
            vec!["jobs.internal".to_owned(), "10.0.0.5".to_owned(), "[fe80::5]".to_owned()];
        config.server.public_url = Some("https://jobs.example.com/base".to_owned());
    };
    let check = async |app: &TestApp, ok: u16, probe: u16| {
        for host in [
            "localhost",
            "Jobs.Internal:80",
            "10.0.0.5:8080",
            "[fe80::5]:1",
            "jobs.example.com",
            "jobs.example.com:1",
        ] {
            assert_eq!(status(app, "/api/jobs", host).await, ok, "{host}");
        }
        for host in ["evil.example", "a.jobs.internal", "jobs.internal.evil.example", "10.0.0.6", "internal"]
        {
            assert_eq!(status(app, "/api/jobs", host).await, 421, "{host}");
            for path in ["/livez", "/readyz", "/readyz?verbose"] {
                assert_eq!(status(app, path, host).await, probe, "{path} {host}");
            }
            assert_eq!(status(app, "/problems/internal", host).await, 421, "{host}");
        }
    };
    let app = TestApp::with(named).await;
    check(&app, 200, 421).await;
    app.stop().await;
    // With tokens, or when everybody may call, the list counts as soon as there is one; probes go by address.
    for mode in [AuthMode::Tokens, AuthMode::None] {
        let app = TestApp::with(|config| {
            named(config);
            config.auth.mode = mode;
            if mode == AuthMode::Tokens {
                with_tokens(config);
            }
        })
        .await;
        check(&app, if mode == AuthMode::Tokens { 401 } else { 200 }, 200).await;
        app.stop().await;
        let app = TestApp::with(|config| {
            config.auth.mode = mode;
            if mode == AuthMode::Tokens {
                with_tokens(config);
            }
        })
        .await;
        for host in ["evil.example", "", "user@x"] {
            assert_eq!(status(&app, "/livez", host).await, 200, "without a list every name will do");
        }
        app.stop().await;
    }
}
