use std::sync::Arc;

/// A value that many rows share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    /// No value.
    Null,
    /// For a text column.
    Text(Box<str>),
    /// For a `BIGINT` column.
    Int(i64),
    /// For a `BOOLEAN` column.
    Bool(bool),
}

impl Cell {
    /// Text, or null for an empty one: proto3 cannot tell it from one that was not sent.
    pub fn optional(text: &str) -> Self {
        if text.is_empty() { Self::Null } else { Self::Text(text.into()) }
    }

    /// The text of a text cell.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes of a value when it is repeated on a row.
    pub fn row_bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Text(text) => text.len(),
            Self::Int(_) | Self::Bool(_) => 8,
        }
    }
}

/// What rows belong to, kept once for all of them: for spans and logs their resource and scope; for points their
/// series, whose parent is its metric, whose parent is its resource and scope.
///
/// The cells are those of the columns that [`crate::Table::owner_columns`] names for its level.
#[derive(Debug, PartialEq, Eq)]
pub struct Owner {
    parent: Option<Arc<Owner>>,
    level: usize,
    cells: Box<[Cell]>,
}

impl Owner {
    /// Resource and scope: level 0.
    pub fn group(cells: Vec<Cell>) -> Self {
        Self { parent: None, level: 0, cells: cells.into() }
    }

    /// A metric or a series: one level below `parent`.
    pub fn within(parent: &Arc<Self>, cells: Vec<Cell>) -> Self {
        Self { parent: Some(Arc::clone(parent)), level: parent.level + 1, cells: cells.into() }
    }

    /// 0 for resource and scope, 1 for a metric, 2 for a series.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The owner at `level`: itself or the one above that stands there. `None` when it is not so deep.
    pub fn at_level(&self, level: usize) -> Option<&Self> {
        let mut owner = self;
        while owner.level > level {
            owner = owner.parent.as_deref()?;
        }
        (owner.level == level).then_some(owner)
    }

    /// The cells of its own level.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The value of the column at `index` of `level`; null where the owner has none.
    pub fn cell(&self, level: usize, index: usize) -> &Cell {
        self.at_level(level).and_then(|owner| owner.cells.get(index)).unwrap_or(&Cell::Null)
    }

    /// Bytes of all values, its parents' included, when they are repeated on a row.
    pub fn row_bytes(&self) -> usize {
        let own: usize = self.cells.iter().map(Cell::row_bytes).sum();
        own + self.parent.as_deref().map_or(0, Self::row_bytes)
    }
}
