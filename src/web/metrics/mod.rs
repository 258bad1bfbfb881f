//! The daemon's figures as OpenMetrics, from one picture.
//!
//! Each family of metrics is a row: name, kind, labels, help, and where its samples are in the picture. The text, the tables of
//! `docs/metrics.md` and the check of the files in `examples/` are made from these rows.

mod daemon;
mod forwarding;
mod pools;
mod reference;
#[cfg(test)]
mod tests;
mod vrrp;

pub use reference::reference;

use super::Process;
use crate::status::Status;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, GaugeValueEncoder, MetricEncoder,
    NoLabelSet, text as openmetrics,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;
use std::fmt;

/// What a family counts or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Info,
}

/// A row.
struct Family {
    /// As in a query, without `_total` and `_info`.
    name: &'static str,
    kind: Kind,
    /// The unit that the name ends in.
    unit: Option<&'static str>,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&View<'_>, &mut Samples),
}

/// What samples are made of.
struct View<'a> {
    status: &'a Status,
    process: &'a Process,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Whole(u64),
    Signed(i64),
    Real(f64),
}

/// The samples of one family.
#[derive(Default)]
struct Samples(Vec<(Vec<String>, Value)>);

impl Samples {
    fn put(&mut self, labels: &[&str], value: impl Into<Value>) {
        self.0.push((labels.iter().map(|text| (*text).to_owned()).collect(), value.into()));
    }

    /// One sample for each of `all`: 1 where it is the present one.
    fn put_states(&mut self, labels: &[&str], all: &[&str], present: &str) {
        for state in all {
            let labels: Vec<&str> = labels.iter().copied().chain([*state]).collect();
            self.put(&labels, *state == present);
        }
    }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&View<'_>, &mut Samples),
) -> Family {
    Family { name, kind: Kind::Gauge, unit: None, labels, help, samples }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&View<'_>, &mut Samples),
) -> Family {
    Family { kind: Kind::Counter, ..gauge(name, labels, help, samples) }
}

const fn info(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&View<'_>, &mut Samples),
) -> Family {
    Family { kind: Kind::Info, ..gauge(name, labels, help, samples) }
}

impl Family {
    const fn seconds(self) -> Self {
        Self { unit: Some("seconds"), ..self }
    }

    const fn bytes(self) -> Self {
        Self { unit: Some("bytes"), ..self }
    }

    /// The name of its samples.
    fn sample_name(&self) -> String {
        match self.kind {
            Kind::Gauge => self.name.to_owned(),
            Kind::Counter => format!("{}_total", self.name),
            Kind::Info => format!("{}_info", self.name),
        }
    }
}

/// Every row, in groups with a title.
const GROUPS: &[(&str, &[Family])] = &[
    ("The daemon", daemon::FAMILIES),
    ("VRRP", vrrp::FAMILIES),
    ("Virtual servers", pools::VIRTUAL_SERVERS),
    ("Real servers and their checks", pools::REAL_SERVERS),
    ("Forwarding and connection sync", forwarding::FAMILIES),
];

/// The whole answer to a scrape, `# EOF` included.
#[must_use]
pub fn text(status: &Status, process: &Process) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition::new(&View { status, process })));
    let mut text = String::new();
    // Writing into memory fails only where a collector does, and ours does not.
    if openmetrics::encode(&mut text, &registry).is_err() {
        text.clear();
    }
    text
}

/// What a picture says, family by family.
struct Exposition(Vec<(&'static Family, Samples)>);

impl Exposition {
    fn new(view: &View<'_>) -> Self {
        let families = GROUPS.iter().flat_map(|(_, families)| *families);
        Self(families.map(|family| (family, collect(family, view))).collect())
    }
}

/// Two samples with the same labels would spoil the whole scrape; the first one stays.
fn collect(family: &Family, view: &View<'_>) -> Samples {
    let mut samples = Samples::default();
    (family.samples)(view, &mut samples);
    let mut seen = BTreeSet::new();
    samples.0.retain(|(labels, _)| seen.insert(labels.clone()));
    samples
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().filter(|(_, samples)| !samples.0.is_empty()).try_for_each(|(family, samples)| {
            let (stem, unit) = family.stem();
            let metric = encoder.encode_descriptor(stem, family.help, unit.as_ref(), family.metric_type())?;
            family.encode(samples, metric)
        })
    }
}

impl Family {
    /// The encoder puts the unit behind the name by itself.
    fn stem(&self) -> (&'static str, Option<Unit>) {
        let stem = self.unit.and_then(|unit| self.name.strip_suffix(unit)?.strip_suffix('_'));
        (stem.unwrap_or(self.name), stem.and(self.unit).map(|unit| Unit::Other(unit.to_owned())))
    }

    fn metric_type(&self) -> MetricType {
        match self.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Info => MetricType::Info,
        }
    }

    fn encode(&self, samples: &Samples, mut metric: MetricEncoder<'_>) -> fmt::Result {
        for (values, value) in &samples.0 {
            let labels: Vec<(&str, &str)> =
                self.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            match self.kind {
                Kind::Info => metric.encode_info(&labels)?,
                _ if labels.is_empty() => self.encode_value(*value, &mut metric)?,
                _ => self.encode_value(*value, &mut metric.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }

    fn encode_value(&self, value: Value, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match self.kind {
            Kind::Counter => metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
            _ => metric.encode_gauge(&value),
        }
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Value::Whole(value) => EncodeGaugeValue::encode(value, encoder),
            Value::Signed(value) => EncodeGaugeValue::encode(value, encoder),
            Value::Real(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

impl EncodeCounterValue for Value {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Value::Whole(value) => EncodeCounterValue::encode(value, encoder),
            // Nothing that is counted is below zero.
            Value::Signed(value) => EncodeCounterValue::encode(&u64::try_from(*value).unwrap_or(0), encoder),
            Value::Real(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Signed(value.into())
    }
}

impl From<std::time::Duration> for Value {
    fn from(value: std::time::Duration) -> Self {
        Self::Real(value.as_secs_f64())
    }
}

/// Milliseconds, of an interval or since 1970, as seconds.
fn seconds(milliseconds: u64) -> Value {
    std::time::Duration::from_millis(milliseconds).into()
}
