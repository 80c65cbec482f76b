//! Capsules: an incident with its telemetry and post-mortems in one file, made of a running server or of a data
//! directory, and served again, read-only (ADR 0016). The format itself is `hindsight-capsule`'s.

mod error;
mod export;
mod open;
mod view;

pub use error::CapsuleError;
pub use export::{CapsuleExport, Documents, ExportOptions, export_capsule};
pub use open::{UnpackedCapsule, unpack_capsule};
pub use view::CapsuleView;
pub(crate) use view::{read_only, served};
