//! What a search asks for: a query string on one side, SQL on the other.

use hindsight_model::{SqlParam, SqlRequest, timestamp_from_micros};
use jiff::Timestamp;

/// Traces in an answer when the caller does not say.
const LIMIT: usize = 20;
/// Traces in an answer at most.
const LIMIT_MAX: usize = 1_500;
/// Conditions on tags at most.
const TAGS_MAX: usize = 32;
/// How far back a search without `start` looks.
const LOOKBACK_MICROS: i64 = 3_600_000_000;

/// One search, checked.
#[derive(Debug, PartialEq)]
pub(super) struct Find {
    /// When given, nothing else counts.
    pub(super) trace_ids: Vec<String>,
    service: Option<String>,
    operation: Option<String>,
    start: Timestamp,
    end: Timestamp,
    min_nanos: Option<i64>,
    max_nanos: Option<i64>,
    tags: Vec<(String, String)>,
    limit: usize,
}

impl Find {
    /// The search that these parameters mean; a sentence when they mean none.
    pub(super) fn of(params: &[(String, String)], now: Timestamp) -> Result<Self, String> {
        let mut find = Self {
            trace_ids: Vec::new(),
            service: None,
            operation: None,
            start: timestamp_from_micros(now.as_microsecond() - LOOKBACK_MICROS).unwrap_or(now),
            end: now,
            min_nanos: None,
            max_nanos: None,
            tags: Vec::new(),
            limit: LIMIT,
        };
        for (name, value) in params.iter().filter(|(_, value)| !value.is_empty()) {
            find.set(name, value)?;
        }
        if find.service.is_none() && find.trace_ids.is_empty() {
            return Err("say which `service`, or which traces by `traceID`".to_owned());
        }
        Ok(find)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let micros = || -> Result<Timestamp, String> {
            let micros = value.parse();
            instant(micros.map_err(|_| format!("`{name}` is not a number of microseconds: {value}"))?)
        };
        match name {
            "traceID" if self.trace_ids.len() == LIMIT_MAX => {
                return Err(format!("at most {LIMIT_MAX} traces at once"));
            }
            "traceID" => self.trace_ids.push(trace_id(value)?),
            "service" => self.service = Some(value.to_owned()),
            "operation" if value != "all" => self.operation = Some(value.to_owned()),
            "start" => self.start = micros()?,
            "end" => self.end = micros()?,
            "minDuration" => self.min_nanos = Some(duration(name, value)?),
            "maxDuration" => self.max_nanos = Some(duration(name, value)?),
            "limit" => {
                let limit: usize = value.parse().map_err(|_| format!("`limit` is not a number: {value}"))?;
                self.limit = limit.clamp(1, LIMIT_MAX);
            }
            "tag" => {
                let (key, value) = value.split_once(':').ok_or("`tag` is not written key:value")?;
                self.tags.push((key.to_owned(), value.to_owned()));
            }
            "tags" => self.tags.extend(tags(value)?),
            _ => {}
        }
        if self.tags.len() > TAGS_MAX { Err(format!("at most {TAGS_MAX} tags")) } else { Ok(()) }
    }

    /// A query for the ids of the newest traces that have such a span.
    pub(super) fn request(&self) -> SqlRequest {
        let mut conditions = vec!["timestamp >= $start".to_owned(), "timestamp <= $end".to_owned()];
        let mut params: Vec<(String, SqlParam)> =
            vec![("start".to_owned(), self.start.into()), ("end".to_owned(), self.end.into())];
        let mut equal = |condition: &str, name: String, value: SqlParam| {
            conditions.push(condition.replace("$_", &format!("${name}")));
            params.push((name, value));
        };
        if let Some(service) = &self.service {
            equal("service_name = $_", "service".to_owned(), SqlParam::Text(service.clone()));
        }
        if let Some(operation) = &self.operation {
            equal("name = $_", "operation".to_owned(), SqlParam::Text(operation.clone()));
        }
        if let Some(nanos) = self.min_nanos {
            equal("duration_nano >= $_", "min".to_owned(), SqlParam::Int(nanos));
        }
        if let Some(nanos) = self.max_nanos {
            equal("duration_nano <= $_", "max".to_owned(), SqlParam::Int(nanos));
        }
        for (number, (key, value)) in self.tags.iter().enumerate() {
            let value = match (key.as_str(), value.to_ascii_lowercase().as_str()) {
                ("error", "true") => "error".to_owned(),
                ("otel.status_code" | "span.kind", lower) => lower.to_owned(),
                _ => value.clone(),
            };
            equal(&tag_condition(key), format!("tag{number}"), SqlParam::Text(value));
        }
        let sql = format!(
            "SELECT trace_id FROM spans WHERE {} GROUP BY trace_id ORDER BY max(timestamp) DESC LIMIT {}",
            conditions.join(" AND "),
            self.limit
        );
        let request = SqlRequest::new(sql);
        params.into_iter().fold(request, |request, (name, value)| request.param(name, value))
    }
}

/// The condition that a tag means; `$_` stands for its value. Tags that Jaeger makes of OTLP's own fields are those
/// fields (OpenTelemetry specification, "OpenTelemetry to Jaeger transformation").
fn tag_condition(key: &str) -> String {
    match key {
        "error" | "otel.status_code" => "status_code = $_".to_owned(),
        "otel.status_description" => "status_message = $_".to_owned(),
        "span.kind" => "kind = $_".to_owned(),
        "otel.scope.name" | "otel.library.name" => "scope_name = $_".to_owned(),
        "otel.scope.version" | "otel.library.version" => "scope_version = $_".to_owned(),
        _ => {
            let key = key.replace('\'', "''");
            format!("(attributes->>'{key}' = $_ OR resource_attributes->>'{key}' = $_)")
        }
    }
}

/// `{"key":"value"}`, as the UI sends it, or `key=value key=value`, as people type it.
fn tags(text: &str) -> Result<Vec<(String, String)>, String> {
    if !text.trim_start().starts_with('{') {
        let pair = |word: &str| {
            let (key, value) =
                word.split_once('=').ok_or(format!("`tags` has {word}, which is not key=value"))?;
            Ok((key.to_owned(), value.trim_matches('"').to_owned()))
        };
        return text.split_whitespace().map(pair).collect();
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("`tags` is not a JSON object: {error}"))?;
    let plain = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(object.into_iter().map(|(key, value)| (key, plain(value))).collect())
}

/// 32 hexadecimal digits; Jaeger leaves leading zeros out.
pub(super) fn trace_id(text: &str) -> Result<String, String> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(format!("{:0>32}", text.to_ascii_lowercase()))
    } else {
        Err(format!("a trace id is up to 32 hexadecimal digits, which {text:?} is not"))
    }
}

pub(super) fn instant(micros: i64) -> Result<Timestamp, String> {
    timestamp_from_micros(micros).ok_or_else(|| format!("{micros} µs since 1970 is outside the calendar"))
}

/// Nanoseconds of a duration as Go writes it: `1.5s`, `100ms`, `2m30s`.
fn duration(name: &str, text: &str) -> Result<i64, String> {
    let wrong = || format!("`{name}` is not a duration such as 1.5s or 100ms: {text}");
    let mut nanos = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = &rest[digits..];
        let end = unit.find(|sign: char| sign.is_ascii_digit() || sign == '.').unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return Err(wrong()),
        };
        nanos += number * factor;
        rest = &unit[end..];
    }
    // A float becomes the nearest whole number within the range.
    if text.is_empty() { Err(wrong()) } else { Ok(nanos.round() as i64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(query: &[(&str, &str)]) -> Result<Find, String> {
        let params: Vec<_> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Find::of(&params, "2026-05-04T14:32:00Z".parse().unwrap())
    }

    #[test]
    fn a_search_becomes_sql_whose_values_are_all_parameters() {
        let find = find(&[
            ("service", "check'out"),
            ("operation", "all"),
            ("minDuration", "1.5s"),
            ("tags", r#"{"error":"true","http.route":"/cart","o'clock":7}"#),
            ("limit", "5"),
        ]);
        let request = find.unwrap().request();
        assert_eq!(
            request.sql,
            "SELECT trace_id FROM spans WHERE timestamp >= $start AND timestamp <= $end AND service_name = $service \
             AND duration_nano >= $min AND status_code = $tag0 \
             AND (attributes->>'http.route' = $tag1 OR resource_attributes->>'http.route' = $tag1) \
             AND (attributes->>'o''clock' = $tag2 OR resource_attributes->>'o''clock' = $tag2) \
             GROUP BY trace_id ORDER BY max(timestamp) DESC LIMIT 5"
        );
        assert_eq!(request.params["service"], SqlParam::Text("check'out".to_owned()));
        assert_eq!(request.params["min"], SqlParam::Int(1_500_000_000));
        assert_eq!(request.params["tag0"], SqlParam::Text("error".to_owned()));
        assert_eq!(request.params["tag2"], SqlParam::Text("7".to_owned()));
    }

    #[test]
    fn what_means_nothing_is_said_to() {
        let refused = |query: &[(&str, &str)], says: &str| {
            let message = find(query).unwrap_err();
            assert!(message.contains(says), "{message}");
        };
        refused(&[], "`service`");
        refused(&[("service", "a"), ("start", "soon")], "`start`");
        refused(&[("service", "a"), ("start", "9223372036854775807")], "calendar");
        refused(&[("service", "a"), ("minDuration", "long")], "1.5s or 100ms");
        refused(&[("service", "a"), ("minDuration", "5")], "1.5s or 100ms");
        refused(&[("service", "a"), ("tags", "{")], "JSON");
        refused(&[("traceID", "xyz")], "hexadecimal");
    }

    #[test]
    fn durations_and_ids_are_read_as_jaeger_writes_them() {
        assert_eq!(duration("d", "2m30s"), Ok(150_000_000_000));
        assert_eq!(duration("d", "250us"), Ok(250_000));
        assert_eq!(trace_id("ABC").unwrap(), "00000000000000000000000000000abc");
        assert_eq!(
            tags("a=1 b=\"x\"").unwrap(),
            [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x".to_owned())]
        );
    }
}
