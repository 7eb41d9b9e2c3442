//! How many calls of the open API were made, and what became of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::error::OpenApiError;
use crate::protocol::open_api::reply::Standing;

/// Counts since the start, or since the configuration was reloaded.
#[derive(Debug, Default)]
pub struct OpenApiMetrics(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

/// One count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    /// Which call.
    pub call: &'static str,
    /// `done`, `refused`, `signature`, `throttled`, `failed` (no answer, or KooGallery's own trouble) or `not-sent`.
    pub result: &'static str,
    /// How often.
    pub count: u64,
}

impl OpenApiMetrics {
    /// All counts that are not zero.
    pub fn counts(&self) -> Vec<CallCount> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((call, result), count)| CallCount { call, result, count: *count }).collect()
    }

    /// Counts an attempt.
    pub(super) fn count<T>(&self, call: &'static str, attempt: &Result<T, OpenApiError>) {
        let result = attempt.as_ref().err().map_or("done", result_of);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((call, result)).or_default() += 1;
    }
}

fn result_of(error: &OpenApiError) -> &'static str {
    match error {
        OpenApiError::Refused { refusal, .. } => match refusal.standing() {
            Standing::Signature => "signature",
            Standing::Throttled => "throttled",
            Standing::Temporary => "failed",
            Standing::Permanent => "refused",
        },
        OpenApiError::NotConfigured
        | OpenApiError::Locked { .. }
        | OpenApiError::Throttled { .. }
        | OpenApiError::Crowded { .. }
        | OpenApiError::Store(_) => "not-sent",
        _ => "failed",
    }
}
