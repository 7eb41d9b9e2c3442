//! What `GET /metrics` tells, in the OpenMetrics text format that Prometheus reads. The numbers are kept by those who count
//! them; here they get names. Names, labels and units stay once they are published.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::open_api::CallCount;

/// The media type of [`render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The numbers of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Jobs that were given up.
    pub jobs_dead: i64,
    /// Jobs that have failed and are tried again.
    pub jobs_failing: i64,
    /// For how long the certificate is still valid; `None`: HTTPS is not spoken.
    pub certificate: Option<SignedDuration>,
    /// For so long the snapshot beside the database has not held everything for sure.
    pub snapshot_age: Option<Duration>,
    /// The same of the dated series; `None`: there is none.
    pub series_age: Option<Duration>,
    /// Usage records that KooGallery does not have yet. (Settled ones are too many to count each time.)
    pub usage: Usage,
    /// Calls to KooGallery; `None`: the open API is not configured.
    pub open_api: Option<OpenApi>,
}

/// What of the reported usage waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Records whose time has not come.
    pub waiting: i64,
    /// Records that are to be sent now.
    pub due: i64,
    /// For so long the first of those has been due; zero: none is.
    pub oldest_due: SignedDuration,
}

/// How calls to KooGallery stand.
#[derive(Debug, Clone, Default)]
pub struct OpenApi {
    /// By call and result.
    pub calls: Vec<CallCount>,
    /// The access key was refused, and nothing is called for now.
    pub is_locked: bool,
    /// By how much this machine's clock is ahead of KooGallery's.
    pub clock_difference: Option<SignedDuration>,
}

/// The text.
pub fn render(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = text::encode(&mut out, &registry);
    out
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        gauge(&mut encoder, "koogate_jobs_dead", "Jobs that were given up and wait for somebody", self.jobs_dead)?;
        gauge(&mut encoder, "koogate_jobs_failing", "Jobs that have failed and are tried again", self.jobs_failing)?;
        if let Some(left) = self.certificate {
            let help = "Seconds until the certificate of the public listener expires; less than 0 afterwards";
            gauge(&mut encoder, "koogate_certificate_expires_seconds", help, left.as_secs())?;
        }
        let seconds = |age: Duration| i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        if let Some(age) = self.snapshot_age {
            let help = "Seconds since the verified snapshot beside the database held everything for sure";
            gauge(&mut encoder, "koogate_snapshot_age_seconds", help, seconds(age))?;
        }
        if let Some(age) = self.series_age {
            let help = "Seconds since the dated series of snapshots got a verified copy";
            gauge(&mut encoder, "koogate_snapshot_series_age_seconds", help, seconds(age))?;
        }
        self.usage.encode(&mut encoder)?;
        self.open_api.as_ref().map_or(Ok(()), |open_api| open_api.encode(&mut encoder))
    }
}

impl Usage {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Usage records that KooGallery does not have: waiting for their time, or due";
        let mut records = encoder.encode_descriptor("koogate_usage_records", help, None, MetricType::Gauge)?;
        for (state, count) in [("waiting", self.waiting), ("due", self.due)] {
            ConstGauge::new(count).encode(records.encode_family(&[("state", state)])?)?;
        }
        let help = "Seconds since the first usage record that is due became so; 0: none is";
        gauge(encoder, "koogate_usage_oldest_due_seconds", help, self.oldest_due.as_secs())
    }
}

impl OpenApi {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Calls to KooGallery since the start or the last reload";
        let mut calls = encoder.encode_descriptor("koogate_open_api_calls", help, None, MetricType::Counter)?;
        for CallCount { call, result, count } in &self.calls {
            let labels = [("call", *call), ("result", *result)];
            ConstCounter::new(*count).encode(calls.encode_family(&labels)?)?;
        }
        let help = "1: KooGallery refused the access key, and nothing is called for now";
        gauge(encoder, "koogate_open_api_locked", help, i64::from(self.is_locked))?;
        match self.clock_difference {
            Some(difference) => {
                let help = "Seconds by which this machine's clock is ahead of KooGallery's";
                gauge(encoder, "koogate_open_api_clock_difference_seconds", help, difference.as_secs())
            }
            None => Ok(()),
        }
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_openmetrics() {
        let calls = vec![CallCount { call: "order query", result: "done", count: 7 }];
        let clock_difference = Some(SignedDuration::from_secs(-3));
        let open_api = Some(OpenApi { calls, is_locked: true, clock_difference });
        let certificate = Some(SignedDuration::from_hours(24));
        let usage = Usage { waiting: 3, due: 4, oldest_due: SignedDuration::from_secs(61) };
        let (snapshot_age, series_age) = (Some(Duration::from_secs(59)), Some(Duration::from_secs(3600)));
        let text =
            render(Snapshot { jobs_dead: 1, jobs_failing: 2, certificate, snapshot_age, series_age, usage, open_api });
        assert_eq!(
            text,
            "# HELP koogate_jobs_dead Jobs that were given up and wait for somebody\n\
             # TYPE koogate_jobs_dead gauge\n\
             koogate_jobs_dead 1\n\
             # HELP koogate_jobs_failing Jobs that have failed and are tried again\n\
             # TYPE koogate_jobs_failing gauge\n\
             koogate_jobs_failing 2\n\
             # HELP koogate_certificate_expires_seconds Seconds until the certificate of the public listener expires; \
             less than 0 afterwards\n\
             # TYPE koogate_certificate_expires_seconds gauge\n\
             koogate_certificate_expires_seconds 86400\n\
             # HELP koogate_snapshot_age_seconds Seconds since the verified snapshot beside the database held everything \
             for sure\n\
             # TYPE koogate_snapshot_age_seconds gauge\n\
             koogate_snapshot_age_seconds 59\n\
             # HELP koogate_snapshot_series_age_seconds Seconds since the dated series of snapshots got a verified copy\n\
             # TYPE koogate_snapshot_series_age_seconds gauge\n\
             koogate_snapshot_series_age_seconds 3600\n\
             # HELP koogate_usage_records Usage records that KooGallery does not have: waiting for their time, or due\n\
             # TYPE koogate_usage_records gauge\n\
             koogate_usage_records{state=\"waiting\"} 3\n\
             koogate_usage_records{state=\"due\"} 4\n\
             # HELP koogate_usage_oldest_due_seconds Seconds since the first usage record that is due became so; 0: none is\n\
             # TYPE koogate_usage_oldest_due_seconds gauge\n\
             koogate_usage_oldest_due_seconds 61\n\
             # HELP koogate_open_api_calls Calls to KooGallery since the start or the last reload\n\
             # TYPE koogate_open_api_calls counter\n\
             koogate_open_api_calls_total{call=\"order query\",result=\"done\"} 7\n\
             # HELP koogate_open_api_locked 1: KooGallery refused the access key, and nothing is called for now\n\
             # TYPE koogate_open_api_locked gauge\n\
             koogate_open_api_locked 1\n\
             # HELP koogate_open_api_clock_difference_seconds Seconds by which this machine's clock is ahead of KooGallery's\n\
             # TYPE koogate_open_api_clock_difference_seconds gauge\n\
             koogate_open_api_clock_difference_seconds -3\n\
             # EOF\n"
        );
    }
}
