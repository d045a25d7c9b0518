//! Tokens: who may do what.

use std::borrow::Cow;
use std::fmt;
use std::ops::BitOr;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::caller::Caller;
use super::hub;
use super::problem::Problem;
use super::problem_type::ProblemType;

/// What a caller may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Enqueue, and read, watch and cancel a job by its id.
    Submit,
    /// See lists, queues, events and mail, and read and watch a job by its id.
    Read,
    /// Change anything, and read payloads: includes the others.
    Operate,
}

impl Role {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

/// What a route asks of its callers. Written beside every method of every path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Needs {
    /// Nothing: probes, and what is the same for everybody.
    Nothing,
    /// A token with this role.
    Role(Role),
    /// A token with the role `submit` or `read`: a job by its id, which lists show to the one and which the other gets from
    /// its own submission.
    SubmitOrRead,
}

pub(super) const NOTHING: Needs = Needs::Nothing;
pub(super) const SUBMIT: Needs = Needs::Role(Role::Submit);
pub(super) const READ: Needs = Needs::Role(Role::Read);
pub(super) const SUBMIT_OR_READ: Needs = Needs::SubmitOrRead;
pub(super) const OPERATE: Needs = Needs::Role(Role::Operate);

/// The roles of one token.
#[derive(Clone, Copy, Debug)]
struct Roles(u8);

impl Roles {
    const fn of(role: Role) -> Self {
        Self(match role {
            Role::Submit => 0b001,
            Role::Read => 0b010,
            Role::Operate => 0b111,
        })
    }

    const fn include(self, role: Role) -> bool {
        // Only `operate` has the third bit.
        let bit = match role {
            Role::Submit => 0b001,
            Role::Read => 0b010,
            Role::Operate => 0b100,
        };
        self.0 & bit != 0
    }
}

impl BitOr for Roles {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Goes with a request whose token is known.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    caller: Caller,
    roles: Roles,
}

impl Granted {
    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) const fn allows(&self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Role(role) => self.roles.include(role),
            Needs::SubmitOrRead => self.roles.include(Role::Submit) || self.roles.include(Role::Read),
        }
    }
}

/// Goes with a request that sent a token which nobody knows.
struct Unknown;

/// Every token, none of which can be read back.
pub struct Tokens {
    /// Keyed anew at each start, so that a hash says nothing about a token, not even to who can read our memory later.
    keyed: Hmac<Sha256>,
    known: Vec<([u8; 32], Granted)>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(_, granted)| granted)).finish()
    }
}

impl Tokens {
    /// Takes over name, token and roles of each. `key` is for this start alone.
    ///
    /// # Panics
    ///
    /// Never: a key of any length will do.
    pub fn new<'a>(key: [u8; 32], tokens: impl IntoIterator<Item = (&'a str, &'a str, &'a [Role])>) -> Self {
        let keyed = Hmac::new_from_slice(&key).expect("a key of any length will do");
        let known = tokens.into_iter().map(|(name, token, roles)| {
            let roles = roles.iter().fold(Roles(0), |all, role| all | Roles::of(*role));
            (digest(&keyed, token.as_bytes()), Granted { caller: Caller::new(name), roles })
        });
        Self { known: known.collect(), keyed }
    }

    /// Whether there is none, so that nobody is asked for one.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Looks who sends a request, and notes it there for [`refusal`] and [`Caller::of`]. What is missing is refused where a
    /// route needs it.
    ///
    /// # Errors
    ///
    /// Two `Authorization` headers, or a second token in the URL: which of them counts would be a guess (RFC 9110 §5.3,
    /// RFC 6750 §2).
    pub(super) fn recognize(&self, request: &HttpRequest) -> Result<(), Problem> {
        let mut sent = request.headers().get_all(header::AUTHORIZATION);
        let (first, second) = (sent.next(), sent.next());
        if second.is_some() {
            let detail = "There are several Authorization headers. Send one.";
            return Err(Problem::new(ProblemType::MalformedRequest, detail));
        }
        let in_url = url_tokens(request);
        if in_url.len() + usize::from(first.is_some()) > 1 {
            let detail =
                "There are several tokens. Send one: in Authorization, or as access_token in the URL.";
            return Err(Problem::new(ProblemType::MalformedRequest, detail));
        }
        let in_url = in_url.first().map(|token| token.as_bytes());
        if let Some(token) = first.and_then(|value| bearer(value.as_bytes())).or(in_url) {
            let mut extensions = request.extensions_mut();
            match self.find(token) {
                Some(granted) => drop(extensions.insert(granted.clone())),
                None => drop(extensions.insert(Unknown)),
            }
        }
        Ok(())
    }

    /// Compares with all of them, in a time that depends on nothing but their number.
    fn find(&self, token: &[u8]) -> Option<&Granted> {
        let digest = digest(&self.keyed, token);
        let mut found = None;
        for (known, granted) in &self.known {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(granted);
            }
        }
        found
    }
}

fn digest(keyed: &Hmac<Sha256>, token: &[u8]) -> [u8; 32] {
    let mut keyed = keyed.clone();
    keyed.update(token);
    keyed.finalize().into_bytes().into()
}

/// What a browser sends for want of a better place: its `EventSource` and `WebSocket` have no headers (contract, section 8).
/// Nowhere but at event streams and the hub, because URLs end up in histories and in the logs of proxies.
fn url_tokens(request: &HttpRequest) -> Vec<Cow<'_, str>> {
    let path = request.path();
    let of_job = || {
        let id = path.strip_prefix("/api/jobs/").and_then(|rest| rest.strip_suffix("/events"));
        id.is_some_and(|id| !id.contains('/'))
    };
    if request.query_string().is_empty() || !(path == "/api/events" || hub::PATHS.contains(&path) || of_job())
    {
        return Vec::new();
    }
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .filter(|(name, _)| name == "access_token")
        .map(|(_, token)| token)
        .collect()
}

/// The token of `Bearer <token>` (RFC 6750 §2.1); the scheme in any case (RFC 9110 §11.1).
pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| rest.trim_ascii())
}

/// Why a request may not do what a route needs.
pub(super) fn refusal(request: &HttpRequest, needs: Needs) -> Problem {
    let extensions = request.extensions();
    let challenge = |text| {
        let detail = if extensions.get::<Unknown>().is_some() {
            "No caller has this token. Send one that is named in auth.tokens."
        } else {
            "Send a token: Authorization: Bearer <token>."
        };
        Problem::new(ProblemType::Unauthorized, detail)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(text))
    };
    match (extensions.get::<Granted>(), needs) {
        (Some(_), Needs::Role(_) | Needs::SubmitOrRead) => lacking(needs),
        // RFC 6750 §3.1: says that a token came and was not known.
        _ if extensions.get::<Unknown>().is_some() => {
            challenge("Bearer realm=\"backroom\", error=\"invalid_token\"")
        }
        _ => challenge("Bearer realm=\"backroom\""),
    }
}

/// The refusal of a token that is known and not good for this.
pub(super) fn lacking(needs: Needs) -> Problem {
    let (role, detail) = match needs {
        Needs::Role(role) => {
            let word = role.as_str();
            (role, format!("This needs a token with the role {word}, which the one that was sent has not."))
        }
        Needs::SubmitOrRead | Needs::Nothing => (
            Role::Submit,
            "This needs a token with the role submit or read, and the one that was sent has neither."
                .to_owned(),
        ),
    };
    Problem::new(ProblemType::Forbidden, detail).with("role", role.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef";

    #[test]
    fn roles_are_independent_but_for_operate() {
        use Role::{Operate, Read, Submit};
        let all = [Submit, Read, Operate];
        let table = [(Submit, [true, false, false]), (Read, [false, true, false]), (Operate, [true; 3])];
        for (role, may) in table {
            assert_eq!(all.map(|needed| Roles::of(role).include(needed)), may, "{role:?}");
        }
        assert!(!(Roles::of(Submit) | Roles::of(Read)).include(Operate));
        assert!(all.iter().all(|role| !Roles(0).include(*role)));
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER   abc ", Some("abc")),
            ("Bearer", Some("")),
            ("Bearer ", Some("")),
            ("Bearer a b", Some("a b")),
            ("Bearerabc", None),
            ("Bearer\tabc", None),
            ("Basic abc", None),
            ("", None),
            (" Bearer abc", None),
            ("abc", None),
        ] {
            assert_eq!(bearer(value.as_bytes()), token.map(str::as_bytes), "{value:?}");
        }
    }

    #[test]
    fn a_token_is_found_whole_or_not_at_all() {
        let roles = [Role::Read];
        let tokens = Tokens::new([7; 32], [("a", A, &roles[..]), ("b", "fedcba9876543210", &roles[..])]);
        let name = |token: &str| tokens.find(token.as_bytes()).map(|granted| granted.caller().clone());
        assert_eq!(name(A), Some(Caller::new("a")));
        assert_eq!(name("fedcba9876543210"), Some(Caller::new("b")));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "a"] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn tokens_are_not_debugged() {
        let tokens = Tokens::new([7; 32], [("shop", A, &[Role::Read][..])]);
        let text = format!("{tokens:?}");
        assert!(text.contains("shop") && !text.contains(A), "{text}");
        assert_ne!(
            tokens.known[0].0,
            digest(&Tokens::new([8; 32], []).keyed, A.as_bytes()),
            "the key counts"
        );
    }
}
