//! What a client holds between two calls. A handle is the whole question, text and values, so that the server keeps
//! nothing that could leak, expire or be guessed, and any server can answer.

use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{SqlParam, SqlRequest, Tenant, timestamp_from_micros, to_micros};
use prost::Message as _;
use tonic::Status;

/// A statement, and the values of its parameters as far as they are bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Handle {
    pub(super) sql: String,
    pub(super) params: BTreeMap<String, SqlParam>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Written {
    #[prost(string, tag = "1")]
    sql: String,
    #[prost(message, repeated, tag = "2")]
    params: Vec<Param>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Param {
    #[prost(string, tag = "1")]
    name: String,
    /// Null when there is none.
    #[prost(oneof = "Value", tags = "2, 3, 4, 5, 6, 7")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(string, tag = "5")]
    Text(String),
    /// Microseconds since 1970.
    #[prost(int64, tag = "6")]
    Time(i64),
    #[prost(uint64, tag = "7")]
    IntervalMicros(u64),
}

impl Handle {
    pub(super) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), params: BTreeMap::new() }
    }

    /// # Errors
    /// Bytes that are no handle of ours.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Status> {
        let wrong = || {
            Status::invalid_argument("the handle is not one of this server's; prepare the statement again")
        };
        let Written { sql, params } = Written::decode(bytes).map_err(|_| wrong())?;
        let params = params.into_iter().map(|Param { name, value }| Some((name, from_written(value)?)));
        Ok(Self { sql, params: params.collect::<Option<_>>().ok_or_else(wrong)? })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let params = self.params.iter();
        let params = params.map(|(name, value)| Param { name: name.clone(), value: to_written(value) });
        Written { sql: self.sql.clone(), params: params.collect() }.encode_to_vec()
    }

    pub(super) fn request(&self) -> SqlRequest {
        let mut request = SqlRequest::new(&self.sql).tenant(Tenant::default());
        request.params.clone_from(&self.params);
        request
    }
}

fn to_written(value: &SqlParam) -> Option<Value> {
    Some(match value {
        SqlParam::Null => return None,
        SqlParam::Bool(flag) => Value::Bool(*flag),
        SqlParam::Int(number) => Value::Int(*number),
        SqlParam::Double(number) => Value::Double(*number),
        SqlParam::Text(text) => Value::Text(text.clone()),
        SqlParam::Time(at) => Value::Time(to_micros(*at)),
        SqlParam::Interval(span) => {
            Value::IntervalMicros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
        }
    })
}

fn from_written(value: Option<Value>) -> Option<SqlParam> {
    Some(match value {
        None => SqlParam::Null,
        Some(Value::Bool(flag)) => SqlParam::Bool(flag),
        Some(Value::Int(number)) => SqlParam::Int(number),
        Some(Value::Double(number)) => SqlParam::Double(number),
        Some(Value::Text(text)) => SqlParam::Text(text),
        Some(Value::Time(micros)) => SqlParam::Time(timestamp_from_micros(micros)?),
        Some(Value::IntervalMicros(micros)) => SqlParam::Interval(Duration::from_micros(micros)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn param() -> impl Strategy<Value = SqlParam> {
        prop_oneof![
            Just(SqlParam::Null),
            any::<bool>().prop_map(SqlParam::Bool),
            any::<i64>().prop_map(SqlParam::Int),
            (-1e300..1e300).prop_map(SqlParam::Double),
            any::<String>().prop_map(SqlParam::Text),
            (-1_000_000_000_000_i64..4_000_000_000_000_000)
                .prop_map(|micros| SqlParam::Time(timestamp_from_micros(micros).unwrap())),
            any::<u64>().prop_map(|micros| SqlParam::Interval(Duration::from_micros(micros))),
        ]
    }

    proptest! {
        #[test]
        fn a_handle_that_was_written_is_read(
            sql in any::<String>(),
            params in prop::collection::btree_map(any::<String>(), param(), 0..5),
        ) {
            let handle = Handle { sql, params };
            prop_assert_eq!(Handle::read(&handle.write()).unwrap(), handle);
        }

        #[test]
        fn any_bytes_are_a_handle_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Handle::read(&bytes);
        }
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        let value = Some(Value::Time(i64::MAX));
        let written = Written { sql: String::new(), params: vec![Param { name: "1".to_owned(), value }] };
        assert!(Handle::read(&written.encode_to_vec()).is_err());
    }
}
