//! Attributes that the operator wants in columns of their own, beside the fixed list (DESIGN §7).
//!
//! A process has one set of columns. It is settled by the first store that is opened, or by the first question for a
//! table's columns, whichever comes first; a table remembers what was promoted in it, so the set only grows.

use std::fmt;

use crate::promoted::{self, Promoted, PromotedKind};
use crate::{Table, schema};

/// A table has no more of these.
const PROMOTIONS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 128;
/// Not stored, but there for every question.
const COMPUTED: &str = "time_unix_nano";

/// An attribute that gets a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// Whose records have it: [`Table::Logs`] or [`Table::Spans`].
    pub table: Table,
    /// The attribute's name.
    pub attribute: String,
    /// The type of its column; values of another stay in the JSON.
    pub kind: PromotedKind,
}

/// Why an attribute cannot have a column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromotionError {
    /// The table has no room for them.
    #[error("{table} has no columns for attributes of your own; logs and spans have")]
    Table {
        /// The table.
        table: Table,
    },
    /// It is no name.
    #[error(
        "`{attribute}` is no attribute that can have a column: give letters, digits, `.`, `_` and `-`, at most {NAME_BYTES_MAX} of them, and `:int` behind the name of one with whole numbers"
    )]
    Name {
        /// What was given.
        attribute: String,
    },
    /// The column's name belongs to something else.
    #[error(
        "the attribute {attribute} cannot have the column `{column}` of {table}: there is another of that name"
    )]
    Taken {
        /// The attribute.
        attribute: String,
        /// The column that it would have.
        column: String,
        /// Where.
        table: Table,
    },
    /// It has a column already, of another type.
    #[error("the attribute {attribute} of {table} has a column of {} already", if *is_text { "texts" } else { "whole numbers" })]
    Kind {
        /// The attribute.
        attribute: String,
        /// Where.
        table: Table,
        /// The type of the column that is there.
        is_text: bool,
    },
    /// There are many already.
    #[error("{table} has {PROMOTIONS_MAX} columns for attributes of your own; that is all that it can have")]
    TooMany {
        /// The table.
        table: Table,
    },
    /// The columns of this process were asked for before.
    #[error(
        "the columns of {table} are settled, without {attribute}; one process cannot have tables with others"
    )]
    Settled {
        /// The attribute.
        attribute: String,
        /// Where.
        table: Table,
    },
}

impl Promotion {
    /// Reads `attribute` or `attribute:int`; the inverse of [`Self::to_string`].
    ///
    /// # Errors
    /// When it is no name, or the table takes none.
    pub fn parse(table: Table, text: &str) -> Result<Self, PromotionError> {
        let (attribute, kind) = match text.strip_suffix(":int") {
            Some(attribute) => (attribute, PromotedKind::Int),
            None => (text, PromotedKind::String),
        };
        if !matches!(table, Table::Logs | Table::Spans) {
            return Err(PromotionError::Table { table });
        }
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let is_name = attribute.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && attribute.chars().all(is_known)
            && attribute.len() <= NAME_BYTES_MAX;
        if !is_name {
            return Err(PromotionError::Name { attribute: text.to_owned() });
        }
        Ok(Self { table, attribute: attribute.to_owned(), kind })
    }

    /// The name of its column.
    pub fn column(&self) -> String {
        self.attribute.replace(['.', '-'], "_").to_ascii_lowercase()
    }
}

impl fmt::Display for Promotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attribute)?;
        match self.kind {
            PromotedKind::String => Ok(()),
            PromotedKind::Int => f.write_str(":int"),
        }
    }
}

/// The fixed list of a table with these behind it. Those that it has are left out.
///
/// # Errors
/// When one cannot have a column.
pub(crate) fn with(table: Table, more: &[Promotion]) -> Result<Vec<Promoted>, PromotionError> {
    let fixed = promoted::fixed(table);
    let mut all = fixed.to_vec();
    for promotion in more.iter().filter(|promotion| promotion.table == table) {
        let Promotion { attribute, kind, .. } = promotion.clone();
        if let Some(known) = all.iter().find(|known| known.attribute == attribute) {
            if known.kind != kind {
                let is_text = known.kind == PromotedKind::String;
                return Err(PromotionError::Kind { attribute, table, is_text });
            }
            continue;
        }
        let column = promotion.column();
        let is_taken = schema::fields(table, &all).iter().any(|field| *field.name() == column);
        if is_taken || column == COMPUTED {
            return Err(PromotionError::Taken { attribute, column, table });
        }
        if all.len() == fixed.len() + PROMOTIONS_MAX {
            return Err(PromotionError::TooMany { table });
        }
        all.push(Promoted::of_operator(&attribute, &column, kind));
    }
    Ok(all)
}

/// Whether these can have columns, nothing else being promoted.
///
/// # Errors
/// When one cannot.
pub fn check_promotions(more: &[Promotion]) -> Result<(), PromotionError> {
    Table::ALL.into_iter().try_for_each(|table| with(table, more).map(|_| ()))
}

/// Gives attributes a column in every table of this process. Comes before anything else that asks for columns; later
/// it may say again what is so, or less.
///
/// # Errors
/// When one cannot have a column, or the columns are settled without it.
pub fn promote(more: &[Promotion]) -> Result<(), PromotionError> {
    let settled = promoted::settle(more)?;
    let is_lacking = |promotion: &&Promotion| {
        let list = settled[promotion.table.index()].iter();
        !list.clone().any(|known| known.attribute == promotion.attribute && known.kind == promotion.kind)
    };
    match more.iter().find(is_lacking) {
        None => Ok(()),
        Some(Promotion { table, attribute, .. }) => {
            Err(PromotionError::Settled { attribute: attribute.clone(), table: *table })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(table: Table, texts: &[&str]) -> Vec<Promotion> {
        texts.iter().map(|text| Promotion::parse(table, text).unwrap()).collect()
    }

    #[test]
    fn names_become_columns() {
        for (text, column, kind) in [
            ("app.tenant", "app_tenant", PromotedKind::String),
            ("cloud-Region", "cloud_region", PromotedKind::String),
            ("build.number:int", "build_number", PromotedKind::Int),
        ] {
            let promotion = Promotion::parse(Table::Logs, text).unwrap();
            assert_eq!((promotion.column().as_str(), promotion.kind), (column, kind));
            assert_eq!(promotion.to_string(), text);
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for text in ["", ":int", "1st", ".a", "a b", "a:double", "größe", &long] {
            let error = Promotion::parse(Table::Spans, text).unwrap_err();
            assert!(matches!(error, PromotionError::Name { .. }), "{text}: {error}");
        }
        assert!(matches!(Promotion::parse(Table::Metrics, "a"), Err(PromotionError::Table { .. })));
    }

    #[test]
    fn a_list_has_what_is_new_behind_what_is_fixed() {
        let more = of(Table::Logs, &["enduser.id", "app.tenant", "app.tenant", "build.number:int"]);
        let list = with(Table::Logs, &more).unwrap();
        let fixed = promoted::fixed(Table::Logs);
        assert_eq!(list[..fixed.len()], *fixed);
        let new: Vec<_> = list[fixed.len()..].iter().map(|promoted| promoted.column).collect();
        assert_eq!(new, ["app_tenant", "build_number"]);
        assert_eq!(with(Table::Spans, &more).unwrap(), promoted::fixed(Table::Spans));
    }

    #[test]
    fn a_list_refuses_what_would_be_ambiguous() {
        for (texts, reason) in [
            (vec!["body"], "another of that name"),
            (vec!["service.name"], "another of that name"),
            (vec!["tenant"], "another of that name"),
            (vec!["time_unix_nano"], "another of that name"),
            (vec!["a.b", "a-b"], "another of that name"),
            (vec!["enduser.id:int"], "a column of texts already"),
            (vec!["a:int", "a"], "a column of whole numbers already"),
        ] {
            let error = with(Table::Logs, &of(Table::Logs, &texts)).unwrap_err().to_string();
            assert!(error.contains(reason), "{texts:?}: {error}");
        }
        // Decoding keeps a bit for each.
        assert!(promoted::fixed(Table::Spans).len() + PROMOTIONS_MAX <= 64);
        let many: Vec<String> = (0..=PROMOTIONS_MAX).map(|number| format!("a{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let error = with(Table::Spans, &of(Table::Spans, &many)).unwrap_err();
        assert_eq!(error, PromotionError::TooMany { table: Table::Spans });
    }
}
