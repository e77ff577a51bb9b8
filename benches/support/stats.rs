//! Order statistics. Medians and deciles, never means: one preempted round
//! would move a mean by more than the effect that is looked for.

/// The middle and the deciles of a sample.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) p10: f64,
    pub(crate) median: f64,
    pub(crate) p90: f64,
}

impl Spread {
    pub(crate) fn of(sample: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = sample.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Spread {
            p10: quantile(&sorted, 0.1),
            median: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
        }
    }
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    assert!(!sorted.is_empty(), "a spread of nothing");
    let place = q * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// A number with as many decimals as it can bear.
pub(crate) fn figure(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.3}"),
        v if v < 1000.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

const SUB: u64 = 16;

/// Counts durations in buckets about 6 % wide. Fixed in size and small, so that
/// recording touches no new memory inside a loop that looks for stalls.
pub(crate) struct Histogram {
    buckets: Box<[u32; 64 * SUB as usize]>,
    count: u64,
    worst: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram {
            buckets: Box::new([0; 64 * SUB as usize]),
            count: 0,
            worst: 0,
        }
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.buckets[Self::index(nanos)] += 1;
        self.count += 1;
        self.worst = self.worst.max(nanos);
    }

    pub(crate) fn worst(&self) -> f64 {
        self.worst as f64
    }

    /// The lower edge of the bucket that the quantile falls into.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (index, &bucket) in self.buckets.iter().enumerate() {
            seen += u64::from(bucket);
            if seen >= rank && bucket > 0 {
                return Self::lower_edge(index as u64) as f64;
            }
        }
        self.worst()
    }

    // Below SUB each value has a bucket of its own; above, the top bit selects
    // the group and the next four the bucket within it.
    fn index(nanos: u64) -> usize {
        if nanos < SUB {
            return nanos as usize;
        }
        let group = u64::from(nanos.ilog2() - SUB.ilog2() + 1);
        let within = (nanos >> (group - 1)) - SUB;
        (group * SUB + within) as usize
    }

    fn lower_edge(index: u64) -> u64 {
        match index / SUB {
            0 => index,
            group => (SUB + index % SUB) << (group - 1),
        }
    }
}
