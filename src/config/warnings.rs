//! What is allowed, but probably not what was meant.

use super::load::Config;
use super::mail::MailTransport;
use super::run::Run;
use super::tree::dotted;

impl Config {
    /// For the log of the start.
    pub(super) fn warnings(&self) -> Vec<String> {
        let ours = [self.payload_warning(), self.pool_warning()].into_iter().flatten();
        ours.chain(self.missing_variables()).collect()
    }

    /// A program that lacks a variable fails with every job, and later than anybody looks.
    fn missing_variables(&self) -> impl Iterator<Item = String> {
        let commands = self.kinds.iter().filter_map(|(name, kind)| match &kind.run {
            Some(Run::Command(command)) => Some((name, command)),
            _ => None,
        });
        commands.flat_map(|(name, command)| {
            command.missing_variables().map(move |variable| {
                let key = dotted(&["kinds".to_owned(), name.to_string(), "env".to_owned()]);
                format!(
                    "{key} passes {variable} on, which the environment of the server does not have: \
                     the program will not have it either"
                )
            })
        })
    }

    fn payload_warning(&self) -> Option<String> {
        let (payload, body) = (self.limits.payload, self.server.body_limit);
        (payload > body).then(|| {
            format!(
                "limits.payload ({payload} bytes) is more than server.body_limit ({body} bytes): \
                 no such payload can arrive over HTTP"
            )
        })
    }

    fn pool_warning(&self) -> Option<String> {
        let queue = self.kind_settings("email").queue;
        let (concurrency, pool) = (self.queues.get(&queue)?.concurrency, self.mail.smtp_pool);
        (self.mail.transport == MailTransport::Smtp && concurrency > pool as usize).then(|| {
            format!(
                "queues.{queue}.concurrency ({concurrency}) is more than mail.smtp_pool ({pool}): the mails beyond that \
                 wait for a connection while their time runs"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::loaded;

    #[test]
    fn a_payload_that_cannot_arrive_is_warned_about() {
        assert_eq!(loaded(&[]).warnings, Vec::<String>::new());
        assert_eq!(loaded(&["limits.payload=3MiB"]).warnings.len(), 1);
    }

    #[test]
    fn a_variable_that_is_not_there_is_warned_about() {
        let warnings = |env: &str| {
            let env = format!("kinds.\"my.own\".env={env}");
            loaded(&["kinds.\"my.own\".run=command", "kinds.\"my.own\".command=sh", &env]).warnings
        };
        assert_eq!(warnings("PATH,BACKROOM_IS_NOT_SET=1"), [""; 0]);
        assert_eq!(
            warnings("PATH,BACKROOM_IS_NOT_SET"),
            [
                "kinds.\"my.own\".env passes BACKROOM_IS_NOT_SET on, which the environment of the server does not have: \
              the program will not have it either"
            ]
        );
    }

    #[test]
    fn more_mails_at_once_than_connections_are_warned_about() {
        let smtp = ["mail.transport=smtp", "mail.smtp_url=smtp://h", "mail.from=a@b.example"];
        let warnings = |set: &[&str]| loaded(set).warnings;
        let with = |more: &[&str]| warnings(&[&smtp, more].concat());
        assert_eq!(with(&[]), [""; 0]);
        assert_eq!(
            with(&["queues.mail.concurrency=8"]),
            ["queues.mail.concurrency (8) is more than mail.smtp_pool (4): the mails beyond that \
              wait for a connection while their time runs"]
        );
        assert_eq!(with(&["queues.mail.concurrency=8", "mail.smtp_pool=8"]), [""; 0]);
        assert_eq!(with(&["kinds.email.queue=default"]).len(), 1);
        // Captured mail needs no connection.
        assert_eq!(warnings(&["queues.mail.concurrency=8"]), [""; 0]);
    }
}
