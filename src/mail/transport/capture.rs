//! Keeps mails in memory, so that a developer sees them and nobody else gets them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Clock;
use crate::job::{JobId, Timestamp};
use crate::mail::message::header_lines;
use crate::mail::{Mail, MailFault, SendError};

/// What a mail takes beside its texts, in bytes: a generous guess.
const OVERHEAD: usize = 1_024;

/// What a text in a list takes beside its letters, in bytes.
const ENTRY: usize = 32;

/// The last mails that would have been sent, bounded by count and bytes; the oldest leaves first. Cheap to clone.
#[derive(Clone)]
pub struct Captured(Arc<Inner>);

struct Inner {
    max_messages: usize,
    max_bytes: usize,
    clock: Clock,
    // A std mutex: it is held for a few pointer moves and never over an await.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    mails: VecDeque<Arc<CapturedMail>>,
    bytes: usize,
}

/// A mail that was captured, as `GET /api/mail/{id}` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct CapturedMail {
    /// What lists show.
    #[serde(flatten)]
    pub summary: CapturedSummary,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
    /// Every header of the message; a string, or an array where a name is there more than once.
    pub headers: BTreeMap<String, Value>,
    /// The message as it would have left (`message/rfc822`).
    #[serde(skip)]
    pub raw: Bytes,
    #[serde(skip)]
    cost: usize,
}

/// A captured mail without its content, as `GET /api/mail` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct CapturedSummary {
    /// Its name here.
    pub id: Uuid,
    /// The job that sent it.
    pub job: JobId,
    /// When it was sent.
    pub at: Timestamp,
    /// Who sent it.
    pub from: String,
    /// Who it is for.
    pub to: Vec<String>,
    /// Who else gets it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// Who else gets it without the others knowing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<String>,
    /// One line.
    pub subject: String,
    /// What came with it.
    pub attachments: Vec<CapturedAttachment>,
}

/// A file of a captured mail, without its content.
#[derive(Clone, Debug, Serialize)]
pub struct CapturedAttachment {
    /// What it is called.
    pub filename: String,
    /// What it is.
    pub content_type: String,
    /// How long it is, in bytes.
    pub size: usize,
}

impl Captured {
    pub(super) fn new(max_messages: usize, max_bytes: usize, clock: Clock) -> Result<Self, Vec<MailFault>> {
        let limits = [("mail.capture_messages", max_messages), ("mail.capture_bytes", max_bytes)];
        let zero = limits.into_iter().filter(|(_, limit)| *limit == 0);
        let faults: Vec<_> = zero.map(|(key, _)| MailFault::new(key, "must be at least 1")).collect();
        if faults.is_empty() {
            Ok(Self(Arc::new(Inner { max_messages, max_bytes, clock, kept: Mutex::default() })))
        } else {
            Err(faults)
        }
    }

    pub(super) fn keep(&self, job: JobId, mail: &Mail, raw: Vec<u8>) -> Result<String, SendError> {
        let at = self.0.clock.now();
        let id = *self.0.clock.job_id(at).as_uuid();
        let mail = CapturedMail::new(id, job, at, mail, raw);
        if mail.cost > self.0.max_bytes {
            return Err(SendError {
                code: "mail-too-large".into(),
                message: format!(
                    "the mail takes {} bytes, and mail.capture_bytes is {}",
                    mail.cost, self.0.max_bytes
                ),
                retryable: false,
            });
        }
        let mut kept = self.lock();
        while kept.mails.len() >= self.0.max_messages || kept.bytes + mail.cost > self.0.max_bytes {
            // Cannot run dry: an empty list has room for this mail.
            let Some(oldest) = kept.mails.pop_front() else {
                break;
            };
            kept.bytes -= oldest.cost;
        }
        kept.bytes += mail.cost;
        kept.mails.push_back(Arc::new(mail));
        Ok(format!("250 captured as {id}"))
    }

    /// Every mail that is kept, newest first.
    pub fn list(&self) -> Vec<Arc<CapturedMail>> {
        self.lock().mails.iter().rev().cloned().collect()
    }

    /// The mail of this id, if it is still kept.
    pub fn get(&self, id: Uuid) -> Option<Arc<CapturedMail>> {
        self.lock().mails.iter().find(|mail| mail.summary.id == id).cloned()
    }

    /// The message of this id as it would have left (`message/rfc822`).
    pub fn raw(&self, id: Uuid) -> Option<Bytes> {
        self.get(id).map(|mail| mail.raw.clone())
    }

    /// Forgets every mail; says how many there were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.lock()).mails.len()
    }

    /// How many bytes they may take.
    pub fn max_bytes(&self) -> usize {
        self.0.max_bytes
    }

    /// How many bytes the mails take that are kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CapturedMail {
    fn new(id: Uuid, job: JobId, at: Timestamp, mail: &Mail, raw: Vec<u8>) -> Self {
        let draft = mail.draft();
        let names = |list: &[lettre::message::Mailbox]| list.iter().map(ToString::to_string).collect();
        let attachment = |file: &crate::mail::Attachment| CapturedAttachment {
            filename: file.filename.clone(),
            content_type: file.content_type.clone(),
            size: file.content.len(),
        };
        let mut headers = BTreeMap::new();
        for (name, value) in header_lines(&raw) {
            add(&mut headers, name, value);
        }
        let mut mail = Self {
            summary: CapturedSummary {
                id,
                job,
                at,
                from: mail.from().to_string(),
                to: names(&draft.to),
                cc: names(&draft.cc),
                bcc: names(&draft.bcc),
                subject: draft.subject.clone(),
                attachments: draft.attachments.iter().map(attachment).collect(),
            },
            text: draft.text.clone(),
            html: draft.html.clone(),
            headers,
            raw: raw.into(),
            cost: 0,
        };
        mail.cost = mail.size();
        mail
    }

    /// What it takes, in bytes: each text, and for each entry of a list a guess of what surrounds it.
    fn size(&self) -> usize {
        let summary = &self.summary;
        let texts = [self.text.as_ref(), self.html.as_ref(), Some(&summary.subject), Some(&summary.from)];
        let addresses = [&summary.to, &summary.cc, &summary.bcc].into_iter().flatten();
        let header = |(name, value): (&String, &Value)| {
            let values = match value {
                Value::Array(values) => values.iter().map(|value| ENTRY + text_len(value)).sum(),
                value => text_len(value),
            };
            2 * ENTRY + name.len() + values
        };
        let file = |file: &CapturedAttachment| 2 * ENTRY + file.filename.len() + file.content_type.len();
        OVERHEAD
            + self.raw.len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + addresses.map(|address| ENTRY + address.len()).sum::<usize>()
            + self.headers.iter().map(header).sum::<usize>()
            + summary.attachments.iter().map(file).sum::<usize>()
    }
}

fn text_len(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

fn add(headers: &mut BTreeMap<String, Value>, name: String, value: String) {
    match headers.get_mut(&name) {
        None => {
            headers.insert(name, Value::String(value));
        }
        Some(Value::Array(values)) => values.push(Value::String(value)),
        Some(first) => *first = Value::Array(vec![first.take(), Value::String(value)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Attachment, Draft, parse_mailbox};

    fn mail(subject: &str) -> Mail {
        let draft = Draft {
            to: vec![parse_mailbox("Ada <ada@example.com>").unwrap()],
            bcc: vec![parse_mailbox("eve@example.com").unwrap()],
            subject: subject.into(),
            text: Some("t".into()),
            html: Some("<p>t</p>".into()),
            attachments: vec![Attachment {
                filename: "a.csv".into(),
                content_type: "text/csv".into(),
                content: b"1;2".to_vec(),
            }],
            ..Draft::default()
        };
        Mail::new(parse_mailbox("shop@example.com").unwrap(), Timestamp::from_millis(0), draft).unwrap()
    }

    fn keep(captured: &Captured, subject: &str) -> Result<String, SendError> {
        let mail = mail(subject);
        captured.keep(JobId::MIN, &mail, mail.to_message(JobId::MIN).unwrap().formatted())
    }

    fn subjects(captured: &Captured) -> Vec<String> {
        captured.list().iter().map(|mail| mail.summary.subject.clone()).collect()
    }

    /// What one mail with a subject of one letter takes.
    fn cost() -> usize {
        let captured = Captured::new(1, usize::MAX, Clock::system()).unwrap();
        keep(&captured, "a").unwrap();
        captured.bytes()
    }

    #[test]
    fn the_oldest_leaves_first() {
        let captured = Captured::new(2, usize::MAX, Clock::system()).unwrap();
        for subject in ["a", "b", "c"] {
            keep(&captured, subject).unwrap();
        }
        assert_eq!(subjects(&captured), ["c", "b"]);
        let captured = Captured::new(9, 2 * cost(), Clock::system()).unwrap();
        for subject in ["a", "b", "c"] {
            keep(&captured, subject).unwrap();
        }
        assert_eq!(subjects(&captured), ["c", "b"]);
        assert_eq!(captured.bytes(), 2 * cost());
        assert_eq!(captured.clear(), 2);
        assert_eq!((captured.bytes(), captured.list().len()), (0, 0));
    }

    #[test]
    fn a_mail_larger_than_the_budget_is_refused_and_pushes_nothing_out() {
        let captured = Captured::new(9, cost(), Clock::system()).unwrap();
        keep(&captured, "a").unwrap();
        let error = keep(&captured, "ab").unwrap_err();
        assert_eq!((&*error.code, error.retryable), ("mail-too-large", false));
        assert_eq!(subjects(&captured), ["a"]);
    }

    #[test]
    fn everything_that_is_kept_is_counted() {
        let cost = |change: &dyn Fn(&mut Draft)| {
            let mut draft = mail("a").draft().clone();
            draft.attachments[0].content.clear();
            change(&mut draft);
            let from = parse_mailbox("shop@example.com").unwrap();
            let mail = Mail::new(from, Timestamp::from_millis(0), draft).unwrap();
            let raw = mail.to_message(JobId::MIN).unwrap().formatted();
            let length = raw.len();
            let captured = Captured::new(1, usize::MAX, Clock::system()).unwrap();
            captured.keep(JobId::MIN, &mail, raw).unwrap();
            captured.bytes() - length
        };
        let plain = cost(&|_| ());
        let many = cost(&|draft| draft.bcc = vec![draft.bcc[0].clone(); 49]);
        assert!(many >= plain + 48 * "eve@example.com".len(), "{many} {plain}");
        let named = cost(&|draft| draft.attachments[0].filename = "n".repeat(200));
        assert!(named >= plain + 195, "{named} {plain}");
        let named =
            cost(&|draft| draft.cc = vec![parse_mailbox(&format!("{} <a@b.c>", "n".repeat(200))).unwrap()]);
        assert!(named >= plain + 400, "the header and the list: {named} {plain}");
    }

    #[test]
    fn a_captured_mail_has_the_form_of_the_contract() {
        let captured = Captured::new(1, usize::MAX, Clock::system()).unwrap();
        keep(&captured, "Grüße").unwrap();
        let kept = captured.list().remove(0);
        let json = serde_json::to_value(&*kept).unwrap();
        assert_eq!(json["id"], kept.summary.id.to_string());
        assert_eq!(json["job"], JobId::MIN.to_string());
        assert_eq!(json["from"], "shop@example.com");
        assert_eq!(json["to"], serde_json::json!(["Ada <ada@example.com>"]));
        assert_eq!(json["bcc"], serde_json::json!(["eve@example.com"]));
        assert_eq!(
            (&json["subject"], &json["text"], &json["html"]),
            (&"Grüße".into(), &"t".into(), &"<p>t</p>".into())
        );
        assert_eq!(json["headers"]["From"], "shop@example.com");
        assert_eq!(json["headers"].get("Bcc"), None);
        let attachment = serde_json::json!([{"filename": "a.csv", "content_type": "text/csv", "size": 3}]);
        assert_eq!(json["attachments"], attachment);
        assert!(json.get("cc").is_none() && json.get("raw").is_none() && json.get("cost").is_none());
        let list = serde_json::to_value(&kept.summary).unwrap();
        assert!(["text", "html", "headers"].iter().all(|member| list.get(member).is_none()));
        assert!(captured.raw(kept.summary.id).unwrap().starts_with(b"From: "));
        assert!(captured.get(Uuid::nil()).is_none());
    }

    #[test]
    fn limits_are_positive_and_repeated_headers_a_list() {
        assert_eq!(Captured::new(0, 0, Clock::system()).err().unwrap().len(), 2);
        let mut headers = BTreeMap::new();
        for value in ["a", "b", "c"] {
            add(&mut headers, "X".into(), value.into());
        }
        assert_eq!(headers["X"], serde_json::json!(["a", "b", "c"]));
    }
}
