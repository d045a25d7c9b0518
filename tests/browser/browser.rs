//! Chromium without a window, and a web server with pages of ours.

use std::path::Path;
use std::process::Stdio;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::process::PATIENCE;

/// Without a window, and without looking for anything beyond this machine.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser and its driver, which is asked by `WebDriver` (W3C). Both end when this is dropped.
///
/// Spoken by hand: the crates for it switch on features of `serde_json` that the program is built without.
pub(crate) struct Browser {
    session: String,
    client: Client,
    driver: Child,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            // The browser is in the same group, and ends with it.
            .process_group(0)
            .spawn()
            .expect("chromium-driver is installed, as scripts/test does");
        let port = number(driver.stdout.take().unwrap(), "started successfully on port ").await;
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut browser = Self { session: format!("http://127.0.0.1:{port}/session"), client, driver };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": ARGUMENTS} }}});
        let session = browser.ask("", &wanted).await;
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        browser.ask("/timeouts", &json!({"script": PATIENCE.as_millis() as u64})).await;
        browser
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}{path}", self.session)).json(body).send().await.unwrap();
        let (status, mut answer) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path} {body}: {answer:#}");
        answer["value"].take()
    }

    /// Goes to a page, and waits until it is there.
    pub(crate) async fn go(&self, url: &str) {
        self.ask("/url", &json!({ "url": url })).await;
    }

    /// Clicks on an element.
    pub(crate) async fn click(&self, id: &str) {
        let element =
            self.ask("/element", &json!({"using": "css selector", "value": format!("#{id}")})).await;
        let element = element.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.ask(&format!("/element/{element}/click"), &json!({})).await;
    }

    /// Waits until an element of the page has a text with this in it, and gives the text back.
    pub(crate) async fn text(&self, id: &str, wanted: &str) -> String {
        // The page is asked once, and answers when its own event has come.
        let script = r"
            const [id, wanted, done] = arguments;
            const element = document.getElementById(id);
            const look = () => element.textContent.includes(wanted) && (watching.disconnect(), done(element.textContent));
            const watching = new MutationObserver(look);
            watching.observe(element, { childList: true, characterData: true, subtree: true });
            look();";
        let found = self.ask("/execute/async", &json!({"script": script, "args": [id, wanted]})).await;
        found.as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(pid) = self.driver.id() {
            let group = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// A web server with the files of a folder of this repository; ends when it is dropped.
pub(crate) struct Pages {
    pub(crate) origin: String,
    _server: Child,
}

impl Pages {
    pub(crate) async fn of(folder: &str) -> Self {
        let mut server = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 is installed");
        let port = number(server.stdout.take().unwrap(), "port ").await;
        Self { origin: format!("http://127.0.0.1:{port}"), _server: server }
    }
}

/// The number behind a text, from the first line that has it. What comes later is read and dropped.
async fn number(output: impl AsyncRead + Unpin + Send + 'static, before: &str) -> u16 {
    let mut lines = BufReader::new(output).lines();
    let reading = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens");
            if let Some((_, rest)) = line.split_once(before) {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
                return digits.parse().unwrap();
            }
        }
    };
    let number = tokio::time::timeout(PATIENCE, reading).await.expect("it says where it listens");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    number
}
