//! Requests that go where the policy lets them: against real listeners.

use std::io::ErrorKind;

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::{Allow, Client, Error, MAX_REDIRECTS, Policy, Range, Received, Refused};

fn client(allow: &[&str]) -> Client {
    let allow = allow.iter().map(|text| Allow::parse(text).unwrap()).collect();
    Client::new(Policy::new("http.allow", allow, false)).unwrap()
}

/// Answers one connection with each of these texts, and gives back the heads of what was asked.
async fn answer(listener: &TcpListener, answers: &[String]) -> Vec<String> {
    let mut heads = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        heads.push(String::from_utf8(head).unwrap().to_ascii_lowercase());
    }
    heads
}

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

fn fine(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn get(client: &Client, url: &str, limit: usize, follow: bool) -> Result<Received, Error> {
    let headers = [("authorization", "Bearer x"), ("x-api-key", "y"), ("accept", "text/plain")];
    let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
    client.send(Method::GET, Url::parse(url).unwrap(), headers, None, limit, follow).await
}

fn is_untouched(listener: &std::net::TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    matches!(listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn what_leads_inside_is_not_connected_to() {
    let listeners = ["127.0.0.1:0", "[::1]:0"].map(|address| std::net::TcpListener::bind(address).unwrap());
    let client = client(&[]);
    for listener in &listeners {
        let port = listener.local_addr().unwrap().port();
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "127.255.255.254",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.1",
            "017700000001",
            "0",
            "0.0.0.0",
            "0x0",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "127.0.0.1.",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:0.0.0.0]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ] {
            let url = format!("http://{host}:{port}/");
            let error = get(&client, &url, 10, false).await.unwrap_err();
            assert!(matches!(error, Error::Refused(Refused::Range { .. })), "{url}: {error:?}");
        }
    }
    assert!(listeners.iter().all(is_untouched));
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_target() {
    let inside = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = inside.local_addr().unwrap().port();
    let outside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", outside.local_addr().unwrap());
    let client = client(&["127.0.0.1"]);
    for target in [
        format!("http://127.0.0.2:{port}/"),
        format!("//127.0.0.2:{port}/"),
        "http://[::ffff:7f00:2]/".into(),
    ] {
        let answers = [redirect(302, &target)];
        let (received, _) = tokio::join!(get(&client, &url, 10, true), answer(&outside, &answers));
        let error = received.unwrap_err();
        assert!(matches!(error, Error::Refused(Refused::Range { range: Range::Loopback, .. })), "{error:?}");
    }
    let answers = [redirect(302, "file:///etc/passwd")];
    let (received, _) = tokio::join!(get(&client, &url, 10, true), answer(&outside, &answers));
    assert!(matches!(received, Err(Error::Refused(Refused::Scheme))));
    assert!(is_untouched(&inside));
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked_and_so_far() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = client(&["127.0.0.1"]);
    let answers = [redirect(302, "/next")];
    let (received, _) = tokio::join!(get(&client, &url, 10, false), answer(&listener, &answers));
    assert_eq!(received.unwrap().status, 302);
    for (hops, arrives) in [(MAX_REDIRECTS, true), (MAX_REDIRECTS + 1, false)] {
        let mut answers = vec![redirect(307, "/next"); hops];
        if arrives {
            answers.push(fine("there"));
        }
        let (received, _) = tokio::join!(get(&client, &url, 10, true), answer(&listener, &answers));
        match received {
            Ok(received) => assert!(arrives && received.body == b"there"),
            Err(error) => assert!(!arrives && matches!(error, Error::TooManyRedirects), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn secrets_stay_with_the_host_that_they_were_meant_for() {
    let (first, second) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}/", first.local_addr().unwrap());
    let other = format!("http://{}/", second.local_addr().unwrap());
    let client = client(&["127.0.0.1"]);
    let (to_first, to_second) = ([redirect(302, &other)], [fine("")]);
    let (received, _, heads) =
        tokio::join!(get(&client, &url, 10, true), answer(&first, &to_first), answer(&second, &to_second));
    assert_eq!(received.unwrap().status, 200);
    assert!(heads[0].contains("accept: text/plain"), "{}", heads[0]);
    assert!(!heads[0].contains("authorization") && !heads[0].contains("x-api-key"), "{}", heads[0]);
}

#[tokio::test]
async fn the_body_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = client(&["127.0.0.1"]);
    for (length, fits) in [(9, true), (10, true), (11, false)] {
        let answers = [fine(&"x".repeat(length))];
        let (received, _) = tokio::join!(get(&client, &url, 10, false), answer(&listener, &answers));
        assert_eq!(received.is_ok(), fits, "{length}");
    }
}

#[tokio::test]
async fn no_error_holds_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = get(&client(&["127.0.0.1"]), &format!("http://{address}/?token=s3cret"), 10, false)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    let debug = format!("{error:?}");
    assert!(!format!("{debug} {:#}", anyhow::Error::from(error)).contains("s3cret"));
}
