//! Which server is asked, and as whom.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use crate::cli::{Ended, exit};

/// Names a server.
#[derive(Clone, PartialEq, Eq, Args)]
pub struct Target {
    /// The server's address
    // Faults that are found while the command line is read quote what was given, and so does the help: see `Target::url`.
    #[arg(
        long,
        value_name = "URL",
        env = "BACKROOM_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub server: String,
    /// PEM file with the authority that signed the server's certificate, when it is none that the system trusts
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca_file: Option<PathBuf>,
    /// Take any certificate: on the server's own host, where its name is another. Elsewhere whoever stands between
    /// can read and change everything
    #[arg(long)]
    pub insecure: bool,
}

/// Names a server and who asks it.
#[derive(Clone, Args, Debug)]
pub struct Access {
    /// The server.
    #[command(flatten)]
    pub target: Target,
    /// The token; better in `BACKROOM_TOKEN` or a file, because others can see command lines
    #[arg(long, value_parser = secret, conflicts_with = "token_file", long_help = TOKEN_HELP)]
    pub token: Option<SecretString>,
    /// File with the token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// What the server answered, as JSON
    #[arg(long)]
    pub json: bool,
}

const TOKEN_HELP: &str = "\
The token. Better in BACKROOM_TOKEN or a file, because others on this host can see command lines.
--token and --token-file are stronger than the variable.";

impl Target {
    /// The server's URL, without a slash at its end, so that a path can be put behind it. Before the host there can be a
    /// password, so it is never quoted.
    ///
    /// # Errors
    ///
    /// With exit code 2 when it is none.
    pub(in crate::cli) fn url(&self) -> Result<String, Ended> {
        server_url(&self.server).map_err(|fault| Ended {
            code: exit::USAGE,
            message: format!("error: --server (BACKROOM_URL): {fault}"),
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server: _, ca_file, insecure } = self;
        f.debug_struct("Target").field("ca_file", ca_file).field("insecure", insecure).finish_non_exhaustive()
    }
}

/// Takes an `http` or `https` URL.
fn server_url(text: &str) -> Result<String, &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "write a URL, as in http://127.0.0.1:8080")?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err("write http:// or https://, without query and fragment");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}
