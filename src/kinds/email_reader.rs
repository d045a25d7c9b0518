//! Reads the members of an `email` payload, one by one, and notes everything that is wrong with them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::message::Mailbox;
use serde_json::{Map, Value};

use crate::job::Fault;
use crate::mail::{
    Attachment, Draft, MAX_RECIPIENTS, Templates, check_file_name, check_subject, parse_content_type,
    parse_mailbox,
};

/// How many faults are told at once: a person reads fewer, and a payload can have a million.
const MAX_FAULTS: usize = 100;

/// How many files a mail may have.
const MAX_ATTACHMENTS: usize = 50;

/// Every member that the payload may have.
const MEMBERS: [&str; 11] =
    ["to", "cc", "bcc", "reply_to", "template", "data", "locale", "subject", "text", "html", "attachments"];

/// The members of an attachment, all of them needed.
const ATTACHMENT_MEMBERS: [&str; 3] = ["filename", "content_type", "content_base64"];

/// Takes members out of the payload and notes what is wrong with them.
pub(super) struct Reader<'a> {
    members: &'a Map<String, Value>,
    faults: Vec<Fault>,
    /// Whether there were more.
    more: bool,
    /// How many recipients are looked at from here on.
    recipients: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Self {
        Self { members, faults: Vec::new(), more: false, recipients: MAX_RECIPIENTS }
    }

    /// Reads everything; at most [`MAX_FAULTS`] faults are kept.
    pub(super) fn read(mut self, templates: &Templates) -> Result<Draft, Vec<Fault>> {
        self.refuse_unknown();
        let mut draft = self.addressed();
        self.content(templates, &mut draft);
        draft.attachments = self.attachments();
        match self.faults.last_mut() {
            None => return Ok(draft),
            Some(last) if self.more => last.detail.push_str("; and more is wrong"),
            Some(_) => {}
        }
        Err(self.faults)
    }

    fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault::new(pointer, detail));
        } else {
            self.more = true;
        }
    }

    /// A member; `null` counts as missing.
    fn get(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    fn text(&mut self, member: &str) -> Option<&'a str> {
        let value = self.get(member)?;
        if value.as_str().is_none() {
            self.fault(format!("/{member}"), "must be a string");
        }
        value.as_str()
    }

    fn refuse_unknown(&mut self) {
        for member in self.members.keys().filter(|member| !MEMBERS.contains(&member.as_str())) {
            self.fault(
                format!("/{}", Fault::escape(member)),
                format!("is not one of {}", MEMBERS.join(", ")),
            );
        }
    }

    fn addressed(&mut self) -> Draft {
        let to = self.addresses("to");
        let cc = self.addresses("cc");
        let bcc = self.addresses("bcc");
        let given: usize =
            ["to", "cc", "bcc"].into_iter().filter_map(|member| self.get(member)).map(count).sum();
        if given == 0 {
            self.fault("/to", "at least one recipient is required, in to, cc or bcc");
        } else if given > MAX_RECIPIENTS {
            self.fault("/to", format!("at most {MAX_RECIPIENTS} recipients, in to, cc and bcc together"));
        }
        let reply_to = self.text("reply_to").and_then(|text| self.address("/reply_to", text));
        Draft { to, cc, bcc, reply_to, ..Draft::default() }
    }

    fn addresses(&mut self, member: &str) -> Vec<Mailbox> {
        let pointer = format!("/{member}");
        match self.get(member) {
            None => Vec::new(),
            Some(Value::String(text)) => self.address(&pointer, text).into_iter().collect(),
            Some(Value::Array(list)) => {
                // Beyond the limit the list is refused anyway; a fault for each of a thousand would help nobody.
                let list = list.iter().take(self.recipients).enumerate();
                self.recipients -= list.len();
                let read = list.filter_map(|(index, value)| {
                    let pointer = format!("{pointer}/{index}");
                    if let Some(text) = value.as_str() {
                        self.address(&pointer, text)
                    } else {
                        self.fault(pointer, "must be a string");
                        None
                    }
                });
                read.collect()
            }
            Some(_) => {
                self.fault(pointer, "must be an address or a list of addresses");
                Vec::new()
            }
        }
    }

    fn address(&mut self, pointer: &str, text: &str) -> Option<Mailbox> {
        parse_mailbox(text).map_err(|reason| self.fault(pointer, reason)).ok()
    }

    fn content(&mut self, templates: &Templates, draft: &mut Draft) {
        let written = ["subject", "text", "html"].into_iter().filter(|member| self.get(member).is_some());
        let written: Vec<_> = written.collect();
        if self.get("template").is_none() {
            for member in ["data", "locale"] {
                if self.get(member).is_some() {
                    self.fault(format!("/{member}"), "goes with a template only");
                }
            }
            if written.is_empty() {
                self.fault("/template", "either template, or subject with text or html, is required");
            } else {
                self.written(draft);
            }
            return;
        }
        for member in written {
            self.fault(format!("/{member}"), "does not go with a template");
        }
        self.rendered(templates, draft);
    }

    fn written(&mut self, draft: &mut Draft) {
        if self.get("subject").is_none() {
            self.fault("/subject", "is required");
        } else if let Some(subject) = self.text("subject") {
            if let Some(reason) = check_subject(subject) {
                self.fault("/subject", reason);
            }
            subject.clone_into(&mut draft.subject);
        }
        draft.text = self.text("text").filter(|text| !text.is_empty()).map(str::to_owned);
        draft.html = self.text("html").filter(|html| !html.is_empty()).map(str::to_owned);
        let bodies = ["text", "html"].into_iter().filter_map(|member| self.get(member));
        if !bodies.into_iter().any(|body| body.as_str() != Some("")) {
            self.fault("/text", "a body is required, in text or html");
        }
    }

    fn rendered(&mut self, templates: &Templates, draft: &mut Draft) {
        let name = self.text("template");
        let locale = self.text("locale");
        let Some(name) = name else { return };
        let none = Value::Object(Map::new());
        let data = self.get("data").unwrap_or(&none);
        match templates.examine(name, locale, data) {
            Ok(rendered) => {
                draft.subject = rendered.subject;
                draft.text = rendered.text;
                draft.html = rendered.html;
                // The notice of a job: no person asked for it at that moment, and no machine should answer it.
                draft.auto_submitted = name == "job_finished";
            }
            Err(faults) => faults.into_iter().for_each(|fault| self.fault(fault.pointer, fault.detail)),
        }
    }

    fn attachments(&mut self) -> Vec<Attachment> {
        match self.get("attachments") {
            None => Vec::new(),
            Some(Value::Array(files)) => {
                if files.len() > MAX_ATTACHMENTS {
                    self.fault("/attachments", format!("at most {MAX_ATTACHMENTS} files"));
                }
                let files = files.iter().take(MAX_ATTACHMENTS).enumerate();
                files.filter_map(|(index, file)| self.attachment(index, file)).collect()
            }
            Some(_) => {
                self.fault("/attachments", "must be a list");
                Vec::new()
            }
        }
    }

    fn attachment(&mut self, index: usize, file: &Value) -> Option<Attachment> {
        let at = format!("/attachments/{index}");
        let Value::Object(members) = file else {
            self.fault(at, "must be an object");
            return None;
        };
        for member in members.keys().filter(|member| !ATTACHMENT_MEMBERS.contains(&member.as_str())) {
            let detail = format!("is not one of {}", ATTACHMENT_MEMBERS.join(", "));
            self.fault(format!("{at}/{}", Fault::escape(member)), detail);
        }
        let [filename, content_type, content] = ATTACHMENT_MEMBERS.map(|member| {
            let value = members.get(member).filter(|value| !value.is_null());
            let reason = if value.is_none() { "is required" } else { "must be a string" };
            value.and_then(Value::as_str).ok_or_else(|| self.fault(format!("{at}/{member}"), reason)).ok()
        });
        if let Some(reason) = filename.and_then(check_file_name) {
            self.fault(format!("{at}/filename"), reason);
        }
        if let Some(Err(reason)) = content_type.map(parse_content_type) {
            self.fault(format!("{at}/content_type"), reason);
        }
        let content = content?;
        let content = BASE64_STANDARD.decode(content).map_err(|_| {
            self.fault(format!("{at}/content_base64"), "must be standard base64 with padding");
        });
        Some(Attachment {
            filename: filename?.to_owned(),
            content_type: content_type?.to_owned(),
            content: content.ok()?,
        })
    }
}

/// How many recipients a member names, readable or not.
fn count(value: &Value) -> usize {
    value.as_array().map_or(1, Vec::len)
}
