//! A histogram of durations that many tasks write to at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations in buckets about 3 % wide, from one microsecond to an hour.
pub(crate) struct Histogram {
    buckets: Vec<AtomicU64>,
    longest: AtomicU64,
}

/// Buckets for each power of two.
const STEPS: u64 = 32;
const LONGEST: u64 = (1 << 32) - 1;

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: (0..=bucket(LONGEST)).map(|_| AtomicU64::new(0)).collect(),
            longest: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(crate) fn record(&self, length: Duration) {
        let length = micros(length).min(LONGEST);
        self.buckets[bucket(length)].fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(length, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }

    /// The length that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count() * percent).div_ceil(100);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= wanted {
                return Duration::from_micros(upper_edge(index)).min(self.longest());
            }
        }
        self.longest()
    }
}

/// The top bits of `length` within its power of two, one power after another.
pub(crate) fn bucket(length: u64) -> usize {
    let power = length.max(STEPS).ilog2() - STEPS.ilog2();
    (u64::from(power) * STEPS + (length >> power)) as usize
}

pub(crate) fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let power = (bucket / STEPS).saturating_sub(1);
    ((bucket - power * STEPS + 1) << power) - 1
}

pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}
