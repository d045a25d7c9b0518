//! What is allowed, but probably not what was meant.

use super::load::Config;
use super::mail::MailTransport;
use super::run::Run;
use super::tree::dotted;

impl Config {
    /// For the log of the start.
    pub(super) fn warnings(&self) -> Vec<String> {
        let ours = [self.payload_warning(), self.memory_warning(), self.jobs_warning(), self.pool_warning()];
        ours.into_iter().flatten().chain(self.missing_variables()).collect()
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

    fn memory_warning(&self) -> Option<String> {
        let (memory, payload, result) = (self.limits.memory, self.limits.payload, self.limits.result);
        (payload.max(result) as u64 > memory).then(|| {
            format!(
                "limits.memory ({memory} bytes) is less than one payload ({payload} bytes) or result ({result} bytes) \
                 may take: such a job is never accepted, and such a result never kept"
            )
        })
    }

    fn jobs_warning(&self) -> Option<String> {
        let jobs = self.limits.jobs;
        let (name, queue) = self.queues.iter().find(|(_, queue)| queue.capacity as u64 > jobs)?;
        let capacity = queue.capacity;
        Some(format!(
            "queues.{name}.capacity ({capacity}) is more than limits.jobs ({jobs}): the queue can never be full"
        ))
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
    fn bounds_that_hide_each_other_are_warned_about() {
        let warnings = |set: &[&str]| loaded(set).warnings.len();
        for (memory, warned) in [("4194303B", 1), ("4MiB", 0), ("4194305B", 0)] {
            assert_eq!(warnings(&[&format!("limits.memory={memory}")]), warned, "{memory}");
        }
        for (jobs, warned) in [(999, 1), (1_000, 0), (1_001, 0)] {
            assert_eq!(warnings(&[&format!("limits.jobs={jobs}")]), warned, "{jobs}");
        }
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
