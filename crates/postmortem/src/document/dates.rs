use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Reads an instant with its offset; seconds may be left out (`2026-05-04T14:32-07:00`).
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let pieces = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M%:z", text).ok()?;
    pieces.to_timestamp().ok()
}

/// The zone with this name, or UTC when it is unknown here.
pub(crate) fn zone_or_utc(name: &str) -> TimeZone {
    if name.eq_ignore_ascii_case("utc") {
        return TimeZone::UTC;
    }
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// An instant with the zone's offset, to the second or finer where it has a fraction.
pub(crate) fn with_offset(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}
