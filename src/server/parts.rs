//! From the configuration to the parts that are put together.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::kinds::base_url;
use super::outgoing::webhook_policy;
use crate::clock::Clock;
use crate::config::{AuthMode, Config, MailTransport, Role};
use crate::handler::Registry;
use crate::http::{self, Guard, GuardSettings, Tokens};
use crate::jobs::{Jobs, Limits, QueueSettings};
use crate::kinds;
use crate::mail;
use crate::queue::{MemoryQueue, Queue};
use crate::schedules::Schedules;
use crate::store::{Bounds, Durability, MemoryStore, Retention, Store};

/// The service over memory backends.
pub(super) fn service(config: &Config, clock: Clock, registry: Registry) -> Jobs {
    let retention = Retention {
        completed: config.retention.completed,
        dead_lettered: config.retention.dead_lettered,
        max_finished: config.retention.max_finished,
    };
    let bounds = Bounds { memory: config.limits.memory, jobs: config.limits.jobs };
    let store = MemoryStore::new(config.queues.keys().cloned(), retention).bounded_by(bounds);
    let store: Arc<dyn Store> = Arc::new(store);
    let queues = config.queues.iter().map(|(name, queue)| {
        let settings = QueueSettings {
            capacity: queue.capacity,
            concurrency: queue.concurrency,
            enqueue_wait: queue.enqueue_wait,
            rate_limit: queue.rate_limit,
        };
        (name.clone(), Arc::new(MemoryQueue::new(queue.capacity)) as Arc<dyn Queue>, settings)
    });
    let herald = kinds::Herald {
        policy: webhook_policy(config),
        base_url: base_url(config).into(),
        durability: Durability::Memory,
    };
    let limits =
        Limits { payload: config.limits.payload, result: config.limits.result, batch: config.limits.batch };
    let metrics = config.metrics.enabled;
    Jobs::telling(Some(Arc::new(herald)), clock, Arc::new(registry), store, queues, limits, metrics)
}

/// What makes jobs by itself.
pub(super) fn schedules(config: &Config, jobs: &Jobs) -> Schedules {
    Schedules::new(jobs.clone(), config.schedules.values().cloned())
}

/// Who may call.
pub(super) fn guard(config: &Config, clock: &Clock) -> Arc<Guard> {
    let roles: Vec<Vec<http::Role>> =
        config.auth.tokens.iter().map(|token| token.roles.iter().copied().map(role).collect()).collect();
    let tokens = config.auth.tokens.iter().zip(&roles);
    let tokens = tokens.map(|(token, roles)| (token.name.as_str(), token.token.expose_secret(), &roles[..]));
    Arc::new(Guard::new(GuardSettings {
        tokens: Tokens::new(clock.secret(), tokens),
        everybody: config.auth.mode == AuthMode::None,
        allowed_hosts: config.server.allowed_hosts.clone(),
        cors_origins: config.server.cors_origins.clone(),
        public_url: config.server.public_url.clone(),
    }))
}

const fn role(role: Role) -> http::Role {
    match role {
        Role::Submit => http::Role::Submit,
        Role::Read => http::Role::Read,
        Role::Operate => http::Role::Operate,
    }
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
