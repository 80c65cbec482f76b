//! `hindsight postmortem …`, word by word.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use hindsight_postmortem::document::Status;
use jiff::Timestamp;

use crate::args::SourceArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct PostmortemArgs {
    #[command(subcommand)]
    pub(super) command: PostmortemCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PostmortemCommand {
    /// Write a draft with frozen evidence from an incident
    Draft {
        /// For example INC-7
        incident: String,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Check a post-mortem against the rules of its status
    Lint {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Check as if it had this later status already, for example published
        #[arg(long = "as", value_name = "STATUS", value_parser = super::status::parse_status)]
        as_status: Option<Status>,
        /// Judge lateness as of this time [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// Also ask telemetry: times of alerts and versions, and the evidence run again
        #[arg(long)]
        rerun: bool,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Check that a document opens, has what it cites, and that its evidence is as it was frozen
    #[command(
        after_help = "Exit status: 0 all is as it was, 1 something is missing or altered, 2 the document cannot be read."
    )]
    Verify {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Every rule of `lint`
    Rules {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the status of a post-mortem and what is in the way of the next, or move it on or back; without a path, all
    /// of them and the incidents that lack one
    Status {
        /// The post-mortem's folder or its postmortem.md
        path: Option<PathBuf>,
        /// Where to: draft, in_review, approved, published or closed
        #[arg(long, requires_all = ["by", "path"], value_parser = super::status::parse_status)]
        to: Option<Status>,
        /// Who asks, by the handle of `owner:` or `reviewer:`
        #[arg(long, requires = "to")]
        by: Option<String>,
        /// When it was, not in the future [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// Why; a step back needs it
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        edit: EditArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Write the lessons without names and places, for those who may not read the post-mortem
    ExportLessons {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// Where to [default: lessons.md in its folder]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Make a post-mortem of an existing Markdown file
    Import {
        /// The Markdown file
        file: PathBuf,
        /// An incident it is about, for example INC-7; may be repeated
        #[arg(long)]
        incident: Vec<String>,
        /// IANA name of the zone of its times
        #[arg(long, default_value = "UTC")]
        timezone: String,
        /// Where rules and post-mortems are [default: nearest hindsight.toml upward, else the current folder]
        #[arg(long, env = "HINDSIGHT_WORKSPACE")]
        workspace: Option<PathBuf>,
    },
    /// Edit the five whys
    Why {
        #[command(subcommand)]
        command: WhyCommand,
    },
    /// Tag a post-mortem with patterns of the controlled list; without names, print the list
    Tag {
        /// The post-mortem's folder or its postmortem.md
        path: Option<PathBuf>,
        /// Patterns to add
        patterns: Vec<String>,
        /// A pattern to take away; may be repeated
        #[arg(long)]
        remove: Vec<String>,
        #[command(flatten)]
        edit: EditArgs,
    },
    /// Write the one-file HTML report
    Render {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// Where to [default: report.html in its folder]
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// What every edit of a post-mortem may say.
#[derive(Debug, ClapArgs)]
pub(super) struct EditArgs {
    /// Refuse the edit when the file's SHA-256 is no longer this one
    #[arg(long, value_name = "SHA256")]
    pub(super) expect: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum WhyCommand {
    /// Ask a further why; prints its number
    Add {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// The question
        question: String,
        /// The why it follows from, for example 1.4 [default: it starts a branch]
        #[arg(long)]
        under: Option<String>,
        /// The answer, if there is one yet
        #[arg(long)]
        answer: Option<String>,
        #[command(flatten)]
        edit: EditArgs,
    },
    /// Answer a why
    Answer {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// For example 1.4
        number: String,
        /// The answer
        answer: String,
        /// Evidence that shows it, for example E4; may be repeated
        #[arg(long)]
        evidence: Vec<String>,
        /// It is supposed, not shown
        #[arg(long)]
        hypothesis: bool,
        #[command(flatten)]
        edit: EditArgs,
    },
    /// Note that evidence confirms a hypothesis
    Confirm(JudgeArgs),
    /// Note that evidence refutes a hypothesis
    Refute(JudgeArgs),
    /// Let a why, and all that follows from it, follow from another
    Move {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// For example 2.2
        number: String,
        /// The why it shall follow from
        #[arg(long)]
        under: String,
        #[command(flatten)]
        edit: EditArgs,
    },
    /// Take a why out
    Delete {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// For example 2.2
        number: String,
        /// With all that follows from it
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        edit: EditArgs,
    },
    /// Tell where chains stop short
    Check {
        /// The post-mortem's folder or its postmortem.md
        path: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct JudgeArgs {
    /// The post-mortem's folder or its postmortem.md
    pub(super) path: PathBuf,
    /// For example 1.4
    pub(super) number: String,
    /// Evidence that shows it, for example E4; may be repeated
    #[arg(long, required = true)]
    pub(super) evidence: Vec<String>,
    #[command(flatten)]
    pub(super) edit: EditArgs,
}
