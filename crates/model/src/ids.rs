use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text or a byte string is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// OTLP ids have a fixed length.
    #[error("{kind} id has {got} bytes; it must have {want}")]
    Length {
        /// `trace` or `span`.
        kind: &'static str,
        /// Bytes required.
        want: usize,
        /// Bytes found.
        got: usize,
    },
    /// OTLP calls an id of zeros invalid.
    #[error("{kind} id is all zeros")]
    Zero {
        /// `trace` or `span`.
        kind: &'static str,
    },
    /// Not hexadecimal.
    #[error("{kind} id is not hexadecimal")]
    NotHex {
        /// `trace` or `span`.
        kind: &'static str,
    },
    /// Not a tenant name.
    #[error(
        "`{0}` is not a tenant name; use 1 to 64 of a-z, A-Z, 0-9, `-`, `_` and `.`, not starting with a dot"
    )]
    Tenant(String),
    /// Not an incident id.
    #[error("`{0}` is not an incident id; it looks like INC-7")]
    Incident(String),
    /// Not a silence's id.
    #[error("`{0}` is not a silence's id; it looks like SIL-7")]
    Silence(String),
    /// Not a node id.
    #[error("`{0}` is not a node id (a UUID)")]
    Node(String),
}

macro_rules! otlp_id {
    ($name:ident, $len:literal, $kind:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Accepts OTLP's bytes.
            ///
            /// # Errors
            /// When the length is wrong or every byte is zero.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
                let id: [u8; $len] = bytes.try_into().map_err(|_| IdError::Length {
                    kind: $kind,
                    want: $len,
                    got: bytes.len(),
                })?;
                if id == [0; $len] {
                    return Err(IdError::Zero { kind: $kind });
                }
                Ok(Self(id))
            }

            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = hex::decode(text).map_err(|_| IdError::NotHex { kind: $kind })?;
                Self::from_bytes(&bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

otlp_id!(TraceId, 16, "trace", "A trace's 16 bytes, never all zeros; shown as 32 lower-case hex digits.");
otlp_id!(SpanId, 8, "span", "A span's 8 bytes, never all zeros; shown as 16 lower-case hex digits.");

/// Whose data it is: a short name that is safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

impl Tenant {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// `default`, the tenant of requests that name none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for Tenant {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.chars().all(safe) {
            return Err(IdError::Tenant(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Tenant {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `INC-7`: a number that counts up within a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IncidentId(pub u64);

impl FromStr for IncidentId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix("INC-")
            .and_then(|number| number.parse().ok())
            .map(Self)
            .ok_or_else(|| IdError::Incident(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for IncidentId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<IncidentId> for String {
    fn from(id: IncidentId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INC-{}", self.0)
    }
}

/// The UUID in `<data-dir>/node.id`: who wrote a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub uuid::Uuid);

impl FromStr for NodeId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.trim().parse().map(Self).map_err(|_| IdError::Node(text.chars().take(80).collect()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_wrong_length_or_zeros_are_refused() {
        assert_eq!(TraceId::from_bytes(&[0; 16]), Err(IdError::Zero { kind: "trace" }));
        assert_eq!(SpanId::from_bytes(&[1; 7]), Err(IdError::Length { kind: "span", want: 8, got: 7 }));
        let id: TraceId = "4BF92F3577B34DA6A3CE929D0E0E4736".parse().unwrap();
        assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn tenants_cannot_climb_out_of_a_path() {
        for bad in ["", "..", ".hidden", "a/b", "a b", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<Tenant>().is_err(), "{bad}");
        }
        assert_eq!("team-1.eu".parse::<Tenant>().unwrap().as_str(), "team-1.eu");
    }

    #[test]
    fn incident_ids_round_trip() {
        assert_eq!("INC-231".parse::<IncidentId>().unwrap().to_string(), "INC-231");
        assert!("INC-".parse::<IncidentId>().is_err());
    }
}
