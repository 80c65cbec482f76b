//! Action items after the document: how they stand, what verifies them, and how other trackers take them.
//!
//! What people say stands in the document's table, or beside it in `state`; what verification found stands in `state`
//! alone, since the program rewrites no table that a person wrote (PM-2).

mod check;
mod export;
mod standing;
mod verify;

pub use check::{Found, check};
pub use export::{ExportItem, github_json, jira_csv, jira_json};
pub use standing::{Standing, checked, standing};
pub use verify::{Expect, Verify, VerifyError};
