//! The kinds of the program, and those that the configuration makes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use url::Url;

use super::builder::Builder;
use super::outgoing::{app_client, client, http_client, signer, webhook_policy};
use crate::config::{Command, Config, Kind, Push, Run, read_schema};
use crate::handler::{About, Payload, RegistryError};
use crate::kinds::{
    CommandHandler, CommandSettings, EmailHandler, HttpHandler, NoopHandler, PushHandler, Webhook,
    WebhookHandler,
};
use crate::mail::Mailer;
use crate::sign::{Secret, Signer};
use crate::store::Durability;

/// The kinds that every server has.
pub const BUILT_IN_KINDS: [&str; 4] = ["email", "http", "noop", "webhook"];

/// How much longer an attempt at a webhook may take than its receiver: what a receiver takes too long for is told by the
/// handler, which knows what to make of it.
const WEBHOOK_SLACK: Duration = Duration::from_secs(5);

impl Builder {
    /// Registers those that are built in. Without a mailer there are faults already.
    pub(super) fn register_built_in(mut self, mailer: Option<Mailer>) -> Self {
        if let Some(mailer) = mailer {
            self = self.handler(EmailHandler { mailer });
        }
        match http_client(&self.config) {
            Ok(client) => {
                let (clock, body_limit) = (self.clock.clone(), self.config.limits.result);
                self = self.handler(HttpHandler { client, clock, body_limit });
            }
            Err(error) => self.faults.push(format!("{error:#}")),
        }
        self.handler(NoopHandler)
    }

    /// What signs webhooks and the requests of push kinds. With `dry` nothing is written, and what is signed is signed by
    /// nobody.
    pub(super) fn signer(&mut self, dry: bool) -> Arc<Signer> {
        // Nothing is written for a server that does not start.
        let dry = dry || !self.faults.is_empty();
        let pushes = self.config.kinds.values().any(|kind| matches!(kind.run, Some(Run::Push(_))));
        let made = signer(&self.config.webhooks, &self.clock, dry).or_else(|error| {
            if pushes || self.config.webhooks.secret.is_some() {
                return Err(error);
            }
            // Perhaps nobody ever asks for a webhook, and a server that may write no file must start all the same.
            tracing::warn!(
                error = format!("{error:#}"),
                "webhooks are signed with a secret that nobody knows: set webhooks.secret"
            );
            Ok(Signer::new(vec![Secret::from_random(self.clock.secret())]))
        });
        // One fault, however many kinds need it. Without a signer, what else is wrong is found all the same.
        Arc::new(made.unwrap_or_else(|error| {
            self.faults.push(format!("{error:#}"));
            Signer::new(Vec::new())
        }))
    }

    /// Registers the kind of which only the server makes jobs.
    pub(super) fn register_webhook(&mut self, signer: &Arc<Signer>) {
        let mut settings = self.config.kind_settings(<Webhook as Payload>::KIND);
        let timeout = settings.timeout;
        settings.timeout = timeout.saturating_add(WEBHOOK_SLACK);
        // Part of it can be a password or a token, under whatever name.
        settings.sensitive.push("url".to_owned());
        match client(webhook_policy(&self.config)) {
            Ok(client) => {
                let (signer, clock) = (Arc::clone(signer), self.clock.clone());
                let handler = WebhookHandler { client, signer, clock, timeout };
                self.note(|registry| registry.register_internal(handler, settings));
            }
            Err(error) => self.faults.push(format!("{error:#}")),
        }
    }

    /// Registers those of the configuration.
    pub(super) fn register_configured(&mut self, signer: &Arc<Signer>) {
        for (name, kind) in self.config.kinds.clone() {
            let Some(run) = &kind.run else { continue };
            let name = name.as_str();
            let registered = match run {
                Run::Command(command) => self.command(name, &kind, command).map(|handler| {
                    let settings = self.config.kind_settings(name);
                    self.registry.register_as(name, handler, settings)
                }),
                Run::Push(push) => self.push(&kind, push, signer).map(|handler| {
                    let settings = self.config.kind_settings(name);
                    self.registry.register_as(name, handler, settings)
                }),
            };
            match registered {
                Ok(Ok(())) => {}
                Ok(Err(error @ (RegistryError::Name { .. } | RegistryError::Duplicate(_)))) => {
                    self.faults.push(error.to_string());
                }
                Err(error) => self.faults.push(format!("kinds.{name}: {error:#}")),
            }
        }
    }

    fn command(&self, name: &str, kind: &Kind, command: &Command) -> anyhow::Result<CommandHandler> {
        Ok(CommandHandler::new(CommandSettings {
            program: command.program().map_err(anyhow::Error::msg)?,
            arguments: command.command.iter().skip(1).cloned().collect(),
            folder: command.folder.clone(),
            env: command.variables(),
            result_type: command.result_type.clone(),
            retry_on_exit: command.retry_on_exit,
            result_limit: self.config.limits.result,
            cancel_grace: self.config.kind_settings(name).cancel_grace,
            about: about(kind)?,
        }))
    }

    fn push(&self, kind: &Kind, push: &Push, signer: &Arc<Signer>) -> anyhow::Result<PushHandler> {
        let url = Url::parse(&push.url).context("url")?;
        Ok(PushHandler {
            client: app_client(&url)?,
            url,
            signer: Arc::clone(signer),
            tokens: self.attempt_tokens.clone(),
            base_url: base_url(&self.config).into(),
            durability: Durability::Memory,
            clock: self.clock.clone(),
            result_limit: self.config.limits.result,
            about: about(kind)?,
        })
    }
}

/// What goes before every path in a job: empty, or the public URL.
pub(super) fn base_url(config: &Config) -> &str {
    config.server.public_url.as_deref().unwrap_or_default()
}

fn about(kind: &Kind) -> anyhow::Result<About> {
    let schema = kind.schema.as_deref().map(read_schema).transpose().map_err(anyhow::Error::msg)?;
    let example = schema.as_ref().and_then(|schema| schema.document()["examples"].get(0).cloned());
    Ok(About { description: kind.description.clone(), schema, example })
}
