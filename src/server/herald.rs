//! How the service is told what notices say.

use serde_json::value::RawValue;

use crate::egress::Refused;
use crate::job::{Callback, Job, Timestamp, Waiting};
use crate::jobs::BadUrl;
use crate::{jobs, kinds};

impl jobs::Herald for kinds::Herald {
    fn check_url(&self, url: &str) -> Result<(), BadUrl> {
        self.check_url(url).map_err(|refused| match refused {
            Refused::Range { .. } => BadUrl::Forbidden(refused.to_string()),
            refused => BadUrl::Invalid(refused.to_string()),
        })
    }

    fn check_address(&self, address: &str) -> Result<(), String> {
        self.check_address(address).map_err(str::to_owned)
    }

    fn shown_address(&self, address: &str) -> String {
        self.shown_address(address)
    }

    fn webhook(
        &self,
        job: &Job,
        at: Timestamp,
        waiting: Option<Waiting>,
        callback: &Callback,
    ) -> Box<RawValue> {
        self.webhook(job, at, waiting, callback)
    }

    fn email(&self, job: &Job, address: &str) -> Box<RawValue> {
        self.email(job, address)
    }
}
