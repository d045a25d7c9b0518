//! How long requests of one route took, by method and status.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::instruments::{Histogram, OF_REQUESTS};

/// The route of requests that no route was found for, or that were refused at the door.
pub const UNMATCHED: &str = "unmatched";

/// Methods by which requests are told apart, and one for all others: a caller must not be able to make labels.
const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS", "PUT", "other"];

/// The statuses of our answers, and one for all others.
const STATUSES: [u16; 26] = [
    200, 202, 303, 304, 404, 503, 422, 429, 400, 401, 403, 405, 408, 409, 410, 413, 415, 421, 101, 201, 204,
    206, 412, 426, 500, 0,
];

/// The durations of the requests of one route. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RouteMeter(Option<Arc<Cells>>);

/// Made when they are first needed: most routes have few answers.
type Cells = [OnceLock<Box<Statuses>>; METHODS.len()];
type Statuses = [OnceLock<Histogram>; STATUSES.len()];

impl RouteMeter {
    pub(super) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    pub(super) const fn off() -> Self {
        Self(None)
    }

    /// Notes how long a request took.
    pub fn observe(&self, method: &str, status: u16, duration: Duration) {
        let Some(cells) = &self.0 else { return };
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        let statuses = cells[method].get_or_init(Box::default);
        statuses[status].get_or_init(|| Histogram::new(OF_REQUESTS)).observe(duration);
    }

    /// Calls `tell` for each method and status that there was.
    pub(super) fn each<E>(
        &self,
        mut tell: impl FnMut(&'static str, &str, &Histogram) -> Result<(), E>,
    ) -> Result<(), E> {
        let cells = self.0.iter().flat_map(|cells| METHODS.iter().zip(cells.iter()));
        for (method, statuses) in cells {
            let statuses =
                statuses.get().into_iter().flat_map(|statuses| STATUSES.iter().zip(statuses.iter()));
            for (status, histogram) in statuses {
                if let Some(histogram) = histogram.get() {
                    let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
                    tell(method, &status, histogram)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(meter: &RouteMeter) -> Vec<String> {
        let mut told = Vec::new();
        let tell = |method, status: &str, histogram: &Histogram| {
            let count: u64 = histogram.buckets().iter().map(|(_, count)| count).sum();
            told.push(format!("{method} {status} {count}"));
            Ok::<_, ()>(())
        };
        meter.each(tell).unwrap();
        told
    }

    #[test]
    fn nobody_can_make_labels() {
        let meter = RouteMeter::new();
        for (method, status) in [("GET", 200), ("GET", 200), ("BREW", 418), ("get", 799), ("PATCH", 503)] {
            meter.observe(method, status, Duration::ZERO);
        }
        assert_eq!(told(&meter), ["GET 200 2", "PATCH 503 1", "other other 2"]);
        RouteMeter::off().observe("GET", 200, Duration::ZERO);
        assert!(told(&RouteMeter::off()).is_empty());
    }
}
