//! What only the kinds themselves can say about a schedule.

use super::builder::Builder;
use crate::handler::Registry;
use crate::job::nearest;
use crate::schedule::Schedule;

impl Builder {
    /// Finds schedules whose jobs would be refused, each time anew and when nobody looks.
    pub(super) fn check_schedules(&mut self) {
        let limit = self.config.limits.payload;
        let schedules = self.config.schedules.values();
        self.faults.extend(schedules.flat_map(|schedule| faults(schedule, &self.registry, limit)));
    }
}

fn faults(schedule: &Schedule, registry: &Registry, limit: usize) -> Vec<String> {
    let (name, job) = (&schedule.name, &schedule.job);
    let Some(kind) = registry.get(job.kind.as_str()) else {
        let names = registry.names();
        let names = names.iter().map(|known| known.as_str());
        let instead = match nearest(job.kind.as_str(), names.clone()) {
            Some(nearest) => format!("did you mean {nearest:?}?"),
            None => format!("there are: {}", names.collect::<Vec<_>>().join(", ")),
        };
        return vec![format!("schedules.{name}.kind: unknown kind; {instead}")];
    };
    if job.payload.get().len() > limit {
        return vec![format!(
            "schedules.{name}.payload: must be at most {limit} bytes, as limits.payload says"
        )];
    }
    let faults = kind.check(&job.payload).into_iter();
    faults
        .map(|fault| match &*fault.pointer {
            "" => format!("schedules.{name}.payload: {}", fault.detail),
            pointer => format!("schedules.{name}.payload: {pointer} {}", fault.detail),
        })
        .collect()
}
