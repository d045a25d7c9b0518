//! What stands below the options of a command.

pub(super) const ENQUEUE: &str = "\
The id of the job is written to the standard output, what else there is to say to the standard error.
The request has an Idempotency-Key, so that sending it again after a lost answer makes no second job. A server
that restarts forgets such keys: where that may happen in between, give the job a --unique key.

Exit codes: 0 accepted (--wait: completed), 1 refused or no answer, 2 usage; with --wait 4 dead-lettered,
5 not finished yet, 6 canceled, 7 skipped.

Examples:
  backroom enqueue noop '{\"sleep\": \"2s\"}' --wait
  id=$(backroom enqueue email @welcome.json --expires-in 30m)
  jq -n '{to: \"ada@example.com\", subject: \"Hi\", text: \"Hello\"}' | backroom enqueue email -
  backroom enqueue text.size '{\"text\": \"abc\"}' --result";

pub(super) const STATUS: &str = "\
The exit code says how the job stands: 0 completed, 4 dead-lettered, 5 not finished yet, 6 canceled,
7 skipped; 1 when it cannot be asked for, 2 usage. With --watch --json every event is a line.

Examples:
  backroom status 019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55
  backroom status \"$id\" --watch
  backroom status \"$id\" --wait=1m && backroom result \"$id\"";

pub(super) const RESULT: &str = "\
Exit codes: 0 written, 1 refused or no answer, 2 usage, 4 dead-lettered, 5 not finished yet, 6 canceled, 7 skipped.

Examples:
  backroom result \"$id\"
  backroom result \"$id\" --wait --output invoice.pdf";

pub(super) const JOBS: &str = "\
Examples:
  backroom jobs --state failed --state dead_lettered
  backroom jobs --tag signup --created-after 2026-11-20T00:00:00Z --all --json | jq -r '.items[].id'";

pub(super) const QUEUES: &str = "\
Examples:
  backroom queues
  backroom queues pause mail --reason 'the relay is down' --for 30m
  backroom queues resume mail
  backroom queues set mail --concurrency 2 --rate-limit 10/s";

pub(super) const DEAD_LETTERS: &str = "\
Examples:
  backroom dead-letters --queue mail
  backroom dead-letters redrive --kind email --dry-run
  backroom dead-letters delete --kind email";

pub(super) const SCHEDULES: &str = "\
Examples:
  backroom schedules
  backroom schedules pause nightly-report
  backroom schedules run nightly-report";
