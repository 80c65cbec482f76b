use std::fmt;

use serde::Serialize;

/// How a value is compared with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Above.
    Gt,
    /// Above or equal.
    Gte,
    /// Below.
    Lt,
    /// Below or equal.
    Lte,
}

impl Op {
    /// Whether `value op threshold` holds. Never for NaN.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Gt => value > threshold,
            Self::Gte => value >= threshold,
            Self::Lt => value < threshold,
            Self::Lte => value <= threshold,
        }
    }

    /// Whether large values are the bad ones.
    pub fn is_upward(self) -> bool {
        matches!(self, Self::Gt | Self::Gte)
    }

    /// `>`, `>=`, `<` or `<=`.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        }
    }
}

/// When a value is a breach. `recover` makes a band in which nothing changes (hysteresis); without it, the alert
/// recovers as soon as `fire` no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// The comparison.
    pub op: Op,
    /// A breach begins where `value op fire`.
    pub fire: f64,
    /// A breach lasts while `value op recover`; never on the wrong side of `fire`.
    pub recover: f64,
}

impl Condition {
    /// Whether this value begins a breach.
    pub fn fires(&self, value: f64) -> bool {
        self.op.holds(value, self.fire)
    }

    /// Whether this value keeps up a breach that has begun.
    pub fn holds(&self, value: f64) -> bool {
        self.op.holds(value, self.recover)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value {} {}", self.op.symbol(), self.fire)?;
        if (self.recover - self.fire).abs() > 0.0 {
            write!(f, ", until not {} {}", self.op.symbol(), self.recover)?;
        }
        Ok(())
    }
}
