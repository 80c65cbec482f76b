//! Which PostgreSQL type stands for an Arrow type.

use arrow::datatypes::DataType;

/// A scalar type that answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Json,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PgType {
    One(Scalar),
    /// A one-dimensional array.
    Many(Scalar),
}

impl Scalar {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 15] = [
        Self::Bool,
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float4,
        Self::Float8,
        Self::Numeric,
        Self::Text,
        Self::Bytea,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::Timestamptz,
        Self::Interval,
        Self::Json,
    ];

    /// (oid, oid of the array, width in bytes or -1, name): the constants of `pg_type`, the same in every version.
    fn row(self) -> (u32, u32, i16, &'static str) {
        match self {
            Self::Bool => (16, 1000, 1, "boolean"),
            Self::Int2 => (21, 1005, 2, "smallint"),
            Self::Int4 => (23, 1007, 4, "integer"),
            Self::Int8 => (20, 1016, 8, "bigint"),
            Self::Float4 => (700, 1021, 4, "real"),
            Self::Float8 => (701, 1022, 8, "double precision"),
            Self::Numeric => (1700, 1231, -1, "numeric"),
            Self::Text => (25, 1009, -1, "text"),
            Self::Bytea => (17, 1001, -1, "bytea"),
            Self::Date => (1082, 1182, 4, "date"),
            Self::Time => (1083, 1183, 8, "time without time zone"),
            Self::Timestamp => (1114, 1115, 8, "timestamp without time zone"),
            Self::Timestamptz => (1184, 1185, 8, "timestamp with time zone"),
            Self::Interval => (1186, 1187, 16, "interval"),
            Self::Json => (114, 199, -1, "json"),
        }
    }

    pub(crate) fn oid(self) -> u32 {
        self.row().0
    }
}

impl PgType {
    /// The type for a column of an answer. Integers without a sign take the next wider type; lists of lists or structs,
    /// structs and maps are JSON.
    pub(crate) fn of(data_type: &DataType) -> Self {
        let scalar = match data_type {
            DataType::Dictionary(_, values) => return Self::of(values),
            DataType::RunEndEncoded(_, values) => return Self::of(values.data_type()),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => {
                return match Self::of(item.data_type()) {
                    Self::Many(_) | Self::One(Scalar::Json) => Self::One(Scalar::Json),
                    Self::One(scalar) => Self::Many(scalar),
                };
            }
            DataType::Boolean => Scalar::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Scalar::Int2,
            DataType::Int32 | DataType::UInt16 => Scalar::Int4,
            DataType::Int64 | DataType::UInt32 => Scalar::Int8,
            DataType::UInt64
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Scalar::Numeric,
            DataType::Float16 | DataType::Float32 => Scalar::Float4,
            DataType::Float64 => Scalar::Float8,
            DataType::Null
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Union(..) => Scalar::Text,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Scalar::Bytea,
            DataType::Date32 | DataType::Date64 => Scalar::Date,
            DataType::Time32(_) | DataType::Time64(_) => Scalar::Time,
            DataType::Timestamp(_, None) => Scalar::Timestamp,
            DataType::Timestamp(_, Some(_)) => Scalar::Timestamptz,
            DataType::Interval(_) | DataType::Duration(_) => Scalar::Interval,
            DataType::Struct(_) | DataType::Map(..) => Scalar::Json,
        };
        Self::One(scalar)
    }

    pub(crate) fn oid(self) -> u32 {
        match self {
            Self::One(scalar) => scalar.row().0,
            Self::Many(scalar) => scalar.row().1,
        }
    }

    /// Bytes of a value; -1 where they vary.
    pub(crate) fn width(self) -> i16 {
        match self {
            Self::One(scalar) => scalar.row().2,
            Self::Many(_) => -1,
        }
    }
}

/// The name of a column's type as `\d` shows it, from the engine's own name for it.
pub(crate) fn pg_name(sql_type: &str) -> String {
    if let Some(item) = sql_type.strip_prefix("LIST<").and_then(|rest| rest.strip_suffix('>')) {
        let item = pg_name(item);
        return if item == "json" || item.ends_with("[]") { "json".to_owned() } else { format!("{item}[]") };
    }
    let scalar = match sql_type {
        "BOOLEAN" => Scalar::Bool,
        "TINYINT" | "SMALLINT" | "TINYINT UNSIGNED" => Scalar::Int2,
        "INTEGER" | "SMALLINT UNSIGNED" => Scalar::Int4,
        "BIGINT" | "INTEGER UNSIGNED" => Scalar::Int8,
        "BIGINT UNSIGNED" => Scalar::Numeric,
        "REAL" => Scalar::Float4,
        "DOUBLE" => Scalar::Float8,
        "VARBINARY" => Scalar::Bytea,
        "DATE" => Scalar::Date,
        "TIME" => Scalar::Time,
        // Every column of ours that is an instant is in UTC.
        "TIMESTAMP" => Scalar::Timestamptz,
        "INTERVAL" => Scalar::Interval,
        other if other.starts_with("DECIMAL") => Scalar::Numeric,
        other if other.starts_with("STRUCT") || other == "MAP" => Scalar::Json,
        _ => Scalar::Text,
    };
    scalar.row().3.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn lists_of_scalars_are_arrays_and_deeper_ones_json() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        assert_eq!(PgType::of(&list(DataType::Float64)), PgType::Many(Scalar::Float8));
        assert_eq!(PgType::of(&list(list(DataType::Float64))), PgType::One(Scalar::Json));
        let pair = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        assert_eq!(PgType::of(&list(pair)), PgType::One(Scalar::Json));
        for (sql_type, name) in [
            ("LIST<DOUBLE>", "double precision[]"),
            ("LIST<STRUCT<a BIGINT>>", "json"),
            ("TIMESTAMP", "timestamp with time zone"),
            ("VARCHAR", "text"),
        ] {
            assert_eq!(pg_name(sql_type), name);
        }
    }
}
