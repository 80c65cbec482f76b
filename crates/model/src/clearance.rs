/// Which post-mortems a reader may see. Telemetry, alerts and incidents are everyone's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clearance {
    /// Those that are not restricted.
    #[default]
    Everyone,
    /// Restricted ones too: the reader has the role `restricted`.
    Restricted,
}
