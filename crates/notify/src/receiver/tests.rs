use super::*;

#[derive(Debug, Deserialize)]
struct File {
    receivers: Vec<ReceiverConfig>,
}

fn read(text: &str) -> Result<Vec<Receiver>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    load_receivers(&file.receivers, Path::new("/ws")).map_err(|error| error.to_string())
}

#[test]
fn the_documented_example_loads() {
    let receivers = read(
        r#"
        [[receivers]]
        name = "ops"
        type = "webhook"
        url = "http://127.0.0.1:9095/hook"
        timeout = "3s"
        [[receivers]]
        name = "record"
        type = "file"
        path = "notifications.jsonl"
        "#,
    )
    .unwrap();
    assert_eq!(receivers[0].name(), "ops");
    assert_eq!(receivers[0].timeout(), Duration::from_secs(3));
    assert_eq!(receivers[1].target(), &Target::File { path: "/ws/notifications.jsonl".into() });
}

#[test]
fn each_mistake_is_told_with_what_to_write_instead() {
    let hook = "type = 'webhook'\nname = 'a'";
    for (table, told) in [
        (format!("{hook}\nurl = 'ftp://x/y'"), "its URL begins with `ftp:`; use http or https"),
        (format!("{hook}\nurl = 'file:///etc/passwd'"), "its URL begins with `file:`"),
        (format!("{hook}\nurl = 'example.org'"), "its URL cannot be read"),
        (hook.to_owned(), "exactly one of `url`, `url_file` and `url_env`"),
        (format!("{hook}\nurl = 'http://x'\nurl_env = 'X'"), "exactly one of"),
        (format!("{hook}\nurl = 'http://x'\ntimeout = '5'"), "timeout: `5` is not a duration"),
        (format!("{hook}\nurl = 'http://x'\ntimeout = '2m'"), "above 0 and at most 60s"),
        (format!("{hook}\nurl = 'http://x'\ntimeout = '0s'"), "above 0 and at most 60s"),
        (format!("{hook}\nurl = 'http://x'\npath = 'p'"), "`path` belongs to type \"file\""),
        (format!("{hook}\nurl = 'http://x'\nurll = 'y'"), "unknown field `urll`"),
        ("type = 'file'\nname = 'a'".to_owned(), "a file needs `path`"),
        ("type = 'file'\nname = 'a'\npath = 'p'\nurl = 'http://x'".to_owned(), "belong to type \"webhook\""),
        ("type = 'pager'\nname = 'a'".to_owned(), "unknown variant `pager`"),
        ("type = 'file'\nname = ''\npath = 'p'".to_owned(), "a name has 1 to 64 bytes"),
    ] {
        let error = read(&format!("[[receivers]]\n{table}")).unwrap_err();
        assert!(error.contains(told), "{table}\n→ {error}");
    }
    let twice = "[[receivers]]\nname = 'a'\ntype = 'file'\npath = 'p'\n".repeat(2);
    assert!(read(&twice).unwrap_err().contains("used twice"));
}

#[test]
fn a_url_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ops-url"), "https://hooks.example/T0/s3cret\n").unwrap();
    let config = ReceiverConfig {
        name: "ops".into(),
        kind: ReceiverKind::Webhook,
        url: None,
        url_file: Some("ops-url".into()),
        url_env: None,
        timeout: None,
        path: None,
    };
    let receivers = load_receivers(std::slice::from_ref(&config), folder.path()).unwrap();
    assert!(receivers[0].is_https());
    let shown = format!("{receivers:?}");
    assert!(shown.contains("hooks.example") && !shown.contains("s3cret"), "{shown}");

    let missing = ReceiverConfig { url_file: Some("nothing".into()), ..config.clone() };
    let error = load_receivers(&[missing], folder.path()).unwrap_err();
    assert!(matches!(error, Error::Secret { .. }), "{error}");
    let unset = ReceiverConfig { url_file: None, url_env: Some("HINDSIGHT_NO_SUCH_URL".into()), ..config };
    let error = load_receivers(&[unset], folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read the URL of receiver `ops` from environment variable HINDSIGHT_NO_SUCH_URL"
    );
}
