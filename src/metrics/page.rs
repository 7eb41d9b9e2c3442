//! The text that is read: numbers under the names of the table, in one of the two formats that scrapers ask for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::table::{Metric, Sort};
use super::tally::Distribution;

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// The older text of Prometheus, which everything else reads.
    Plain,
}

impl Format {
    /// What the header `Accept` asks for. The older form is for those who ask for nothing.
    pub fn accepted(accept: Option<&str>) -> Self {
        let mut asked = accept.unwrap_or_default().split(',').map(str::trim);
        let is_asked = |wish: &str| wish.starts_with("application/openmetrics-text") && !wish.ends_with(";q=0");
        if asked.any(is_asked) { Self::OpenMetrics } else { Self::Plain }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// What has numbers to tell.
pub(super) trait Numbers: fmt::Debug + Send + Sync + 'static {
    /// Tells them, each metric once.
    fn tell(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// The text of these numbers.
pub(super) fn render(numbers: impl Numbers, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told(numbers)));
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = match format {
        Format::OpenMetrics => text::encode(&mut out, &registry),
        Format::Plain => prometheus_text::encode(&mut out, &registry),
    };
    out
}

#[derive(Debug)]
struct Told<N>(N);

impl<N: Numbers> Collector for Told<N> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.tell(&mut Page(encoder))
    }
}

/// A text that is being written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// A metric without labels.
    pub(super) fn one(&mut self, metric: &Metric, value: impl Into<Value>) -> fmt::Result {
        write_value(&mut self.begin(metric)?, metric, value.into())
    }

    /// The same, where there is a value.
    pub(super) fn some(&mut self, metric: &Metric, value: Option<impl Into<Value>>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.one(metric, value))
    }

    /// A metric with a value for each set of labels; nothing at all without any.
    pub(super) fn each<'l, const N: usize, V: Into<Value>>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = ([&'l str; N], V)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.begin(metric)?;
        for (labels, value) in values {
            let labels = named(metric, labels);
            write_value(&mut encoder.encode_family(&labels)?, metric, value.into())?;
        }
        Ok(())
    }

    /// A histogram without labels. Its values are counted in so many of the metric's unit.
    pub(super) fn histogram(&mut self, metric: &Metric, distribution: &Distribution, unit: f64) -> fmt::Result {
        write_histogram(&mut self.begin(metric)?, distribution, unit)
    }

    /// A histogram for each value of its label; nothing at all without any.
    pub(super) fn histograms<'l>(
        &mut self,
        metric: &Metric,
        unit: f64,
        distributions: impl IntoIterator<Item = (&'l str, &'l Distribution)>,
    ) -> fmt::Result {
        let mut distributions = distributions.into_iter().peekable();
        if distributions.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.begin(metric)?;
        for (label, distribution) in distributions {
            write_histogram(&mut encoder.encode_family(&named(metric, [label]))?, distribution, unit)?;
        }
        Ok(())
    }

    fn begin<'s>(&'s mut self, metric: &'s Metric) -> Result<MetricEncoder<'s>, fmt::Error> {
        let sort = match metric.sort {
            Sort::Counter => MetricType::Counter,
            Sort::Gauge => MetricType::Gauge,
            Sort::Histogram => MetricType::Histogram,
        };
        self.0.encode_descriptor(metric.name, metric.help, None, sort)
    }
}

/// A number as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// A whole one.
    Whole(i64),
    /// Any other.
    Real(f64),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Whole(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// The labels of a series with their names.
fn named<'l, const N: usize>(metric: &Metric, labels: [&'l str; N]) -> Vec<(&'static str, &'l str)> {
    debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
    metric.labels.iter().copied().zip(labels).collect()
}

fn write_value(encoder: &mut MetricEncoder<'_>, metric: &Metric, value: Value) -> fmt::Result {
    match (metric.sort, value) {
        (Sort::Counter, Value::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, u64, u64>(&value.try_into().unwrap_or_default(), None)
        }
        (Sort::Counter, Value::Real(value)) => encoder.encode_counter::<NoLabelSet, f64, u64>(&value, None),
        (_, Value::Whole(value)) => encoder.encode_gauge(&value),
        (_, Value::Real(value)) => encoder.encode_gauge(&value),
    }
}

/// Numbers of counts and microseconds are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn write_histogram(encoder: &mut MetricEncoder<'_>, distribution: &Distribution, unit: f64) -> fmt::Result {
    let scaled = |value: u64| value as f64 / unit;
    let buckets = distribution.buckets.iter().map(|(bound, count)| (scaled(*bound), *count));
    let buckets: Vec<_> = buckets.chain([(f64::INFINITY, distribution.beyond)]).collect();
    encoder.encode_histogram::<NoLabelSet>(scaled(distribution.sum), distribution.count(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_openmetrics_gets_it_and_everybody_else_the_older_text() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, expected) in [
            (Some(prometheus), Format::OpenMetrics),
            (Some("text/plain, application/openmetrics-text"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0"), Format::Plain),
            (Some("text/plain"), Format::Plain),
            (Some("*/*"), Format::Plain),
            (Some(""), Format::Plain),
            (None, Format::Plain),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept:?}");
        }
    }
}
