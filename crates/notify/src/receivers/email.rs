//! Mail in plain text: what its headers and its body say. Sending is [`crate::mail`]'s.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Notice, label_list};
use crate::alert::one_line;

/// Longest subject.
const SUBJECT_BYTES_MAX: usize = 250;

/// A mail as it is stored until it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mail {
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// The mail to send, as JSON.
pub(crate) fn render(notice: &Notice<'_>) -> String {
    let mut text = String::new();
    for told in notice.told {
        let alert = &told.alert;
        let ended = alert.ends_at.map(|at| format!(" until {at}")).unwrap_or_default();
        let written = writeln!(
            text,
            "{} {}\n{}\n\n  since   {}{ended}\n  labels  {}",
            told.kind.as_str().to_uppercase(),
            one_line(alert.name(), SUBJECT_BYTES_MAX),
            alert.summary(),
            alert.starts_at,
            label_list(alert),
        );
        written.expect("a string takes every text");
        for (name, value) in alert.annotations.iter().filter(|(name, _)| *name != "summary") {
            writeln!(text, "  {name}  {value}").expect("a string takes every text");
        }
        writeln!(text, "  rule    {}\n", alert.generator_url).expect("a string takes every text");
    }
    writeln!(text, "-- \nHindsight at {}", notice.external_url).expect("a string takes every text");
    let mail = Mail { subject: one_line(&notice.title(), SUBJECT_BYTES_MAX), text };
    serde_json::to_string(&mail).expect("two texts always serialise")
}
