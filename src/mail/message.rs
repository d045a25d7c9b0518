//! A mail that passed every check, and the bytes that it turns into.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as FilePart, Body as Encoded, Mailbox, MultiPart, SinglePart};

use crate::job::{Fault, JobId, Timestamp};

/// How many recipients a mail may have: to, cc and bcc together.
pub const MAX_RECIPIENTS: usize = 50;
/// How long a subject may be, in characters.
pub const MAX_SUBJECT_CHARS: usize = 500;
/// How long the name of an attached file may be, in characters.
const MAX_FILE_NAME_CHARS: usize = 255;

/// How long a content type may be, in bytes.
const MAX_CONTENT_TYPE_BYTES: usize = 255;

/// What somebody wants to send. [`Mail::new`] checks it.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Who it is for.
    pub to: Vec<Mailbox>,
    /// Who else gets it, for all to see.
    pub cc: Vec<Mailbox>,
    /// Who else gets it, for nobody to see.
    pub bcc: Vec<Mailbox>,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// One line.
    pub subject: String,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
    /// Files that come with it.
    pub attachments: Vec<Attachment>,
    /// Whether no person wrote it, so that no machine answers it (RFC 3834 §5).
    pub auto_submitted: bool,
}

/// A file that comes with a mail.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// What it is called: 1 to 255 characters, without path separators.
    pub filename: String,
    /// What it is: `application/pdf`. Not `multipart/…` and not `message/…`.
    pub content_type: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// A mail that can be sent.
#[derive(Clone, Debug)]
pub struct Mail {
    from: Mailbox,
    date: Timestamp,
    draft: Draft,
}

impl Mail {
    /// Checks a draft. `date` is when the job was first due, so that a retry writes the same date.
    ///
    /// # Errors
    ///
    /// Every fault at once, with pointers into the payload of an `email` job.
    pub fn new(from: Mailbox, date: Timestamp, mut draft: Draft) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let recipients = draft.to.len() + draft.cc.len() + draft.bcc.len();
        if recipients == 0 {
            faults.push(Fault::new("/to", "at least one recipient is required, in to, cc or bcc"));
        } else if recipients > MAX_RECIPIENTS {
            faults.push(Fault::new(
                "/to",
                format!("at most {MAX_RECIPIENTS} recipients, in to, cc and bcc together"),
            ));
        }
        if let Some(reason) = check_subject(&draft.subject) {
            faults.push(Fault::new("/subject", reason));
        }
        if draft.text.is_none() && draft.html.is_none() {
            faults.push(Fault::new("/text", "a body is required, in text or html"));
        }
        for (index, attachment) in draft.attachments.iter().enumerate() {
            if let Some(reason) = check_file_name(&attachment.filename) {
                faults.push(Fault::new(format!("/attachments/{index}/filename"), reason));
            }
            if let Err(reason) = parse_content_type(&attachment.content_type) {
                faults.push(Fault::new(format!("/attachments/{index}/content_type"), reason));
            }
        }
        draft.text = draft.text.map(|text| plain_line_ends(&text));
        draft.html = draft.html.map(|html| plain_line_ends(&html));
        if faults.is_empty() { Ok(Self { from, date, draft }) } else { Err(faults) }
    }

    /// Who sends it.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// What is sent.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Every recipient once, in the order of to, cc, bcc.
    pub fn recipients(&self) -> Vec<&lettre::Address> {
        let mut seen = HashSet::new();
        let all = [&self.draft.to, &self.draft.cc, &self.draft.bcc].into_iter().flatten();
        all.map(|mailbox| &mailbox.email).filter(|address| seen.insert(*address)).collect()
    }

    /// What the far side can recognise a repeat by: the same for every attempt of a job.
    pub fn message_id(&self, job: JobId) -> String {
        format!("<{job}@{}>", self.from.email.domain())
    }

    /// The message as it leaves. The same mail and job give the same bytes.
    pub(super) fn to_message(&self, job: JobId) -> Result<Message, lettre::error::Error> {
        let draft = &self.draft;
        let millis = Duration::from_millis(self.date.as_millis().unsigned_abs());
        let to = self.recipients().into_iter().cloned().collect();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .date(UNIX_EPOCH + millis)
            .message_id(Some(self.message_id(job)))
            .subject(draft.subject.clone())
            // Bcc is in the envelope alone and never becomes a header.
            .envelope(Envelope::new(Some(self.from.email.clone()), to)?);
        builder = draft.to.iter().cloned().fold(builder, lettre::message::MessageBuilder::to);
        builder = draft.cc.iter().cloned().fold(builder, lettre::message::MessageBuilder::cc);
        builder = draft.reply_to.iter().cloned().fold(builder, lettre::message::MessageBuilder::reply_to);
        if draft.auto_submitted {
            let name = HeaderName::new_from_ascii_str("Auto-Submitted");
            builder = builder.raw_header(HeaderValue::new(name, "auto-generated".to_owned()));
        }
        if draft.attachments.is_empty() {
            return match self.body(job) {
                Body::Single(part) => builder.singlepart(part),
                Body::Both(parts) => builder.multipart(parts),
            };
        }
        let mixed = MultiPart::mixed().boundary(boundary(job, "mixed"));
        let mixed = match self.body(job) {
            Body::Single(part) => mixed.singlepart(part),
            Body::Both(parts) => mixed.multipart(parts),
        };
        let file = |file: &Attachment| {
            // Checked when the mail was made.
            let content_type = parse_content_type(&file.content_type).unwrap_or(ContentType::TEXT_PLAIN);
            // Left to choose, lettre writes a file of ASCII as it is: its bare line ends and lone dots would reach the server.
            let content = Encoded::new_with_encoding(file.content.clone(), ContentTransferEncoding::Base64);
            // Base64 fits everything: there is no other side.
            FilePart::new(file.filename.clone()).body(content.unwrap_or_else(Encoded::new), content_type)
        };
        builder.multipart(draft.attachments.iter().map(file).fold(mixed, MultiPart::singlepart))
    }

    fn body(&self, job: JobId) -> Body {
        match (&self.draft.text, &self.draft.html) {
            (Some(text), Some(html)) => Body::Both(
                MultiPart::alternative()
                    .boundary(boundary(job, "alternative"))
                    .singlepart(SinglePart::plain(text.clone()))
                    .singlepart(SinglePart::html(html.clone())),
            ),
            (None, Some(html)) => Body::Single(SinglePart::html(html.clone())),
            (text, None) => Body::Single(SinglePart::plain(text.clone().unwrap_or_default())),
        }
    }
}

enum Body {
    Single(SinglePart),
    Both(MultiPart),
}

/// A boundary that is the same in every attempt and, being 128 bits of id, in no body by accident.
fn boundary(job: JobId, of: &str) -> String {
    format!("=_{}_{of}", job.as_uuid().simple())
}

/// Says what is wrong with a subject, if anything is.
pub(crate) fn check_subject(subject: &str) -> Option<String> {
    if subject.chars().any(char::is_control) {
        return Some("must be one line without control characters".to_owned());
    }
    match subject.trim().is_empty() {
        true => Some("must not be empty".to_owned()),
        false if subject.chars().count() > MAX_SUBJECT_CHARS => {
            Some(format!("must be at most {MAX_SUBJECT_CHARS} characters"))
        }
        false => None,
    }
}

/// Says what is wrong with the name of an attached file, if anything is.
pub(crate) fn check_file_name(name: &str) -> Option<String> {
    if name.trim().is_empty() || name.chars().count() > MAX_FILE_NAME_CHARS {
        return Some(format!("must be 1 to {MAX_FILE_NAME_CHARS} characters"));
    }
    if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        return Some("must not contain control characters or path separators".to_owned());
    }
    None
}

/// A body whose lines end in line feeds alone, which become CRLF on their way, and without NUL. A carriage return of its own
/// would end a line, or the whole message, for some servers and not for others (RFC 5321 §2.3.8).
fn plain_line_ends(body: &str) -> String {
    body.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

/// Reads the content type of an attached file.
pub(crate) fn parse_content_type(text: &str) -> Result<ContentType, &'static str> {
    if text.len() > MAX_CONTENT_TYPE_BYTES {
        return Err("must be at most 255 bytes");
    }
    let parsed = ContentType::parse(text).map_err(|_| "must be a media type, such as application/pdf")?;
    // RFC 2045 §6.4 and RFC 2046 §5.2: these must not be encoded, and a file must be.
    let lower = text.trim_start().to_ascii_lowercase();
    if lower.starts_with("multipart/") || lower.starts_with("message/") {
        return Err("must not be multipart or message; application/octet-stream carries anything");
    }
    Ok(parsed)
}

/// The headers of a message, one line each, as they stand there.
pub(super) fn header_lines(raw: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(raw);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    // A line that begins with white space goes on with the one before (RFC 5322 §2.2.3).
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::parse_mailbox;

    fn mailbox(text: &str) -> Mailbox {
        parse_mailbox(text).unwrap()
    }

    fn draft() -> Draft {
        Draft {
            to: vec![mailbox("ada@example.com")],
            subject: "s".into(),
            text: Some("t".into()),
            ..Draft::default()
        }
    }

    fn pointers(draft: Draft) -> Vec<String> {
        let mail = Mail::new(mailbox("shop@example.com"), Timestamp::from_millis(0), draft);
        mail.err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
    }

    fn formatted(draft: Draft) -> String {
        let mail = Mail::new(mailbox("shop@example.com"), Timestamp::from_millis(0), draft).unwrap();
        String::from_utf8(mail.to_message(JobId::MIN).unwrap().formatted()).unwrap()
    }

    #[test]
    fn recipients_are_limited_together() {
        let many = |n| vec![mailbox("ada@example.com"); n];
        for (to, cc, bcc, faults) in [(1, 0, 0, 0), (0, 0, 1, 0), (48, 1, 1, 0), (49, 1, 1, 1), (0, 0, 0, 1)]
        {
            let draft = Draft { to: many(to), cc: many(cc), bcc: many(bcc), ..draft() };
            assert_eq!(pointers(draft).len(), faults, "{to} {cc} {bcc}");
        }
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let file = |name: &str, kind: &str| Attachment {
            filename: name.into(),
            content_type: kind.into(),
            content: Vec::new(),
        };
        let bad = Draft {
            subject: "a\r\nBcc: eve@example.com".into(),
            attachments: vec![
                file("ok.txt", "text/plain"),
                file("../etc", "no type"),
                file("x", "multipart/mixed"),
                file("x.eml", "Message/RFC822"),
            ],
            ..Draft::default()
        };
        let expected = [
            "/to",
            "/subject",
            "/text",
            "/attachments/1/filename",
            "/attachments/1/content_type",
            "/attachments/2/content_type",
            "/attachments/3/content_type",
        ];
        assert_eq!(pointers(bad), expected);
    }

    #[test]
    fn subjects_and_file_names_have_limits() {
        assert_eq!(check_subject(&"ä".repeat(MAX_SUBJECT_CHARS)), None);
        assert!(check_subject(&"ä".repeat(MAX_SUBJECT_CHARS + 1)).is_some());
        assert!(
            check_subject(" ").is_some()
                && check_subject("a\tb").is_some()
                && check_subject("a\nb").is_some()
        );
        assert!(parse_content_type(&format!("a/{}", "b".repeat(253))).is_ok());
        assert!(parse_content_type(&format!("a/{}", "b".repeat(254))).is_err());
        assert_eq!(check_file_name(&"ä".repeat(MAX_FILE_NAME_CHARS)), None);
        assert!(check_file_name(&"ä".repeat(MAX_FILE_NAME_CHARS + 1)).is_some());
        for bad in ["", " ", "a/b", "a\\b", "a\r\nX: y", "a\0"] {
            assert!(check_file_name(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn the_shape_follows_the_bodies() {
        let kind = |draft: Draft| {
            let headers = header_lines(formatted(draft).as_bytes());
            let kind = headers.into_iter().find(|(name, _)| name == "Content-Type").unwrap().1;
            kind.split(';').next().unwrap().to_owned()
        };
        let html = Some("<p>t</p>".to_owned());
        let attachments =
            vec![Attachment { filename: "a".into(), content_type: "text/csv".into(), content: vec![1] }];
        assert_eq!(kind(draft()), "text/plain");
        assert_eq!(kind(Draft { text: None, html: html.clone(), ..draft() }), "text/html");
        assert_eq!(kind(Draft { html: html.clone(), ..draft() }), "multipart/alternative");
        assert_eq!(kind(Draft { attachments: attachments.clone(), ..draft() }), "multipart/mixed");
        let all = Draft { html, attachments, ..draft() };
        assert!(formatted(all.clone()).contains("multipart/alternative"));
        assert_eq!(formatted(all.clone()), formatted(all), "two attempts must write the same bytes");
    }

    #[test]
    fn headers_are_the_ones_that_were_asked_for() {
        let bytes = formatted(Draft {
            bcc: vec![mailbox("eve@example.com")],
            auto_submitted: true,
            subject: "Grüße ".repeat(30),
            ..draft()
        });
        assert!(!bytes.contains("eve@"));
        let headers = header_lines(bytes.as_bytes());
        let get =
            |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        assert_eq!(get("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(get("Message-ID"), Some("<00000000-0000-0000-0000-000000000000@example.com>"));
        assert_eq!(get("Date"), Some("Thu, 01 Jan 1970 00:00:00 +0000"));
        assert!(get("Subject").unwrap().starts_with("=?utf-8?"));
        let without = formatted(draft());
        assert!(!without.contains("Auto-Submitted"));
    }
}
