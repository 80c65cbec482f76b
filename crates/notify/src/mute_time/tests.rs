use super::*;

fn read(toml: &str) -> Result<MuteTime, String> {
    let config: MuteTimeConfig = toml::from_str(&format!("name = \"x\"\n{toml}")).unwrap();
    MuteTime::new(&config)
}

#[test]
fn instants_are_muted_as_the_calendar_of_the_zone_says() {
    let nights = "times = [{start = \"22:00\", end = \"06:00\"}]";
    let weekends = "weekdays = [\"saturday:sunday\"]\ntz = \"Europe/Berlin\"";
    let friday_nights = "times = [{start = \"22:00\", end = \"06:00\"}]\nweekdays = [\"fri\"]";
    let ends = "days_of_month = [\"-2:-1\"]";
    for (config, at, muted) in [
        (nights, "2026-05-04T21:59:59Z", false),
        (nights, "2026-05-04T22:00:00Z", true),
        (nights, "2026-05-05T05:59:59Z", true),
        (nights, "2026-05-05T06:00:00Z", false),
        // Berlin is two hours ahead in May, one in January.
        (weekends, "2026-05-01T21:59:00Z", false),
        (weekends, "2026-05-01T22:00:00Z", true),
        (weekends, "2026-05-03T22:00:00Z", false),
        (weekends, "2026-01-02T22:30:00Z", false),
        (weekends, "2026-01-02T23:00:00Z", true),
        // A night belongs to the day on which it begins.
        (friday_nights, "2026-05-01T23:00:00Z", true),
        (friday_nights, "2026-05-02T05:00:00Z", true),
        (friday_nights, "2026-05-01T05:00:00Z", false),
        (friday_nights, "2026-05-02T23:00:00Z", false),
        (ends, "2026-02-26T12:00:00Z", false),
        (ends, "2026-02-27T12:00:00Z", true),
        (ends, "2026-02-28T12:00:00Z", true),
        ("months = [\"december:february\"]", "2026-01-15T00:00:00Z", true),
        ("months = [\"12:2\"]", "2026-03-01T00:00:00Z", false),
        ("times = [{start = \"12:00\", end = \"24:00\"}]", "2026-03-01T23:59:59Z", true),
        ("weekdays = [\"sun:mon\"]", "2026-05-04T00:00:00Z", true),
        ("weekdays = [\"sun:mon\"]", "2026-05-05T00:00:00Z", false),
    ] {
        assert_eq!(read(config).unwrap().holds(at.parse().unwrap()), muted, "{config} at {at}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write() {
    for (config, says) in [
        ("", "mute always"),
        ("times = [{start = \"9:00\", end = \"17:00\"}]", "write 22:00"),
        ("times = [{start = \"09:00\", end = \"24:01\"}]", "write 22:00"),
        ("times = [{start = \"09:00\", end = \"09:00\"}]", "empty"),
        ("weekdays = [\"someday\"]", "someday"),
        ("months = [\"13\"]", "13"),
        ("days_of_month = [\"0\"]", "first:last"),
        ("days_of_month = [\"7:1\"]", "ends before"),
        ("weekdays = [\"mon\"]\ntz = \"Mars/Olympus\"", "IANA"),
    ] {
        let told = read(config).unwrap_err();
        assert!(told.contains(says), "{config}: {told}");
    }
}
