//! Which server is asked, and as whom.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

/// Names a server.
#[derive(Clone, PartialEq, Eq, Args, Debug)]
pub struct Target {
    /// The server's address
    #[arg(long, value_name = "URL", env = "BACKROOM_URL", default_value = "http://127.0.0.1:8080", value_parser = server_url)]
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

/// An `http` or `https` URL, without a slash at its end, so that a path can be put behind it.
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
