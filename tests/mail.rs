//! Mails over real SMTP conversations.

#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "support/smtp.rs"]
mod smtp;

use std::path::PathBuf;
use std::time::Duration;

use backroom::clock::Clock;
use backroom::job::{JobId, Timestamp};
use backroom::mail::{
    Attachment, Draft, Mail, Mailer, SendError, Sent, Settings, SmtpSettings, TransportSettings,
    parse_mailbox,
};
use mail_parser::{MessageParser, MimeHeaders as _};
use smtp::{Act, Options, Server};
use tokio_util::sync::CancellationToken;

/// For steps that succeed, however slow the machine is.
const LONG: Duration = Duration::from_secs(30);
/// For a step that does not. Whatever comes before it has to be quicker.
const SHORT: Duration = Duration::from_secs(3);

fn mailer_with(url: &str, timeout: Duration, ca_file: Option<PathBuf>) -> Mailer {
    let smtp = SmtpSettings { url: url.into(), password: None, timeout, pool_size: 2, ca_file };
    let settings = Settings {
        from: "Shop <shop@example.com>".into(),
        app_name: "Shop".into(),
        templates: None,
        transport: TransportSettings::Smtp(smtp),
    };
    Mailer::new(settings, Clock::system()).unwrap()
}

fn mailer(url: &str) -> Mailer {
    mailer_with(url, LONG, None)
}

fn plain(server: &Server) -> Mailer {
    mailer(&format!("smtp://127.0.0.1:{}", server.port()))
}

fn draft() -> Draft {
    Draft {
        to: vec![parse_mailbox("Ada <ada@example.com>").unwrap()],
        subject: "Hello".into(),
        text: Some("Hello Ada,\n\n.\n.a line that begins with a dot\n".into()),
        ..Draft::default()
    }
}

fn mail(mailer: &Mailer, draft: Draft) -> Mail {
    mailer.compose(Timestamp::parse("2026-11-20T16:50:00.123Z").unwrap(), draft).unwrap()
}

async fn send(mailer: &Mailer) -> Result<Sent, SendError> {
    send_unless(mailer, &CancellationToken::new()).await
}

async fn send_unless(mailer: &Mailer, canceled: &CancellationToken) -> Result<Sent, SendError> {
    mailer.send(JobId::MAX, &mail(mailer, draft()), canceled).await
}

async fn send_mail(mailer: &Mailer, mail: &Mail) -> Result<Sent, SendError> {
    mailer.send(JobId::MIN, mail, &CancellationToken::new()).await
}

fn summary(result: Result<Sent, SendError>) -> (String, bool) {
    let error = result.expect_err("the mail was not taken");
    (error.code.into_owned(), error.retryable)
}

fn transient(code: &str) -> (String, bool) {
    (code.to_owned(), true)
}

#[tokio::test]
async fn a_plain_mail_arrives_as_it_was_written() {
    let server = Server::start(Options::default()).await;
    let sent = send(&plain(&server)).await.unwrap();
    assert_eq!(sent.message_id, "<ffffffff-ffff-ffff-ffff-ffffffffffff@example.com>");
    assert_eq!(sent.accepted, ["ada@example.com"]);
    assert_eq!(sent.response, "250 2.0.0 queued as 1");
    let received = server.nth(1).await;
    assert_eq!(
        (received.from.as_str(), received.to.as_slice()),
        ("shop@example.com", &["ada@example.com".to_owned()][..])
    );
    assert!(!received.encrypted);
    let message = MessageParser::default().parse(received.message.as_bytes()).unwrap();
    assert_eq!(
        message.body_text(0).unwrap().replace("\r\n", "\n").trim_end(),
        draft().text.unwrap().trim_end()
    );
    assert_eq!(message.date().unwrap().to_rfc3339(), "2026-11-20T16:50:00Z");
    assert_eq!(message.message_id(), Some("ffffffff-ffff-ffff-ffff-ffffffffffff@example.com"));
    let hello = server.lines()[0].clone();
    assert!(hello.starts_with("EHLO ") && hello.len() > 5, "{hello}");
}

#[tokio::test]
async fn everything_in_a_mail_arrives_intact() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    let long = "ä long line ".repeat(500);
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let file = |name: &str, kind: &str| Attachment {
        filename: name.into(),
        content_type: kind.into(),
        content: bytes.clone(),
    };
    let subject =
        "Grüße aus Köln — 你好, и ещё немного слов, чтобы строка стала длинной и её пришлось сложить 🎉";
    let draft = Draft {
        to: vec![parse_mailbox("\"Lovelace, Ädä\" <ada@example.com>").unwrap()],
        cc: vec![parse_mailbox("bob@bücher.example").unwrap()],
        bcc: vec![parse_mailbox("eve@example.com").unwrap(), parse_mailbox("ada@example.com").unwrap()],
        reply_to: Some(parse_mailbox("help@example.com").unwrap()),
        subject: subject.into(),
        text: Some(long.clone()),
        html: Some(format!("<p>{long}</p>")),
        attachments: vec![
            file("Rechnung für März.pdf", "application/pdf"),
            file("b.bin", "application/octet-stream"),
        ],
        auto_submitted: true,
    };
    send_mail(&mailer, &mail(&mailer, draft)).await.unwrap();
    let received = server.nth(1).await;
    assert_eq!(received.to, ["ada@example.com", "bob@xn--bcher-kva.example", "eve@example.com"]);
    assert!(!received.message.contains("eve@example.com"), "bcc leaked");
    assert!(received.message.is_ascii());
    assert!(received.message.lines().all(|line| line.len() <= 998), "RFC 5322 §2.1.1");
    let message = MessageParser::default().parse(received.message.as_bytes()).unwrap();
    assert_eq!(message.subject(), Some(subject));
    let to = message.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Lovelace, Ädä"), Some("ada@example.com")));
    assert_eq!(message.reply_to().unwrap().first().unwrap().address(), Some("help@example.com"));
    assert!(message.bcc().is_none());
    assert_eq!(message.header("Auto-Submitted").unwrap().as_text(), Some("auto-generated"));
    assert_eq!(message.body_text(0).unwrap().trim_end(), long.trim_end());
    assert_eq!(message.body_html(0).unwrap().trim_end(), format!("<p>{long}</p>").trim_end());
    let files: Vec<_> = message.attachments().collect();
    assert_eq!(files.len(), 2);
    assert_eq!(files[0].attachment_name(), Some("Rechnung für März.pdf"));
    assert_eq!(files[0].content_type().unwrap().ctype(), "application");
    assert_eq!(files[0].contents(), bytes);
}

#[tokio::test]
async fn a_body_cannot_end_the_message_early() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    for (n, end) in ["\r.\r", "\n.\n", "\r\n.\r\n", "\r\n.\r", "\n.\r\n", "\r.\r\n"].into_iter().enumerate() {
        let text = format!("before{end}MAIL FROM:<eve@example.com>\r\nafter");
        send_mail(&mailer, &mail(&mailer, Draft { text: Some(text), ..draft() })).await.unwrap();
        let received = server.nth(n + 1).await;
        let bare = received.message.replace("\r\n", "");
        assert!(!bare.contains(['\r', '\n']), "{end:?} left a bare line end: {:?}", received.message);
        assert!(received.message.contains("after"), "{end:?} cut the message");
    }
    assert!(!server.lines().iter().any(|line| line.contains("eve@")));
}

#[tokio::test]
async fn an_attached_file_cannot_end_the_message_early() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    let content = b"a\n.\nMAIL FROM:<eve@example.com>\r.\r\0\n.\r\n.\r\nQUIT\r\n".to_vec();
    let file =
        Attachment { filename: "a.txt".into(), content_type: "text/plain".into(), content: content.clone() };
    let draft = Draft { attachments: vec![file], ..draft() };
    send_mail(&mailer, &mail(&mailer, draft)).await.unwrap();
    let received = server.nth(1).await;
    let message = MessageParser::default().parse(received.message.as_bytes()).unwrap();
    assert_eq!(message.attachments().next().unwrap().contents(), content);
}

#[tokio::test]
async fn a_mail_that_is_put_off_is_sent_again_byte_for_byte() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    let mut both = draft();
    both.html = Some("<p>Hello</p>".into());
    let mail = mail(&mailer, both);
    for (step, reply, code) in [
        ("MESSAGE", "451 4.3.0 try again later", "smtp-451"),
        ("DATA", "421 4.3.2 closing", "smtp-421"),
        ("RCPT", "450 4.2.0 greylisted", "smtp-450"),
        ("MAIL", "452 4.3.1 full", "smtp-452"),
    ] {
        server.script(step, Act::Reply(reply));
        let error = send_mail(&mailer, &mail).await.unwrap_err();
        assert_eq!((&*error.code, error.message.as_str(), error.retryable), (code, reply, true), "{step}");
    }
    assert!(server.received().is_empty());
    let first = send_mail(&mailer, &mail).await.unwrap();
    let second = send_mail(&mailer, &mail).await.unwrap();
    assert_eq!(first.message_id, second.message_id);
    assert_eq!(server.nth(1).await.message, server.nth(2).await.message);
}

#[tokio::test]
async fn a_refused_recipient_is_permanent_and_masked() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    let mut two = draft();
    two.cc = vec![parse_mailbox("bob@example.com").unwrap()];
    server.script("RCPT", Act::Reply("250 ok"));
    server.script("RCPT", Act::Reply("550 5.1.1 <bob@example.com> unknown"));
    let error = send_mail(&mailer, &mail(&mailer, two)).await.unwrap_err();
    assert_eq!((&*error.code, error.retryable), ("smtp-550", false));
    assert_eq!(error.message, "550 5.1.1 <b***@example.com> unknown");
    assert!(server.received().is_empty(), "half of the recipients got it");
    send(&mailer).await.unwrap();
    assert_eq!(server.connections(), 1, "a refused mail costs no connection");
}

#[tokio::test]
async fn starttls_is_used_when_it_is_there() {
    let server = Server::start(Options { starttls: true, ..Options::default() }).await;
    for (tls, encrypted) in [("required", true), ("opportunistic", true), ("none", false)] {
        let url = format!("smtp://localhost:{}?tls={tls}", server.port());
        send(&mailer_with(&url, LONG, Some(server.ca_file()))).await.unwrap();
        let received = server.received();
        assert_eq!(received.last().unwrap().encrypted, encrypted, "{tls}");
    }
}

#[tokio::test]
async fn what_was_put_in_before_the_encryption_counts_for_nothing() {
    // With lettre's own connection, these answered for the server: a refused mail counted as sent.
    for injected in [
        "220 go\r\n250-test\r\n250 SMTPUTF8",
        "220 go\r\n250 EHLO\r\n250 MAIL\r\n250 RCPT\r\n354 DATA\r\n250 MESSAGE",
    ] {
        let options = Options { starttls: true, ..Options::default() };
        let server = Server::start(options).await;
        let url = format!("smtp://localhost:{}?tls=required", server.port());
        let mailer = mailer_with(&url, LONG, Some(server.ca_file()));
        server.script("STARTTLS", Act::Reply(injected));
        assert_eq!(summary(send(&mailer).await), transient("smtp-protocol"));
        assert_eq!(server.received().len(), 0);
        send(&mailer).await.unwrap();
        assert_eq!((server.connections(), server.received().len()), (2, 1));
    }
}

#[tokio::test]
async fn a_reply_that_does_not_fit_its_step_is_no_yes() {
    for (step, reply) in [
        ("CONNECT", "354 go"),
        ("EHLO", "334 go"),
        ("MAIL", "354 go"),
        ("RCPT", "252 perhaps"),
        ("RCPT", "354 go"),
        ("DATA", "250 taken"),
        ("MESSAGE", "354 go"),
        ("MAIL", "250 ok\r\n250 and more"),
        ("DATA", "354 go\r\n250 taken"),
        ("MESSAGE", "hello"),
        ("MESSAGE", "250-a\r\n550 b"),
    ] {
        let server = Server::start(Options::default()).await;
        let mailer = plain(&server);
        server.script(step, Act::Reply(reply));
        assert_eq!(summary(send(&mailer).await), transient("smtp-protocol"), "{step}: {reply:?}");
        send(&mailer).await.unwrap();
        assert_eq!((server.connections(), server.received().len()), (2, 1), "{step}: {reply:?}");
    }
    let server = Server::start(Options::default()).await;
    server.script("RCPT", Act::Agree(b"251 forwarded"));
    send(&plain(&server)).await.unwrap();
}

#[tokio::test]
async fn a_password_is_not_sent_when_encryption_is_required_and_missing() {
    let server = Server::start(Options { login: Some(("u", "s3cret")), ..Options::default() }).await;
    let url = format!("smtp://u:s3cret@127.0.0.1:{}", server.port());
    assert_eq!(summary(send(&mailer(&url)).await), transient("smtp-tls"));
    assert!(server.lines().iter().all(|line| line.starts_with("EHLO")), "{:?}", server.lines());
    // To this very machine it may be sent when somebody says so.
    send(&mailer(&format!("{url}?tls=opportunistic"))).await.unwrap();
    send(&mailer(&format!("{url}?tls=none"))).await.unwrap();
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn implicit_tls_needs_a_certificate_that_is_trusted() {
    let server = Server::start(Options { implicit_tls: true, ..Options::default() }).await;
    let stranger = Server::start(Options::default()).await;
    let with_ca = |host: &str, ca| mailer_with(&format!("smtps://{host}:{}", server.port()), LONG, ca);
    for host in ["localhost", "127.0.0.1"] {
        send(&with_ca(host, Some(server.ca_file()))).await.unwrap();
    }
    assert!(server.nth(2).await.encrypted);
    assert_eq!(summary(send(&with_ca("localhost", Some(stranger.ca_file()))).await), transient("smtp-tls"));
    let error = send(&with_ca("localhost", None)).await.unwrap_err();
    assert_eq!((&*error.code, error.retryable), ("smtp-tls", true));
    let advice = "the server's certificate is not trusted: set mail.smtp_ca_file, or ?tls=none for a server on this machine";
    assert_eq!(error.message, format!("localhost:{}: {advice}", server.port()));
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn starttls_with_a_strange_certificate_sends_nothing() {
    let options = Options { starttls: true, login: Some(("u", "p")), ..Options::default() };
    let server = Server::start(options).await;
    let stranger = Server::start(Options::default()).await;
    let url = format!("smtp://u:p@localhost:{}", server.port());
    let mailer = mailer_with(&url, LONG, Some(stranger.ca_file()));
    assert_eq!(summary(send(&mailer).await), transient("smtp-tls"));
    assert!(!server.lines().iter().any(|line| line.starts_with("AUTH")));
}

#[tokio::test]
async fn a_login_is_accepted_or_refused() {
    for login_mechanism_only in [false, true] {
        let login = Some(("user@example.com", "p:/% ä"));
        let server =
            Server::start(Options { starttls: true, login, login_mechanism_only, ..Options::default() })
                .await;
        let url =
            |password: &str| format!("smtp://user%40example.com:{password}@localhost:{}", server.port());
        let mailer = |url: &str| mailer_with(url, LONG, Some(server.ca_file()));
        send(&mailer(&url("p%3A%2F%25%20%C3%A4"))).await.unwrap();
        assert!(server.nth(1).await.encrypted);
        let error = send(&mailer(&url("wrong"))).await.unwrap_err();
        assert_eq!((&*error.code, error.retryable), ("smtp-535", false));
        assert!(!error.message.contains("wrong"), "{error}");
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_transient() {
    // Bound, so that nobody else gets the port, and not listening: whoever calls is refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let mailer = mailer(&format!("smtp://127.0.0.1:{port}"));
    assert_eq!(summary(send(&mailer).await), transient("smtp-connect"));
    // It comes up: the same mailer finds it.
    let server = Server::start_on(socket.listen(16).unwrap(), Options::default());
    send(&mailer).await.unwrap();
    server.nth(1).await;
}

#[tokio::test]
async fn a_server_that_stalls_or_hangs_up_is_transient() {
    let broken = async |step: &'static str, act: Act, code: &str| {
        let server = Server::start(Options::default()).await;
        let url = format!("smtp://127.0.0.1:{}", server.port());
        let timeout = if matches!(act, Act::Hang) { SHORT } else { LONG };
        server.script(step, act);
        assert_eq!(summary(send(&mailer_with(&url, timeout, None)).await), transient(code), "{step}");
        send(&mailer(&url)).await.unwrap();
        assert_eq!(server.received().len(), 1, "{step}");
    };
    let steps = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "MESSAGE"];
    // All at once: each of them is mostly waiting.
    futures_util::future::join_all(steps.map(async |step| {
        // The end of a message may take longer; see below.
        if step != "MESSAGE" {
            broken(step, Act::Hang, "smtp-timeout").await;
        }
        broken(step, Act::Close, "smtp-connect").await;
    }))
    .await;
}

#[tokio::test]
async fn a_late_reply_is_not_taken_for_the_next_one() {
    let steps = ["MAIL", "RCPT", "DATA"];
    futures_util::future::join_all(steps.map(async |step| {
        let server = Server::start(Options::default()).await;
        let url = format!("smtp://127.0.0.1:{}", server.port());
        let mailer = mailer_with(&url, SHORT, None);
        server.script(step, Act::Late);
        assert_eq!(summary(send(&mailer).await), transient("smtp-timeout"), "{step}");
        let sent = send(&mailer).await.unwrap();
        assert!(sent.response.starts_with("250 2.0.0 queued as "), "{step}: {}", sent.response);
        assert_eq!(server.connections(), 2, "{step}");
    }))
    .await;
}

#[tokio::test]
async fn a_send_that_is_dropped_half_way_does_not_confuse_the_next() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    server.script("DATA", Act::Hang);
    let mut lost = draft();
    lost.subject = "lost".into();
    let lost = mail(&mailer, lost);
    let sending = send_mail(&mailer, &lost);
    tokio::select! {
        result = sending => panic!("the server hangs: {result:?}"),
        () = server.line("DATA") => {}
    }
    send(&mailer).await.unwrap();
    let received = server.nth(1).await;
    assert!(received.message.contains("Subject: Hello"));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn connections_are_used_again_until_the_server_closes_them() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    for n in 1..=3 {
        send(&mailer).await.unwrap();
        server.nth(n).await;
    }
    assert_eq!(server.connections(), 1);
    server.script("MESSAGE", Act::AgreeAndClose);
    send(&mailer).await.unwrap();
    send(&mailer).await.unwrap();
    assert_eq!(server.connections(), 2);
    assert_eq!(server.received().len(), 5);
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    let sends = (0..20).map(|_| send(&mailer));
    let results = futures_util::future::join_all(sends).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(server.received().len(), 20);
    assert!(server.connections() <= 2, "{}", server.connections());
}

#[tokio::test]
async fn the_reply_to_a_message_may_take_longer_than_any_other() {
    let server = Server::start(Options::default()).await;
    let stalled = Server::start(Options::default()).await;
    let url = |server: &Server| format!("smtp://127.0.0.1:{}", server.port());
    let timeout = SHORT;
    server.script("MESSAGE", Act::Held);
    let patient = mailer_with(&url(&server), timeout, None);
    let sending = send(&patient);
    // Another conversation with the same timeout begins later and is given up earlier.
    let other = async {
        server.nth(1).await;
        stalled.script("MAIL", Act::Hang);
        let given_up = summary(send(&mailer_with(&url(&stalled), timeout, None)).await);
        assert_eq!(given_up, transient("smtp-timeout"));
        server.release_held();
    };
    let (sent, ()) = tokio::join!(sending, other);
    assert_eq!(sent.unwrap().response, "250 2.0.0 queued as 1");
}

#[tokio::test]
async fn a_reply_counts_by_its_code_in_whatever_letters_it_is_written() {
    let server = Server::start(Options::default()).await;
    let mailer = plain(&server);
    server.script("MESSAGE", Act::Agree(b"250 gen\xfcgt"));
    assert_eq!(send(&mailer).await.unwrap().response, "250 gen\u{fffd}gt");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn waiting_for_a_connection_of_ours_uses_up_no_timeout() {
    let server = Server::start(Options::default()).await;
    let stalled = Server::start(Options::default()).await;
    let timeout = SHORT;
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let mailer = mailer_with(&url, timeout, None);
    server.script("MESSAGE", Act::Held);
    server.script("MESSAGE", Act::Held);
    let others = async {
        server.nth(2).await;
        stalled.script("MAIL", Act::Hang);
        let url = format!("smtp://127.0.0.1:{}", stalled.port());
        summary(send(&mailer_with(&url, timeout, None)).await);
        server.release_held();
    };
    let (first, second, third, ()) = tokio::join!(send(&mailer), send(&mailer), send(&mailer), others);
    assert!(first.is_ok() && second.is_ok() && third.is_ok(), "{third:?}");
}

#[tokio::test]
async fn a_cancellation_stops_a_mail_until_the_server_has_heard_of_it() {
    let server = Server::start(Options::default()).await;
    // While it waits for a connection.
    let mailer = plain(&server);
    server.script("MESSAGE", Act::Held);
    server.script("MESSAGE", Act::Held);
    let token = CancellationToken::new();
    let third = async {
        server.nth(2).await;
        let waiting = send_unless(&mailer, &token);
        let (waiting, ()) = tokio::join!(waiting, async { token.cancel() });
        server.release_held();
        waiting
    };
    let (first, second, third) = tokio::join!(send(&mailer), send(&mailer), third);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(summary(third), transient("canceled"));
    // While it looks for somebody who answers, and while it logs in.
    for step in ["NOOP", "EHLO"] {
        let mailer = plain(&server);
        if step == "NOOP" {
            send(&mailer).await.unwrap();
        }
        let token = CancellationToken::new();
        server.script(step, Act::Hang);
        let heard = server.lines().len();
        let cancel = async {
            server.more_lines(heard).await;
            token.cancel();
        };
        let (sent, ()) = tokio::join!(send_unless(&mailer, &token), cancel);
        assert_eq!(summary(sent), transient("canceled"), "{step}");
    }
    // Too late.
    let server = Server::start(Options::default()).await;
    let (mailer, token) = (plain(&server), CancellationToken::new());
    server.script("DATA", Act::Held);
    let cancel = async {
        server.line("DATA").await;
        token.cancel();
        server.release_held();
    };
    let (sent, ()) = tokio::join!(send_unless(&mailer, &token), cancel);
    sent.unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_connection_that_was_given_up_in_between_costs_no_attempt() {
    for act in [Act::Close, Act::Reply("421 4.4.2 idle for too long")] {
        let server = Server::start(Options::default()).await;
        let mailer = plain(&server);
        send(&mailer).await.unwrap();
        server.script("MAIL", act.clone());
        send(&mailer).await.unwrap();
        assert_eq!((server.connections(), server.received().len()), (2, 2));
        // A fresh one gets no second chance.
        let fresh = plain(&server);
        server.script("MAIL", act);
        assert!(send(&fresh).await.unwrap_err().retryable);
    }
}

#[tokio::test]
async fn a_connection_that_answers_no_more_takes_the_others_with_it() {
    let server = Server::start(Options::default()).await;
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let mailer = mailer_with(&url, SHORT, None);
    let (first, second) = tokio::join!(send(&mailer), send(&mailer));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(server.connections(), 2);
    server.script("NOOP", Act::Hang);
    send(&mailer).await.unwrap();
    assert_eq!(server.connections(), 3, "the second one was asked too");
    assert_eq!(server.lines().iter().filter(|line| *line == "NOOP").count(), 1);
}
