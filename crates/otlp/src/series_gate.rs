/// Who decides whether a point of a series may come in: the active-series limit on arrival, and on replay what was
/// decided then.
pub trait SeriesGate: Send + Sync {
    /// Whether points of this series are stored. Within one request the answer for a series does not change.
    fn admit(&self, series_id: i64) -> bool;
}

/// No limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

impl SeriesGate for AdmitAll {
    fn admit(&self, _: i64) -> bool {
        true
    }
}
