//! Notifications to those who take them in earnest: a stock Alertmanager, a mail server, people who silence alerts.

mod alertmanager;
mod mail;
mod relay;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::alerts::webhook::Webhook;
use crate::alerts::{PAGE_WITHIN, RETRY_WITHIN, calls, rule_home, send};
use crate::binary;
use crate::server::text;
use crate::wait::wait_until;
use alertmanager::Alertmanager;
use mail::MailServer;
use relay::Relay;

/// Nothing more is expected: long enough for a second notification to come, were there one.
const QUIET: Duration = Duration::from_secs(4);

#[tokio::test]
async fn alertmanager_pages_once_though_the_server_died_between_send_and_mark() -> anyhow::Result<()> {
    let pager = Webhook::start(200).await?;
    let alertmanager = Alertmanager::start(&pager.url).await?;
    let relay = Relay::silent(&alertmanager.url).await?;
    let home = rule_home(&format!(
        "[[receivers]]\nname = \"am\"\ntype = \"alertmanager\"\nurl = \"{}\"\ntimeout = \"50s\"\n",
        relay.url
    ))?;
    let server = home.serve()?;
    send(&server, 3, true).await?;
    wait_until("Alertmanager had the alert", PAGE_WITHIN, async || {
        Ok((!relay.passed().is_empty()).then_some(()))
    })
    .await?;
    // It has the alert, and nobody told us so.
    assert_eq!(server.count("notifications", "status = 'pending' AND attempts = 1").await?, 1);
    server.kill_9()?;
    relay.speak();
    let server = home.serve()?;
    wait_until("the alert was marked as sent", PAGE_WITHIN, async || {
        Ok((server.count("notifications", "status = 'sent'").await? == 1).then_some(()))
    })
    .await?;
    let passed = relay.passed();
    assert_eq!(passed.len(), 2, "once before the end of the process and once after: {passed:#?}");
    for same in ["labels", "startsAt", "annotations"] {
        assert_eq!(passed[0][0][same], passed[1][0][same], "{same}");
    }
    let alerts = alertmanager.alerts().await?;
    assert_eq!(alerts.len(), 1, "two alerts of one: {alerts:#?}");
    assert_eq!(alerts[0]["labels"]["alertname"], "RequestsFail");
    assert_eq!(alerts[0]["annotations"]["summary"], "100 % of requests fail at cart");
    let paged = calls(&pager, 1, PAGE_WITHIN).await?;
    assert_eq!(paged[0].payload["status"], "firing");

    send(&server, 9, false).await?;
    let paged = wait_until("Alertmanager told the end", PAGE_WITHIN, async || {
        let calls = pager.calls();
        Ok(calls.iter().any(|call| call.payload["status"] == "resolved").then_some(calls))
    })
    .await?;
    let statuses: Vec<&Value> = paged.iter().map(|call| &call.payload["status"]).collect();
    assert_eq!(statuses, ["firing", "resolved"], "it did not see through the repetition");
    assert_eq!(alertmanager.alerts().await?, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn a_mail_that_was_refused_for_now_arrives_encrypted_under_the_same_id() -> anyhow::Result<()> {
    let post = MailServer::start(1)?;
    let home = rule_home(&format!(
        "[notify]\ngroup_wait = \"0s\"\n[[receivers]]\nname = \"mail\"\ntype = \"email\"\nhost = \"localhost\"\n\
         port = {}\nuser = \"{}\"\npassword_file = \"password\"\nfrom = \"Hindsight <hindsight@example.org>\"\n\
         to = [\"oncall@example.org\", \"Ana <ana@example.org>\"]\n",
        post.port,
        mail::USER
    ))?;
    std::fs::write(home.workspace().join("password"), format!("{}\n", mail::PASSWORD))?;
    let server = home.serve_in(&[("SSL_CERT_FILE", text(&post.authority()))], &[])?;
    send(&server, 3, true).await?;
    let mails = wait_until("the mail was taken", PAGE_WITHIN + RETRY_WITHIN, async || {
        let mails = post.mails()?;
        Ok((mails.len() >= 2).then_some(mails))
    })
    .await
    .context("no second mail")?;
    let answers: Vec<&str> = mails.iter().map(|mail| mail.answer.as_str()).collect();
    assert_eq!(answers, ["451 not now", "250 taken"]);
    for mail in &mails {
        ensure!(mail.encrypted && mail.user == mail::USER, "{mail:?}");
        assert_eq!(mail.from, "hindsight@example.org");
        assert_eq!(mail.to, ["oncall@example.org", "ana@example.org"]);
        assert_eq!(mail.header("Subject").as_deref(), Some("[FIRING:1] RequestsFail cart"));
        ensure!(mail.text.contains("FIRING RequestsFail"), "{}", mail.text);
        ensure!(mail.text.contains("labels  service_name=cart, severity=page"), "{}", mail.text);
    }
    let ids: BTreeSet<Option<String>> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    ensure!(ids.len() == 1 && !ids.contains(&None), "{ids:?}");
    wait_until("the mail was marked as sent", PAGE_WITHIN, async || {
        let sent = "status = 'sent' AND attempts = 2 AND finished_at IS NOT NULL";
        Ok((server.count("notifications", sent).await? == 1).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_silence_holds_a_page_back_says_why_and_lets_it_through_when_it_is_ended() -> anyhow::Result<()> {
    let webhook = Webhook::start(200).await?;
    let home = rule_home(&format!(
        "[notify]\ngroup_wait = \"0s\"\ngroup_interval = \"1s\"\n\
         [[receivers]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n",
        webhook.url
    ))?;
    let server = home.serve()?;
    let url = format!("http://{}", server.web);
    let run = |arguments: &[&str]| binary::run_well(&[arguments, &["--url", &url]].concat());
    let made = run(&[
        "silence",
        "add",
        "service_name=~\"ca.*\"",
        "--for",
        "2h",
        "--comment",
        "disks are swapped",
        "--author",
        "ana",
    ])?;
    assert_eq!(made.trim(), "SIL-1");
    let everything =
        ["silence", "add", "service_name=~\".*\"", "--for", "2h", "--comment", "x", "--url", &url];
    let refused = binary::run(&everything)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(!refused.status.success() && said.contains("match every alert"), "{said}");

    send(&server, 3, true).await?;
    let why = wait_until("the alert was muted", PAGE_WITHIN, async || {
        let answer = server.sql("SELECT reason FROM notifications WHERE status = 'muted'").await?;
        Ok(answer.rows.first().map(|row| row[0].clone()))
    })
    .await?;
    ensure!(why.as_str().is_some_and(|why| why.ends_with("by SIL-1 of ana: disks are swapped")), "{why}");
    tokio::time::sleep(QUIET).await;
    assert_eq!(webhook.calls().len(), 0, "paged while silenced");
    assert_eq!(server.metric("hindsight_notifications{status=\"muted\"}").await?, 1);

    let listed: Value = serde_json::from_str(&run(&["silence", "list", "--json"])?)?;
    assert_eq!(listed[0]["id"], "SIL-1");
    assert_eq!(listed[0]["state"], "active");
    run(&["silence", "expire", "SIL-1", "--author", "ben"])?;
    let paged = calls(&webhook, 1, PAGE_WITHIN).await?;
    assert_eq!(paged[0].payload["status"], "firing");
    let audited = "action LIKE 'silence.%' AND subject = 'SIL-1' AND actor IN ('ana', 'ben')";
    assert_eq!(server.count("audit_log", audited).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_notification_says_that_it_is_one_and_what_was_answered() -> anyhow::Result<()> {
    let webhook = Webhook::start(503).await?;
    let home = rule_home(&format!(
        "[notify]\nexternal_url = \"https://hindsight.example.org\"\n\
         [[receivers]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n",
        webhook.url
    ))?;
    let workspace = home.workspace();
    let test = |receiver: &str| {
        binary::run(&["notify", "test", "--receiver", receiver, "--workspace", text(&workspace)])
    };
    let refused = test("ops")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success() && said.contains("ops (webhook) did not take it: answered 503"),
        "{said}"
    );
    webhook.answer(200);
    let taken = test("ops")?;
    assert_eq!(String::from_utf8_lossy(&taken.stdout), "ops (webhook) took it\n");
    let alert = &webhook.calls()[1].payload["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], "HindsightTest");
    assert_eq!(alert["generatorURL"], "https://hindsight.example.org/alerts");
    let unknown = String::from_utf8_lossy(&test("boss")?.stderr).into_owned();
    ensure!(unknown.contains("has no receiver `boss`; it has: ops"), "{unknown}");
    Ok(())
}
