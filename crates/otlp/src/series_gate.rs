/// Who decides whether a point of a series may come in: the active-series limit on arrival, and on replay what was
/// decided then.
pub trait SeriesGate: Send + Sync {
    /// Whether points of this series are stored. Within one request the answer for a series does not change.
    fn admit(&self, series_id: i64) -> bool;

    /// A number that stays the same while series that were admitted need not be asked about again, and that no
    /// other tenant's gate ever has. 0 when each point must be asked about.
    fn stamp(&self) -> u64 {
        0
    }
}

/// No limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

impl SeriesGate for AdmitAll {
    fn admit(&self, _: i64) -> bool {
        true
    }
}
