//! A capsule: one incident in one file that can be sent to somebody and opened there. A plain tar whose first entry is
//! a manifest that names every other one with its size and SHA-256 (docs/format/capsule.md).
//!
//! - [`Manifest`] says what is inside; [`CapsulePath`] is the only form that a name in it may have.
//! - [`Layout`] turns a manifest into the bytes around the files; whoever has the files streams them in between.
//! - [`read`] goes through a capsule from its first byte to its last and trusts nothing; [`check`] and [`extract`] are
//!   what it is for.
//!
//! What this crate is not: it knows no store and no state. `server` gathers what goes in and serves what comes out.
//!
//! Invariants:
//! - nothing is written before the manifest was understood, and nothing outside the folder that was asked for;
//! - only plain files with a name of [`CapsulePath`] pass, in the order and of the size that the manifest says: no
//!   links, no folders, no second copy of a name, nothing left over;
//! - a file is in the folder under its name only after its checksum was found right.
//!
//! A checksum shows damage, not forgery: whoever changes a file may change the manifest too. [`Manifest::sha256`] is
//! short enough to be compared by another way than the one that the capsule came by.

mod error;
mod extract;
mod layout;
mod manifest;
mod path;
mod read;

#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use extract::extract;
pub use layout::{END, Layout, padding};
pub use manifest::{Block, FORMAT, FileEntry, MANIFEST_NAME, Manifest, OfIncident, TableCounts, Window};
pub use path::{CapsulePath, Kind};
pub use read::{Told, check, read};
