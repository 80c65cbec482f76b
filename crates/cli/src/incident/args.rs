//! The words of `hindsight incident`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::args::ListArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct IncidentArgs {
    #[command(subcommand)]
    pub(super) command: IncidentCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum IncidentCommand {
    /// All incidents, newest first
    List(ListArgs),
    /// One incident with its timeline and suspects
    Show {
        /// For example INC-7
        id: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// The telemetry that incidents keep from being deleted
    Holds(ListArgs),
    /// Open an incident in a person's name (needs a server)
    Declare {
        /// Who is affected and how
        title: String,
        /// SEV1, SEV2, SEV3 or SEV4
        #[arg(long, default_value = "SEV2")]
        severity: String,
        /// A service that is hurt; may be given several times
        #[arg(long = "service")]
        services: Vec<String>,
        /// Role or name of who declares
        #[arg(long, default_value = "incident commander")]
        author: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Write a note into an incident's timeline (needs a server)
    Note {
        /// For example INC-7
        id: String,
        /// What you saw or did
        text: String,
        /// Role or name of who writes
        #[arg(long, default_value = "scribe")]
        author: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Somebody takes it (needs a server, as all that follow)
    Acknowledge {
        #[command(flatten)]
        on: On,
    },
    /// The cause is known
    Cause {
        /// What it was
        #[arg(long)]
        text: String,
        #[command(flatten)]
        on: On,
    },
    /// Customers are no longer hurt
    Mitigate {
        /// What was done
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// It is over
    Resolve {
        #[command(flatten)]
        on: On,
    },
    /// It came back, or was not over
    Reopen {
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        on: On,
    },
    /// The work on it is done: with its post-mortem, or without one and a reason
    Close {
        /// Why there is no post-mortem
        #[arg(long, value_name = "REASON")]
        without_postmortem: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// It is worse, or less bad, than was thought
    Severity {
        /// SEV1, SEV2, SEV3 or SEV4
        #[arg(long = "to", value_name = "SEVERITY")]
        severity: String,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        on: On,
    },
    /// Somebody has a role in the response
    Role {
        /// incident_commander, communications or scribe
        #[arg(long)]
        role: String,
        /// Who has it now; without it the role is given up
        #[arg(long)]
        person: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// A time is known better than telemetry knows it; without --at it is left to telemetry again
    Time {
        /// trigger, impact_start, detected, acknowledged, cause_identified, mitigated or resolved
        #[arg(long)]
        milestone: String,
        #[command(flatten)]
        on: On,
    },
    /// It is part of another incident: its alerts are the other's from then on
    Merge {
        /// The other one, for example INC-3
        #[arg(long)]
        into: String,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        on: On,
    },
    /// Look at the telemetry again: rows that came late are added, dismissed ones stay dismissed
    Gather {
        /// For example INC-7
        id: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// The rows of its timeline, with the numbers by which they are accepted, dismissed and edited
    Timeline {
        /// For example INC-7
        id: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Write a row into its timeline
    AddRow {
        /// What happened
        #[arg(long)]
        text: String,
        /// note, milestone, change, alert, …
        #[arg(long, default_value = "note")]
        kind: String,
        /// The service it is about
        #[arg(long)]
        service: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// A suggested row belongs to the story
    Accept {
        #[command(flatten)]
        row: Row,
    },
    /// A suggested row does not belong to the story, and does not come back
    Dismiss {
        #[command(flatten)]
        row: Row,
    },
    /// Change what a row says; its first time and words are kept beside
    Edit {
        /// What it says from now on
        #[arg(long)]
        text: Option<String>,
        /// When it happened
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        #[command(flatten)]
        row: Row,
    },
    /// The incident with its telemetry and post-mortems as one file, which `hindsight open` shows anywhere
    Export(crate::capsule::ExportArgs),
    /// Rows from a CSV file (columns time and text; also kind, service, role, author) or a chat's export; a file that
    /// is imported again adds nothing twice
    ImportTimeline {
        /// For example INC-7
        id: String,
        /// The file
        file: PathBuf,
        /// How it is written [default: found out from its beginning]
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// The zone of times that name none
        #[arg(long, default_value = "UTC")]
        timezone: String,
        /// The role of people for whom the file names none
        #[arg(long, default_value = "responder")]
        role: String,
        /// Role or name of who imports
        #[arg(long, default_value = "scribe")]
        author: String,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// Which incident, when, and who says so.
#[derive(Debug, ClapArgs)]
pub(super) struct On {
    /// For example INC-7
    pub(super) id: String,
    /// When it happened [default: now]
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// Role or name of who says so
    #[arg(long, default_value = "incident commander")]
    pub(super) author: String,
    #[command(flatten)]
    pub(super) list: ListArgs,
}

/// Which rows, and who says so.
#[derive(Debug, ClapArgs)]
pub(super) struct Row {
    /// For example INC-7
    pub(super) id: String,
    /// Numbers of the rows, as `hindsight incident timeline` shows them
    #[arg(required = true)]
    pub(super) rows: Vec<u64>,
    /// Role or name of who says so
    #[arg(long, default_value = "scribe")]
    pub(super) author: String,
    #[command(flatten)]
    pub(super) list: ListArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Csv,
    /// A list of messages with `ts` and `text`, as Slack exports a channel
    ChatJson,
    /// Lines such as `[2026-05-04 14:32] ana: rolling back`
    ChatText,
}

impl Format {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::ChatJson => "chat-json",
            Self::ChatText => "chat-text",
        }
    }
}
