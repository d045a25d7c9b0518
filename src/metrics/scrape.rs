//! What a scrape is told: what was counted, and what is looked up for it.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text};
use prometheus_client::registry::{Registry, Unit};

use super::format::Format;
use super::instruments::{Counter, Histogram};
use super::labels::{Delivery, MailOutcome, Rejection, Transport};
use super::meter::{Inner, KindMeter, Metrics, QueueCounts};
use super::names::{self, Family};
use crate::job::{AttemptOutcome, QueueName, StateName};

/// What is looked up when somebody asks.
#[derive(Debug)]
pub struct Gauges {
    /// How each queue stands, sorted by name.
    pub queues: Vec<QueueGauges>,
    /// What takes memory.
    pub memory: Vec<Held>,
    /// Mails since the start, by what became of them.
    pub mail: Vec<(MailOutcome, u64)>,
    /// Whether the drain has begun.
    pub draining: bool,
}

/// How a queue stands.
#[derive(Debug)]
pub struct QueueGauges {
    /// Its name.
    pub name: QueueName,
    /// How many jobs are in which state.
    pub jobs: Vec<(StateName, u64)>,
    /// How many jobs can wait.
    pub capacity: u64,
    /// How long the longest waiting pending job waits, in seconds.
    pub oldest_pending_seconds: f64,
    /// Whether it is paused.
    pub paused: bool,
    /// How many jobs can run at the same time.
    pub workers: u64,
    /// How many do.
    pub busy: u64,
}

/// What something takes in memory, and how much it may.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Of what.
    pub of: &'static str,
    /// Bytes that are taken.
    pub bytes: u64,
    /// Bytes that may be taken.
    pub limit: u64,
}

/// Tells everything, in the form that is asked for. Nothing is counted by a server whose metrics are off: then there is
/// nothing to tell.
pub fn render(metrics: &Metrics, gauges: Gauges, format: Format) -> Option<String> {
    let metrics = metrics.clone();
    metrics.0.as_ref()?;
    let mut registry = Registry::with_prefix(names::PREFIX);
    registry.register_collector(Box::new(Scrape { metrics, gauges }));
    let mut told = String::with_capacity(16 << 10);
    // Writing into memory does not fail.
    text::encode(&mut told, &registry).ok()?;
    Some(format.of_open_metrics(told))
}

#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    gauges: Gauges,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(inner) = &self.metrics.0 else { return Ok(()) };
        let encoder = &mut encoder;
        let Gauges { queues, memory, mail, draining } = &self.gauges;
        names::JOBS_ENQUEUED
            .told(encoder, |told| inner.each_kind(|labels, meter| counter(told, &labels, &meter.enqueued)))?;
        names::JOBS_REJECTED.told(encoder, |told| {
            inner.each_queue(|queue, counts| {
                each(Rejection::ALL, &counts.rejected, |(reason, count)| {
                    // Without a queue only what there was: what was refused there has no other series.
                    let idle = queue.is_empty() && count.get() == 0;
                    if idle {
                        Ok(())
                    } else {
                        counter(told, &[("queue", queue), ("reason", reason.as_str())], count)
                    }
                })
            })
        })?;
        names::JOBS_FINISHED.told(encoder, |told| {
            inner.each_kind(|[queue, kind], meter| {
                each(StateName::ALL, &meter.finished, |(state, count)| {
                    let labels = [queue, kind, ("state", state.as_str())];
                    if state.is_terminal() { counter(told, &labels, count) } else { Ok(()) }
                })
            })
        })?;
        names::ATTEMPTS.told(encoder, |told| {
            inner.each_kind(|[queue, kind], meter| {
                each(AttemptOutcome::ALL, &meter.attempts, |(outcome, count)| {
                    counter(told, &[queue, kind, ("outcome", outcome.as_str())], count)
                })
            })
        })?;
        names::JOBS.told(encoder, |told| {
            queues.iter().try_for_each(|queue| {
                queue.jobs.iter().try_for_each(|(state, count)| {
                    gauge(told, &[("queue", queue.name.as_str()), ("state", state.as_str())], *count)
                })
            })
        })?;
        names::QUEUE_CAPACITY.told(encoder, |told| of_queues(told, queues, |queue| queue.capacity))?;
        names::QUEUE_OLDEST_PENDING.told(encoder, |told| {
            queues.iter().try_for_each(|queue| {
                let labels = [("queue", queue.name.as_str())];
                told.encode_family(&labels)?.encode_gauge(&queue.oldest_pending_seconds)
            })
        })?;
        names::QUEUE_PAUSED.told(encoder, |told| of_queues(told, queues, |queue| u64::from(queue.paused)))?;
        names::WORKERS.told(encoder, |told| of_queues(told, queues, |queue| queue.workers))?;
        names::WORKERS_BUSY.told(encoder, |told| of_queues(told, queues, |queue| queue.busy))?;
        names::WAIT
            .told(encoder, |told| inner.each_kind(|labels, meter| histogram(told, &labels, &meter.wait)))?;
        names::RUN
            .told(encoder, |told| inner.each_kind(|labels, meter| histogram(told, &labels, &meter.run)))?;
        names::RETRIES
            .told(encoder, |told| inner.each_kind(|labels, meter| counter(told, &labels, &meter.retries)))?;
        names::WEBHOOK_DELIVERIES.told(encoder, |told| {
            each(Delivery::ALL, &inner.deliveries, |(outcome, count)| {
                counter(told, &[("outcome", outcome.as_str())], count)
            })
        })?;
        names::MAIL_SENT.told(encoder, |told| {
            mail.iter().try_for_each(|(outcome, count)| {
                let labels = [("outcome", outcome.as_str())];
                told.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(count, None)
            })
        })?;
        names::PUSH_CONNECTIONS.told(encoder, |told| {
            each(Transport::ALL, &inner.connections, |(transport, count)| {
                gauge(told, &[("transport", transport.as_str())], count.load(Ordering::Relaxed))
            })
        })?;
        names::MEMORY.told(encoder, |told| {
            memory.iter().try_for_each(|held| gauge(told, &[("of", held.of)], held.bytes))
        })?;
        names::MEMORY_LIMIT.told(encoder, |told| {
            memory.iter().try_for_each(|held| gauge(told, &[("of", held.of)], held.limit))
        })?;
        names::WORKER_RESTARTS.told(encoder, |told| {
            inner.each_queue(|queue, counts| counter(told, &[("queue", queue)], &counts.restarts))
        })?;
        names::HANDLERS_ABANDONED.told(encoder, |told| {
            inner
                .abandoned
                .iter()
                .try_for_each(|(kind, count)| counter(told, &[("kind", kind.as_str())], count))
        })?;
        names::DRAINING.told(encoder, |told| told.encode_gauge(&u64::from(*draining)))?;
        names::BUILD.told(encoder, |told| told.encode_info(&[("version", env!("CARGO_PKG_VERSION"))]))?;
        names::HTTP_REQUEST_DURATION.told(encoder, |told| {
            let routes = inner.routes.lock().unwrap_or_else(PoisonError::into_inner);
            routes.iter().try_for_each(|(route, meter)| {
                meter.each(|method, status, durations| {
                    histogram(told, &[("method", method), ("route", route), ("status", status)], durations)
                })
            })
        })?;
        Ok(())
    }
}

impl Inner {
    /// Every queue, and what belongs to none.
    fn each_queue(&self, mut tell: impl FnMut(&str, &QueueCounts) -> fmt::Result) -> fmt::Result {
        let queues = self.queues.iter().map(|(name, meter)| (name.as_str(), meter));
        for (name, meter) in queues.chain([("", &self.no_queue)]) {
            meter.0.as_ref().map_or(Ok(()), |counts| tell(name, counts))?;
        }
        Ok(())
    }

    /// Every kind in every queue in which there is something to tell of it, with both labels.
    fn each_kind(
        &self,
        mut tell: impl FnMut([(&'static str, &str); 2], &KindMeter) -> fmt::Result,
    ) -> fmt::Result {
        self.each_queue(|queue, counts| {
            let mut kinds: Vec<_> = counts.kinds.iter().filter(|(_, meter)| meter.is_told()).collect();
            kinds.sort_by_key(|(kind, _)| *kind);
            let mut kinds = kinds.into_iter();
            kinds.try_for_each(|(kind, meter)| tell([("queue", queue), ("kind", kind.as_str())], meter))
        })
    }
}

impl Family {
    fn told(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        tell: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        // The encoder adds what belongs to the type and the unit.
        let name = self.name.trim_end_matches("_total").trim_end_matches("_info");
        let unit = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)];
        let unit = unit.into_iter().find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, unit)));
        let (name, unit) = unit.map_or((name, None), |(name, unit)| (name, Some(unit)));
        tell(&mut encoder.encode_descriptor(name, self.help, unit.as_ref(), self.kind)?)
    }
}

fn each<V, C>(
    values: impl IntoIterator<Item = V>,
    counts: &[C],
    tell: impl FnMut((V, &C)) -> fmt::Result,
) -> fmt::Result {
    values.into_iter().zip(counts).try_for_each(tell)
}

fn counter(told: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, count: &Counter) -> fmt::Result {
    told.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&count.get(), None)
}

fn gauge(told: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    told.encode_family(labels)?.encode_gauge(&value)
}

fn of_queues(
    told: &mut MetricEncoder<'_>,
    queues: &[QueueGauges],
    value: impl Fn(&QueueGauges) -> u64,
) -> fmt::Result {
    queues.iter().try_for_each(|queue| gauge(told, &[("queue", queue.name.as_str())], value(queue)))
}

fn histogram(told: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, of: &Histogram) -> fmt::Result {
    let buckets = of.buckets();
    // From the buckets, so that both say the same whatever is counted meanwhile.
    let count = buckets.iter().map(|(_, count)| count).sum();
    told.encode_family(labels)?.encode_histogram::<NoLabelSet>(of.sum(), count, &buckets, None)
}
