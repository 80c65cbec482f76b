use super::*;
use crate::testing::at;

fn postbox(host: &str, encryption: Encryption, from: &str, to: &[&str]) -> Result<Postbox, String> {
    let to: Vec<String> = to.iter().map(|text| (*text).to_owned()).collect();
    Postbox::new(host.into(), None, encryption, None, from, &to)
}

#[test]
fn what_a_mail_says_cannot_become_a_header() {
    let postbox =
        postbox("localhost", Encryption::None, "Hindsight <h@example.org>", &["a@x.org", "b@x.org"]).unwrap();
    let mail = Mail { subject: "down\r\nBcc: evil@x.org".into(), text: "a\n.\nQUIT\n".into() };
    let stored = serde_json::to_string(&mail).unwrap();
    let sent = postbox.message("default/group/1", &stored, at(0)).unwrap();
    let text = String::from_utf8(sent.formatted()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    assert!(
        head.contains("To: a@x.org, b@x.org") && head.contains("Date: Mon, 04 May 2026 14:30:00"),
        "{head}"
    );
    let id = |text: &str| text.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    let again = postbox.message("default/group/1", &stored, at(99)).unwrap().formatted();
    assert_eq!(id(&text), id(&String::from_utf8(again).unwrap()), "sent again it is the same mail");
    let other = postbox.message("default/group/2", &stored, at(0)).unwrap().formatted();
    let other = String::from_utf8(other).unwrap();
    assert_ne!(id(&text), id(&other));
    let thread = |text: &str| text.lines().find(|line| line.starts_with("References")).unwrap().to_owned();
    assert_eq!(thread(&text), thread(&other));
}

#[test]
fn a_mail_server_and_addresses_that_make_no_sense_are_refused() {
    let (from, to) = ("h@example.org", &["a@x.org"][..]);
    for (made, says) in [
        (postbox("http://mail", Encryption::Tls, from, to), "smtp.example.org"),
        (postbox("mail", Encryption::Tls, "nobody", to), "write Name <name@example.org>"),
        (postbox("mail", Encryption::Tls, from, &["a@x.org\r\nBcc: b@x.org"]), "control characters"),
        (postbox("mail", Encryption::Tls, from, &["a@x.org"; 65]), "at most 64"),
    ] {
        let told = made.unwrap_err();
        assert!(told.contains(says), "{told}");
    }
    let login = |host: &str| {
        let credentials = Some(("me".to_owned(), Secret::new("s3cret")));
        Postbox::new(host.into(), None, Encryption::None, credentials, from, &["a@x.org".to_owned()])
    };
    assert!(login("mail.example.org").unwrap_err().contains("unencrypted"));
    let shown = format!("{:?}", login("127.0.0.1").unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}
