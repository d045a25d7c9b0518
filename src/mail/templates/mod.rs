//! What mails say: templates that are built in, overridden and added to by files in a folder.
//!
//! A template `NAME` is made of `NAME.subject.txt`, `NAME.txt` and `NAME.html`: the subject and at least one body. A file
//! `NAME.de.html` is used instead of `NAME.html` for the locale `de`, and for `de-AT` if there is no `NAME.de-AT.html`.
//! `layout.txt`, `layout.html` and files whose name begins with `_` are parts of others and no templates themselves.
//!
//! `NAME.sample.json` beside them is what a template is tried with; without one, something stands in for each variable.
//!
//! The language is Jinja (minijinja). A variable that is missing is an error; ask with `{% if x is defined %}`. A member
//! that is `null` counts as missing. `.html` files escape what they show. Every template also knows `app_name` and
//! `lang` (the locale of its file, else `en`).
//!
//! | built in | data |
//! |---|---|
//! | `welcome` | `name`, optional `action_url` |
//! | `password_reset` | `name`, `reset_url`, optional `expires_in` (words for people: `30 minutes`) |
//! | `job_finished` | `job`: the Job of the HTTP API, of which `id`, `kind`, `state` are needed and `queue`, `attempt`, `max_attempts`, `finished_at`, `skip_reason`, `error` (`code`, `message`) are shown; optional `job_url` |

mod check;
mod data;
mod file_name;
#[cfg(test)]
mod folder_tests;
mod limit;
mod links;
mod load;
mod render;
mod sample;
#[cfg(test)]
mod tests;
mod uses;

pub use render::{RenderError, Rendered, Templates};
