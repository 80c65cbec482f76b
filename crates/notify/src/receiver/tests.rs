use std::path::Path;

use super::*;
use crate::error::Error;
use crate::testing::config;

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
    assert!(
        matches!(receivers[1].target(), Target::File { path } if path == Path::new("/ws/notifications.jsonl"))
    );
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
        (
            format!("{hook}\nurl = 'http://x'\npath = 'p'"),
            "`path` belongs to type \"file\", this one is \"webhook\"",
        ),
        (format!("{hook}\nurl = 'http://x'\nurll = 'y'"), "unknown field `urll`"),
        ("type = 'file'\nname = 'a'".to_owned(), "a file needs `path`"),
        (
            "type = 'file'\nname = 'a'\npath = 'p'\nurl = 'http://x'".to_owned(),
            "`url` belongs to type \"webhook\", \"alertmanager\"",
        ),
        ("type = 'pager'\nname = 'a'".to_owned(), "unknown variant `pager`"),
        ("type = 'slack'\nname = 'a'\nrouting_key_env = 'X'".to_owned(), "belongs to type \"pagerduty\""),
        (
            "type = 'pagerduty'\nname = 'a'".to_owned(),
            "exactly one of `routing_key_file` and `routing_key_env`",
        ),
        ("type = 'pagerduty'\nname = 'a'\nrouting_key = 'X'".to_owned(), "unknown field `routing_key`"),
        (
            "type = 'alertmanager'\nname = 'a'\nurl = 'http://x/api/v2'".to_owned(),
            "without the path of its API",
        ),
        ("type = 'email'\nname = 'a'\nfrom = 'a@b'\nto = ['c@d']".to_owned(), "an e-mail needs `host`"),
        ("type = 'email'\nname = 'a'\nhost = 'h'\nfrom = 'a@b'".to_owned(), "an e-mail needs `to`"),
        (
            "type = 'email'\nname = 'a'\nhost = 'h'\nfrom = 'a@b'\nto = ['c@d']\nuser = 'u'".to_owned(),
            "`user` and a password go together",
        ),
        (
            "type = 'email'\nname = 'a'\nhost = 'h'\nfrom = 'a@b'\nto = ['c@d']\ntls = 'ssl'".to_owned(),
            "unknown variant `ssl`",
        ),
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
    let config = ReceiverConfig { url_file: Some("ops-url".into()), ..config("ops", ReceiverKind::Webhook) };
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

#[test]
fn an_alertmanager_is_named_by_its_address_and_pagerduty_by_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "R0UT1NGK3Y\n").unwrap();
    let alertmanager = ReceiverConfig {
        url: Some("http://am:9093/base/".into()),
        ..config("am", ReceiverKind::Alertmanager)
    };
    let pager =
        ReceiverConfig { routing_key_file: Some("key".into()), ..config("pager", ReceiverKind::PagerDuty) };
    let receivers = load_receivers(&[alertmanager, pager], folder.path()).unwrap();
    assert_eq!(receivers[0].target().url().unwrap().as_str(), "http://am:9093/base/api/v2/alerts");
    let Target::PagerDuty { url, routing_key } = receivers[1].target() else { panic!("{receivers:?}") };
    assert_eq!((url.as_str(), routing_key.expose()), (crate::PAGERDUTY_URL, "R0UT1NGK3Y"));
    assert!(!format!("{receivers:?}").contains("R0UT1NGK3Y"));
}
