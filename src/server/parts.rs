//! From the configuration to the parts that are put together.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Command, Config, MailTransport};
use crate::handler::Registry;
use crate::jobs::{Jobs, Limits, QueueSettings};
use crate::kinds::{CommandHandler, CommandSettings};
use crate::mail;
use crate::queue::{MemoryQueue, Queue};
use crate::store::{MemoryStore, Retention, Store};

/// The service over memory backends.
pub(super) fn service(config: &Config, clock: Clock, registry: Registry) -> Jobs {
    let retention = Retention {
        completed: config.retention.completed,
        dead_lettered: config.retention.dead_lettered,
        max_finished: config.retention.max_finished,
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(config.queues.keys().cloned(), retention));
    let queues = config.queues.iter().map(|(name, queue)| {
        let settings = QueueSettings {
            capacity: queue.capacity,
            concurrency: queue.concurrency,
            enqueue_wait: queue.enqueue_wait,
        };
        (name.clone(), Arc::new(MemoryQueue::new(queue.capacity)) as Arc<dyn Queue>, settings)
    });
    let limits =
        Limits { payload: config.limits.payload, result: config.limits.result, batch: config.limits.batch };
    Jobs::new(clock, Arc::new(registry), store, queues, limits)
}

/// What runs a kind that is made of a program.
///
/// # Errors
///
/// Why the program cannot be found.
pub(super) fn command_handler(
    config: &Config,
    kind: &str,
    command: &Command,
) -> Result<CommandHandler, String> {
    Ok(CommandHandler::new(CommandSettings {
        program: command.program()?,
        arguments: command.command.iter().skip(1).cloned().collect(),
        folder: command.folder.clone(),
        env: command.variables(),
        result_type: command.result_type.clone(),
        retry_on_exit: command.retry_on_exit,
        result_limit: config.limits.result,
        cancel_grace: config.kind_settings(kind).cancel_grace,
    }))
}

pub(super) fn mail_settings(config: &Config) -> mail::Settings {
    let mail = &config.mail;
    let transport = match (mail.transport, &mail.smtp_url) {
        (MailTransport::Smtp, Some(url)) => mail::TransportSettings::Smtp(mail::SmtpSettings {
            url: url.clone(),
            password: mail.smtp_password.clone(),
            timeout: mail.smtp_timeout,
            pool_size: mail.smtp_pool,
            ca_file: mail.smtp_ca_file.clone(),
        }),
        (MailTransport::File, _) => mail::TransportSettings::File { folder: mail.folder.clone() },
        // Without a URL there is no SMTP; the configuration has refused that before.
        (MailTransport::Capture | MailTransport::Smtp, _) => mail::TransportSettings::Capture {
            max_messages: mail.capture_messages,
            max_bytes: mail.capture_bytes,
        },
    };
    mail::Settings {
        from: mail.from.to_string(),
        app_name: mail.app_name.clone(),
        templates: mail.templates.clone(),
        transport,
    }
}
