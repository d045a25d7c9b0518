//! Sends mails.

use serde_json::json;

use super::{Email, about};
use crate::handler::{About, Context, Failure, Handler, Outcome};
use crate::job::{Fault, LogLevel};
use crate::mail::{Mailer, SendError, mask};

/// How many recipients a log line names; the others are counted.
const NAMED: usize = 5;

/// Runs `email` jobs. The result is `{"message_id", "accepted", "response"}`.
///
/// A cancellation stops a mail until the server has heard of it: half way through, whether the server took it would never
/// be known, and every step of the conversation has its own timeout.
pub struct EmailHandler {
    /// How mails leave.
    pub mailer: Mailer,
}

impl Handler for EmailHandler {
    type Input = Email;

    fn about(&self) -> About {
        about::email()
    }

    fn check(&self, input: &Email) -> Vec<Fault> {
        input.parse(self.mailer.templates()).err().unwrap_or_default()
    }

    async fn run(&self, input: Email, cx: &Context) -> Result<Outcome, Failure> {
        // The payload was checked when it was submitted; a template can have changed since.
        let draft =
            input.parse(self.mailer.templates()).map_err(|faults| Failure::invalid_payload(&faults))?;
        let mail =
            self.mailer.compose(cx.run_at(), draft).map_err(|faults| Failure::invalid_payload(&faults))?;
        if cx.is_canceled() {
            return Err(Failure::transient("canceled", "canceled before the mail was sent"));
        }
        let names: Vec<String> =
            mail.recipients().into_iter().take(NAMED).map(|a| mask(a.as_ref())).collect();
        let more = mail.recipients().len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        cx.log(LogLevel::Info, &format!("sending to {}{more}", names.join(", "))).await;
        match self.mailer.send(cx.job_id(), &mail, cx.cancellation()).await {
            Ok(sent) => {
                cx.log(LogLevel::Info, &format!("taken as {}", sent.message_id)).await;
                let result = json!({"message_id": sent.message_id, "accepted": sent.accepted, "response": sent.response});
                Ok(Outcome::json(&result)?)
            }
            Err(error) => {
                cx.log(LogLevel::Warn, &format!("not taken: {error}")).await;
                Err(failure(error))
            }
        }
    }
}

fn failure(SendError { code, message, retryable }: SendError) -> Failure {
    if retryable { Failure::transient(code, message) } else { Failure::permanent(code, message) }
}
