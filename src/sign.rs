//! Signatures of what is sent to a user's app, and tokens that its answers can bring back.
//!
//! Requests are signed as [Standard Webhooks 1.0.0](https://github.com/standard-webhooks/standard-webhooks) says:
//! `webhook-id`, `webhook-timestamp` and `webhook-signature`, where the signature is the HMAC-SHA256 of
//! `id.timestamp.body`. Every library for it can verify them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;

use crate::job::JobId;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many random bytes a secret must hold (Standard Webhooks, "Signature scheme").
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many secrets may sign at once: the new one and those that are on their way out.
pub const MAX_SECRETS: usize = 4;
/// How many signatures of one request are looked at.
const MAX_SIGNATURES: usize = 16;
/// How far the time of a request may be from ours, in seconds: as the reference libraries of the standard have it.
const TOLERANCE: i64 = 5 * 60;

/// One secret: `whsec_` and the base64 of 24 to 64 random bytes.
pub struct Secret(SecretBox<[u8]>);

/// Why a text is no secret. Never quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be \"whsec_\" and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)")]
pub struct SecretError;

/// Signs requests; with several secrets while they are rotated.
pub struct Signer(Vec<Secret>);

/// The three headers of a signed request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// `webhook-id`: the same in every repeat.
    pub id: String,
    /// `webhook-timestamp`: when this request was signed, in seconds since 1970.
    pub timestamp: String,
    /// `webhook-signature`: one `v1,…` for each secret, the newest first, with a space between.
    pub signature: String,
}

impl Secret {
    /// Reads a secret.
    ///
    /// # Errors
    ///
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
        let bytes = bytes.filter(|bytes| BYTES.contains(&bytes.len())).ok_or(SecretError)?;
        Ok(Self(SecretBox::from(bytes.into_boxed_slice())))
    }

    /// Makes one of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(SecretBox::from(bytes.to_vec().into_boxed_slice()))
    }

    /// The secret as it is written into a configuration, and given to whoever verifies. Not for logs.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret()))
    }

    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.hmac(id, timestamp, body).finalize().into_bytes()))
    }

    fn hmac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = mac(self.0.expose_secret());
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Signer {
    /// Signs with each of these secrets, the newest first; the first four count.
    pub fn new(mut secrets: Vec<Secret>) -> Self {
        secrets.truncate(MAX_SECRETS);
        Self(secrets)
    }

    /// Signs a body. `id` has no `.` in it; `seconds` is the time, since 1970.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Signed {
        let timestamp = seconds.to_string();
        let signatures: Vec<String> = self.0.iter().map(|secret| secret.sign(id, &timestamp, body)).collect();
        Signed { id: id.to_owned(), timestamp, signature: signatures.join(" ") }
    }
}

/// Verifies requests that a [`Signer`] has signed, or whoever else follows the standard.
pub struct Verifier(Vec<Secret>);

/// The headers by which a request is verified, as they came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Presented<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

/// Why a request is not to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unverified {
    /// A header is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The time is none.
    #[error("webhook-timestamp is no number of seconds")]
    NoTime,
    /// It was signed too long ago: somebody may have kept it to send it again.
    #[error("webhook-timestamp is more than 5 minutes ago")]
    TooOld,
    /// It was signed too far ahead: one of the two clocks is wrong.
    #[error("webhook-timestamp is more than 5 minutes ahead")]
    TooNew,
    /// It has more signatures than anybody needs.
    #[error("webhook-signature has more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// It was signed with another secret, or changed on the way.
    #[error("no signature fits: another secret, or the request was changed on the way")]
    NoneFits,
}

impl Verifier {
    /// Believes what one of these secrets has signed.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self(secrets)
    }

    /// Verifies a body with its headers. `seconds` is the time, since 1970.
    ///
    /// Signatures are compared in constant time. Those of other versions than `v1` are passed over.
    ///
    /// # Errors
    ///
    /// Why it is not to be believed.
    pub fn verify(&self, presented: Presented<'_>, body: &[u8], seconds: i64) -> Result<(), Unverified> {
        let id = presented.id.filter(|id| !id.is_empty()).ok_or(Unverified::Missing("webhook-id"))?;
        let timestamp = presented.timestamp.ok_or(Unverified::Missing("webhook-timestamp"))?;
        let signature = presented.signature.ok_or(Unverified::Missing("webhook-signature"))?;
        if timestamp.is_empty() || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Unverified::NoTime);
        }
        let signed: i64 = timestamp.parse().map_err(|_| Unverified::NoTime)?;
        if signed < seconds.saturating_sub(TOLERANCE) {
            return Err(Unverified::TooOld);
        }
        if signed > seconds.saturating_add(TOLERANCE) {
            return Err(Unverified::TooNew);
        }
        let signatures: Vec<&str> = signature.split(' ').filter(|one| !one.is_empty()).collect();
        if signatures.len() > MAX_SIGNATURES {
            return Err(Unverified::TooMany);
        }
        let given = signatures.iter().filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        let fits = |given: &[u8]| {
            self.0.iter().any(|secret| secret.hmac(id, timestamp, body).verify_slice(given).is_ok())
        };
        if given.into_iter().any(|given| fits(&given)) { Ok(()) } else { Err(Unverified::NoneFits) }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// Makes and checks the tokens by which an attempt that runs in a user's app reports its progress: good for one run of one
/// job, and for nothing once that run is over.
///
/// Nothing is kept: a token is the number of the run and an HMAC over it under a key that is made at each start.
#[derive(Clone)]
pub struct AttemptTokens(std::sync::Arc<[u8; 32]>);

impl AttemptTokens {
    /// Tokens under this key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(std::sync::Arc::new(key))
    }

    /// The token of a run.
    pub fn issue(&self, job: JobId, run: u32) -> String {
        format!("bat_{run}_{}", URL_SAFE_NO_PAD.encode(self.mac(job, run).finalize().into_bytes()))
    }

    /// The run for which this is the token, if it is one of this job. Takes the same time for every wrong one.
    pub fn run_of(&self, job: JobId, token: &str) -> Option<u32> {
        let (run, mac) = token.strip_prefix("bat_")?.split_once('_')?;
        let run: u32 = run.parse().ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.mac(job, run).verify_slice(&mac).is_ok().then_some(run)
    }

    fn mac(&self, job: JobId, run: u32) -> Hmac<Sha256> {
        let mut mac = mac(&*self.0);
        mac.update(b"attempt");
        mac.update(job.to_string().as_bytes());
        mac.update(&run.to_be_bytes());
        mac
    }
}

impl fmt::Debug for AttemptTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptTokens(…)")
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the specification and of its reference libraries.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let signer = Signer::new(vec![Secret::parse(SECRET).unwrap()]);
        let signed = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!((&*signed.id, &*signed.timestamp), ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"));
    }

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn verified<'a>(
        change: impl FnOnce(&mut Presented<'a>),
        body: &[u8],
        now: i64,
    ) -> Result<(), Unverified> {
        let mut presented =
            Presented { id: Some(ID), timestamp: Some("1614265330"), signature: Some(SIGNATURE) };
        change(&mut presented);
        let secrets = vec![Secret::from_random([7; 32]), Secret::parse(SECRET).unwrap()];
        Verifier::new(secrets).verify(presented, body, now)
    }

    #[test]
    fn the_example_of_the_standard_is_verified_and_nothing_that_was_changed() {
        assert_eq!(verified(|_| {}, BODY, AT), Ok(()));
        assert_eq!(verified(|_| {}, b"{\"test\": 2432232315}", AT), Err(Unverified::NoneFits));
        assert_eq!(verified(|p| p.id = Some("msg_other"), BODY, AT), Err(Unverified::NoneFits));
        assert_eq!(verified(|p| p.timestamp = Some("1614265331"), BODY, AT), Err(Unverified::NoneFits));
        assert_eq!(verified(|p| p.id = None, BODY, AT), Err(Unverified::Missing("webhook-id")));
        assert_eq!(verified(|p| p.id = Some(""), BODY, AT), Err(Unverified::Missing("webhook-id")));
        assert_eq!(verified(|p| p.timestamp = None, BODY, AT), Err(Unverified::Missing("webhook-timestamp")));
        assert_eq!(verified(|p| p.signature = None, BODY, AT), Err(Unverified::Missing("webhook-signature")));
        for bad in ["", "soon", "-1", "+1614265330", " 1614265330", "99999999999999999999"] {
            assert_eq!(verified(|p| p.timestamp = Some(bad), BODY, AT), Err(Unverified::NoTime), "{bad:?}");
        }
    }

    #[test]
    fn the_time_may_be_five_minutes_off() {
        for (now, ends) in [
            (AT + 300, Ok(())),
            (AT + 301, Err(Unverified::TooOld)),
            (AT - 300, Ok(())),
            (AT - 301, Err(Unverified::TooNew)),
        ] {
            assert_eq!(verified(|_| {}, BODY, now), ends, "{now}");
        }
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let of = |signatures: &str| verified(|p| p.signature = Some(signatures), BODY, AT);
        assert_eq!(of(&format!("v1,AAAA v1a,x rubbish  {SIGNATURE}")), Ok(()));
        for none in
            ["", "v1,", "v1,AAAA", &SIGNATURE[3..], &SIGNATURE.replace("v1,", "v1a,"), &SIGNATURE[..40]]
        {
            assert_eq!(of(none), Err(Unverified::NoneFits), "{none}");
        }
        let many = |number: usize| "v1,AAAA ".repeat(number - 1) + SIGNATURE;
        assert_eq!(of(&many(16)), Ok(()));
        assert_eq!(of(&many(17)), Err(Unverified::TooMany));
    }

    #[test]
    fn every_secret_signs_while_they_are_rotated() {
        let new = Secret::from_random([7; 32]);
        let alone = Signer::new(vec![Secret::parse(&new.expose()).unwrap()]).sign("a", 1, b"{}").signature;
        let both = Signer::new(vec![new, Secret::parse(SECRET).unwrap()]).sign("a", 1, b"{}").signature;
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').next(), Some(&*alone));
    }

    #[test]
    fn secrets_have_a_form_and_a_length() {
        let of = |bytes: usize| Secret::parse(&format!("whsec_{}", STANDARD.encode(vec![1; bytes])));
        for (bytes, good) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(of(bytes).is_ok(), good, "{bytes}");
        }
        for bad in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 not base64 not base64 !!"]
        {
            assert!(Secret::parse(bad).is_err(), "{bad}");
        }
        assert!(!format!("{:?}", Secret::parse(SECRET)).contains("MfKQ"));
    }

    #[test]
    fn a_token_is_good_for_one_run_of_one_job() {
        let tokens = AttemptTokens::new([1; 32]);
        let token = tokens.issue(JobId::MIN, 3);
        assert_eq!(tokens.run_of(JobId::MIN, &token), Some(3));
        assert_eq!(tokens.run_of(JobId::MAX, &token), None);
        assert_eq!(AttemptTokens::new([2; 32]).run_of(JobId::MIN, &token), None);
        for bad in
            ["", "bat_", "bat_3_", "bat__x", &token[..token.len() - 1], &token.replace("bat_3", "bat_4")]
        {
            assert_eq!(tokens.run_of(JobId::MIN, bad), None, "{bad}");
        }
    }
}
