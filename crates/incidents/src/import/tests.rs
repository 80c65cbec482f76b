use super::*;

fn options() -> ImportOptions {
    ImportOptions { format: None, zone: TimeZone::UTC, role: "responder".to_owned() }
}

fn told(text: &str) -> Vec<(String, String, Option<String>)> {
    let rows = import(text, &options()).unwrap();
    rows.into_iter().map(|new| (new.row.at.to_string(), new.row.text, new.author)).collect()
}

#[test]
fn a_csv_file_has_its_columns_in_any_order_and_under_usual_names() {
    let text = "Message,Timestamp,service,role,kind\n\
                \"rolled back, 4.2.0\",2026-05-04T14:52:00Z,checkout,incident commander,milestone\n\
                customers told,2026-05-04 14:55,,,\n";
    let rows = import(text, &options()).unwrap();
    assert_eq!(rows[0].row.text, "rolled back, 4.2.0");
    assert_eq!(
        (rows[0].row.kind, rows[0].row.service.as_deref()),
        (TimelineKind::Milestone, Some("checkout"))
    );
    assert_eq!(rows[0].role.as_deref(), Some("incident commander"));
    assert_eq!(rows[1].row.at.to_string(), "2026-05-04T14:55:00Z");
    assert_eq!((rows[1].row.kind, rows[1].role.as_deref()), (TimelineKind::Note, Some("responder")));
}

#[test]
fn times_without_a_zone_are_of_the_zone_that_is_told() {
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    let rows = import("time,text\n2026-05-04 07:32,x\n", &ImportOptions { zone, ..options() }).unwrap();
    assert_eq!(rows[0].row.at.to_string(), "2026-05-04T14:32:00Z");
}

#[test]
fn a_channels_export_keeps_who_said_it_and_leaves_out_who_joined() {
    let text = r#"[{"type":"message","subtype":"channel_join","ts":"1777905100.0","text":"joined"},
        {"type":"message","user":"U1","user_profile":{"real_name":"Ana"},"ts":"1777905120.000200","text":"rolling back"}]"#;
    let found = told(text);
    assert_eq!(found, [("2026-05-04T14:32:00.0002Z".into(), "rolling back".into(), Some("Ana".into()))]);
}

#[test]
fn a_chat_as_text_goes_on_over_lines_without_a_time() {
    let text = "[2026-05-04 14:32] ana: rolling back\nthe whole fleet\n\n2026-05-04T14:40:00Z lee: done\n2026-05-04 05 all well\n";
    assert_eq!(
        told(text),
        [
            ("2026-05-04T14:32:00Z".into(), "rolling back\nthe whole fleet".into(), Some("ana".into())),
            ("2026-05-04T14:40:00Z".into(), "done".into(), Some("lee".into())),
            ("2026-05-04T05:00:00Z".into(), "all well".into(), None),
        ]
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, says) in [
        ("time,what else\n2026-05-04T14:32:00Z,x\n", "line 1: it begins without a time"),
        ("time,text\n2026-05-04T14:32:00Z,x\nyesterday,y\n", "line 3: `yesterday` is no time"),
        ("time,text\n2026-05-04T14:32:00Z,\n", "line 2: it says nothing"),
        ("time,text,kind\n2026-05-04T14:32:00Z,x,gossip\n", "line 2: `gossip` is not a kind"),
        ("{\"a\": 1}", "line 1: it is no list of messages"),
        ("[{\"text\": \"x\"}]", "line 1: message 1: it has no `ts`"),
        ("hello", "line 1: it begins without a time"),
        ("time,text\n", "1 to 2000 rows"),
    ] {
        let error = import(text, &options()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_message_that_is_too_long_is_named_with_the_line_it_begins_on() {
    let long = "x".repeat(NOTE_CHARS_MAX + 1);
    let text = format!("[2026-05-04 14:32] ana: a\nb\n[2026-05-04 14:33] ana: {long}\n");
    let error = import(&text, &options()).unwrap_err().to_string();
    assert!(error.contains("line 3: a message is longer"), "{error}");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}|(\\[?2026-05-04[ T]1[0-9]:3[0-9]\\]? ?\\PC{0,10}\n){0,5}") {
            for format in [None, Some(ImportFormat::Csv), Some(ImportFormat::ChatJson), Some(ImportFormat::ChatText)] {
                drop(import(&text, &ImportOptions { format, ..options() }));
            }
        }
    }
}
