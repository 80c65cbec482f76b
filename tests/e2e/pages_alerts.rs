//! The pages about alerts and SLOs: what they say of a rule that fires, the silence form, and what they say when there
//! is nothing. The server's clock is a logical one, so that every tick is where the test puts it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, LOCATION, ORIGIN};
use reqwest::redirect::Policy;

use crate::form;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;

const START: &str = "2026-05-04T21:00:00Z";
/// A service name that would run if a page printed it as it is.
const HOSTILE: &str = "<script>alert('x')</script>";
const RULES: &str = r##"groups:
- name: api
  interval: 30s
  rules:
  - alert: RequestsFail
    sql: |
      SELECT service_name, avg(CASE WHEN status_code = 'error' THEN 1.0 ELSE 0.0 END) AS value
      FROM spans WHERE timestamp >= $now - INTERVAL '1 hour' AND timestamp < $now GROUP BY 1
    condition: {op: gt, fire: 0.5, recover: 0.3}
    for: 1m
    labels: {severity: page}
    annotations:
      summary: "{{ value | percent }} of requests fail at {{ labels.service_name }}"
      runbook: runbooks/api.md#requests-fail
  - alert: Broken
    sql: SELECT no_such_column AS value FROM spans
"##;

const SLO: &str = r#"apiVersion: openslo/v1
kind: SLO
metadata:
  name: cart-availability
  displayName: Carts answer
  annotations: {hindsight.dev/burn-policy: google-30d}
spec:
  service: cart
  indicator:
    metadata: {name: carts}
    spec:
      ratioMetric:
        counter: false
        good: {metricSource: {type: hindsight, spec: {from: spans, where: "service_name = 'cart' AND status_code <> 'error'"}}}
        total: {metricSource: {type: hindsight, spec: {from: spans, where: "service_name = 'cart'"}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"#;

fn start() -> Timestamp {
    START.parse().expect("a fixed time")
}

fn write(home: &Home, file: &str, text: &str) -> anyhow::Result<()> {
    let path = home.workspace().join(file);
    std::fs::create_dir_all(path.parent().context("the file is in a folder")?)?;
    std::fs::write(&path, text).with_context(|| format!("write {file}"))
}

fn serve(home: &Home) -> anyhow::Result<Server> {
    home.serve_with(&["--logical-clock", START])
}

/// Moves the clock to so many seconds after the start; every tick on the way is evaluated when it returns.
async fn move_to(server: &Server, seconds: i64) -> anyhow::Result<()> {
    let now = start() + SignedDuration::from_secs(seconds);
    let body = serde_json::json!({ "now": now }).to_string();
    let url = format!("http://{}/api/v1/clock", server.web);
    let answer = reqwest::Client::new().post(url).body(body).send().await?;
    ensure!(answer.status() == 200, "the clock was not moved: {}", answer.text().await?);
    Ok(())
}

/// Sends spans of a service that began so many seconds after the start.
async fn send(server: &Server, service: &str, seconds: i64, fail: bool) -> anyhow::Result<()> {
    let at = u64::try_from((start() + SignedDuration::from_secs(seconds)).as_nanosecond())?;
    let spans = otlp::spans(service, at, &vec![("GET /", vec![]); 4]);
    let spans = if fail { otlp::failed(spans) } else { spans };
    let post = reqwest::Client::new().post(server.otlp_url("traces")).header(CONTENT_TYPE, PROTOBUF);
    let status = post.body(spans.encode_to_vec()).send().await?.status();
    ensure!(status == 200, "the spans were answered {status}");
    Ok(())
}

/// A service says which variant of the flag `new-cart` it was given.
async fn send_flag(server: &Server, service: &str, seconds: i64, variant: &str) -> anyhow::Result<()> {
    let at = u64::try_from((start() + SignedDuration::from_secs(seconds)).as_nanosecond())?;
    let said =
        vec![otlp::text("feature_flag.key", "new-cart"), otlp::text("feature_flag.result.variant", variant)];
    let mut logs = otlp::logs(service, at, &[("", said)]);
    logs.resource_logs[0].scope_logs[0].log_records[0].event_name = "feature_flag.evaluation".to_owned();
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header(CONTENT_TYPE, PROTOBUF);
    let status = post.body(logs.encode_to_vec()).send().await?.status();
    ensure!(status == 200, "the event was answered {status}");
    Ok(())
}

/// A page's status, where it sends the reader, and its text.
async fn get(server: &Server, path: &str) -> anyhow::Result<(u16, String, String)> {
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let answer = client.get(format!("http://{}{path}", server.web)).send().await?;
    read(answer).await
}

async fn page(server: &Server, path: &str) -> anyhow::Result<String> {
    let (status, _, text) = get(server, path).await?;
    ensure!(status == 200, "{path} was answered {status}: {text}");
    ensure!(!text.contains(HOSTILE), "{path}: a service name became markup");
    Ok(text)
}

/// Sends a form as a browser does.
async fn post(
    server: &Server,
    path: &str,
    fields: &[(&str, &str)],
    origin: Option<&str>,
) -> anyhow::Result<(u16, String, String)> {
    let ours = format!("http://{}", server.web);
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let call = client
        .post(format!("{ours}{path}"))
        .header(CONTENT_TYPE, form::URLENCODED)
        .header(ORIGIN, origin.unwrap_or(&ours));
    read(call.body(form::body(fields)).send().await?).await
}

async fn read(answer: reqwest::Response) -> anyhow::Result<(u16, String, String)> {
    let to = answer.headers().get(LOCATION).map(|to| to.to_str().map(str::to_owned)).transpose()?;
    Ok((answer.status().as_u16(), to.unwrap_or_default(), answer.text().await?))
}

/// The text as a browser reads it.
fn unescaped(html: &str) -> String {
    let mut text = html.to_owned();
    for (escape, c) in
        [("&lt;", "<"), ("&gt;", ">"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")]
    {
        text = text.replace(escape, c);
    }
    text.replace("&quot;", "\"").replace("&#38;", "&").replace("&amp;", "&")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> anyhow::Result<&'a str> {
    let start = text.split_once(before).with_context(|| format!("no {before:?} in {text}"))?.1;
    Ok(start.split_once(after).with_context(|| format!("no {after:?} behind {before:?}"))?.0)
}

fn holds(page: &str, wanted: &[&str]) -> anyhow::Result<()> {
    for text in wanted {
        ensure!(page.contains(text), "{text:?} is not in {page}");
    }
    Ok(())
}

/// A server on which two services fail and the rule fires for both.
async fn firing() -> anyhow::Result<(Home, Server)> {
    let home = Home::new("[[receivers]]\nname = \"ops\"\ntype = \"file\"\npath = \"pages.jsonl\"\n")?;
    write(&home, "rules/api.yaml", RULES)?;
    write(&home, "runbooks/api.md", "# API\n\n## Requests fail\n\nLook at the <b>deploys</b> first.\n")?;
    let server = serve(&home)?;
    for service in ["cart", HOSTILE] {
        send(&server, service, 5, true).await?;
    }
    for seconds in (0..=240).step_by(30) {
        move_to(&server, seconds).await?;
    }
    Ok((home, server))
}

#[tokio::test]
async fn a_firing_rule_is_explained_from_the_list_to_its_runbook() -> anyhow::Result<()> {
    let (_home, server) = firing().await?;
    let list = page(&server, "/alerts").await?;
    holds(
        &unescaped(&list),
        &[
            "2 alerts firing, 1 pending; RequestsFail the longest",
            "href=\"/alerts/api/RequestsFail\"",
            "<td class=\"num\">0.5</td><td class=\"num\">0.3</td>",
            "service_name=<script>",
            "100 % of requests fail at cart",
        ],
    )?;
    // The first mention is that of the meta-alert, the last one the rule's own row.
    let held = list.rsplit_once("href=\"/alerts/api/Broken\"").context("the failing rule is not listed")?.1;
    let held = held.split_once("</tr>").context("a row ends")?.0;
    ensure!(held.contains("no_such_column"), "the list says why a rule cannot be evaluated: {held}");

    let rule = unescaped(&page(&server, "/alerts/api/RequestsFail").await?);
    holds(
        &rule,
        &[
            "Fires above 0.5 for 1 min, recovers at or below 0.3.",
            "its value was last 1 (the rule fires above 0.5)",
            "class=\"st-pending\"",
            "class=\"st-firing\"",
            "pending → <span class=\"state bad\">firing</span>",
            "href=\"/runbooks/runbooks/api.md#requests-fail\"",
            "GROUP BY 1</pre>",
            "Data as a table",
        ],
    )?;
    let told = between(&rule, "id=\"notifications\"", "</section>")?;
    holds(told, &["<bdi>ops</bdi>", "firing"])?;
    // The door behind an evaluation asks the rule's query at that tick.
    let door = between(&rule, "<a class=\"door\" href=\"", "\">")?;
    holds(&unescaped(&page(&server, door).await?), &["<td class=\"\">cart</td>"])?;
    let runbook = page(&server, "/runbooks/runbooks/api.md").await?;
    holds(&runbook, &["id=\"requests-fail\"", "Look at the &lt;b&gt;deploys"])?;

    let broken = unescaped(&page(&server, "/alerts/api/Broken").await?);
    holds(&broken, &["inactive, held", "Its last query failed", "class=\"st-error\"", "no_such_column"])?;
    // Notifications and home lead here.
    let (status, to, _) = get(&server, "/alerts?rule=api%2FRequestsFail").await?;
    assert_eq!((status, to.as_str()), (303, "/alerts/api/RequestsFail"));
    holds(&page(&server, "/").await?, &["href=\"/alerts/api/RequestsFail\"", "href=\"/slos\""])
}

#[tokio::test]
async fn an_alert_is_silenced_and_told_again_by_forms_alone() -> anyhow::Result<()> {
    let (_home, server) = firing().await?;
    let list = page(&server, "/alerts").await?;
    let row = |page: &str, service: &str| -> anyhow::Result<String> {
        let rows = page.split("<tr>").filter(|row| row.contains("class=\"what\""));
        let row = rows.into_iter().find(|row| row.contains(&format!("service_name={service}")));
        Ok(row.with_context(|| format!("no row of {service}"))?.to_owned())
    };
    let link = unescaped(between(&row(&list, "cart")?, "<td><a href=\"", "#silence\">Silence…")?);
    let form = page(&server, &link).await?;
    let form = between(&form, "<form id=\"silence\"", "</form>")?;
    let matchers = unescaped(between(form, "&quot;\">", "</textarea>")?);
    holds(&matchers, &["alertname=\"RequestsFail\"", "service_name=\"cart\"", "severity=\"page\""])?;
    let back = unescaped(between(form, "name=\"back\" value=\"", "\"")?);
    let fields = [
        ("matchers", matchers.as_str()),
        ("length", "1h"),
        ("author", "ana"),
        ("comment", "rolling <back>"),
        ("tz", "UTC"),
        ("back", back.as_str()),
    ];
    let evil = post(&server, "/silences", &fields, Some("https://evil.example")).await?;
    assert_eq!(evil.0, 403, "another site's page may not silence");
    let (status, _, refused) =
        post(&server, "/silences", &[&[("matchers", "cart")], &fields[1..]].concat(), None).await?;
    assert_eq!(status, 400);
    holds(&unescaped(&refused), &["Nothing was silenced: `cart` is not a matcher"])?;
    assert_eq!(server.count("silences", "true").await?, 0, "neither of them silenced anything");

    let (status, to, _) = post(&server, "/silences", &fields, None).await?;
    assert_eq!(status, 303);
    let done = page(&server, to.trim_end_matches("#silences")).await?;
    holds(
        &unescaped(&done),
        &["SIL-1 is in force until 22:04:00 UTC", "2 alerts firing (1 silenced)", "rolling <back>"],
    )?;
    holds(&row(&done, "cart")?, &["silenced</span> until 22:04:00 UTC (SIL-1)"])?;
    ensure!(!row(&done, "&#60;script")?.contains("silenced<"), "the other service is not silent");
    assert_eq!(server.count("audit_log", "actor = 'ana' AND action = 'silence.add'").await?, 1);

    let (status, to, _) =
        post(&server, "/silences/SIL-1/expire", &[("author", "bo"), ("back", &back)], None).await?;
    assert_eq!(status, 303);
    let over = page(&server, to.trim_end_matches("#silences")).await?;
    holds(&over, &["SIL-1 is over", "No silence is in force here"])?;
    assert_eq!(server.count("silences", "expired_by = 'bo'").await?, 1);
    assert_eq!(post(&server, "/silences/SIL-9/expire", &[("author", "bo")], None).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn an_slo_says_what_is_left_how_fast_it_goes_and_what_took_it() -> anyhow::Result<()> {
    let home = Home::new("")?;
    write(&home, "slos/cart.yaml", SLO)?;
    let server = serve(&home)?;
    holds(&unescaped(&page(&server, "/slos").await?), &["1 SLO, none observed yet", ">unknown<"])?;
    for minute in 0..6 {
        send(&server, "cart", minute * 60 + 10, minute == 4).await?;
        move_to(&server, minute * 60 + 60).await?;
    }
    for seconds in [420, 480, 540] {
        move_to(&server, seconds).await?;
    }
    let list = unescaped(&page(&server, "/slos").await?);
    holds(&list, &["Carts answer", "href=\"/slos/cart-availability?", "99 %", "burning"])?;
    let slo = unescaped(&page(&server, "/slos/cart-availability").await?);
    let (bad, total) = (4, 24);
    holds(
        &slo,
        &[
            "cart promises 99 % over 30 d",
            &format!("{bad} of {total} bad"),
            "id=\"budget\"",
            "id=\"burn\"",
            "page-1h",
            "14.4 ×",
            "1 h and 5 min",
            "unexplained",
            "slos/cart.yaml",
            "status_code <> 'error'",
        ],
    )?;
    // 4 of 24 at 99 % is a burn rate of 16.7.
    holds(&slo, &["16.7 ×"])?;
    let (status, to, _) = get(&server, "/alerts/slo/cart-availability/page-1h").await?;
    assert_eq!((status, to.as_str()), (303, "/slos/cart-availability"));
    Ok(())
}

#[tokio::test]
async fn what_a_flag_change_spent_is_charged_to_it() -> anyhow::Result<()> {
    let home = Home::new("")?;
    write(&home, "slos/cart.yaml", SLO)?;
    let server = serve(&home)?;
    for minute in 0..7 {
        send_flag(&server, "cart", minute * 60 + 5, if minute < 4 { "off" } else { "on" }).await?;
        send(&server, "cart", minute * 60 + 10, minute == 5).await?;
        move_to(&server, minute * 60 + 60).await?;
    }
    move_to(&server, 540).await?;
    let slo = unescaped(&page(&server, "/slos/cart-availability").await?);
    holds(&slo, &["4 of 28 bad", "flag change", "cart: flag new-cart off → on"])?;
    ensure!(!slo.contains("unexplained"), "the bad minute came after the flag: {slo}");
    Ok(())
}

#[tokio::test]
async fn without_rules_the_pages_show_files_that_work() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let alerts = page(&server, "/alerts").await?;
    let slos = page(&server, "/slos").await?;
    holds(&alerts, &["No rules yet"])?;
    holds(&slos, &["No SLOs yet"])?;
    let (status, _, lost) = get(&server, "/alerts/api/Nothing").await?;
    assert_eq!(status, 404);
    holds(&lost, &["There is no rule api/Nothing", "No rule is loaded"])?;
    assert_eq!(get(&server, "/slos/nothing").await?.0, 404);
    assert_eq!(get(&server, "/runbooks/hindsight.toml").await?.0, 404);

    // It scrolls by keyboard, too.
    let pre = r#"<pre tabindex="0">"#;
    write(&home, "rules/first.yaml", &unescaped(between(&alerts, pre, "</pre>")?))?;
    write(&home, "slos/first.yaml", &unescaped(between(&slos, pre, "</pre>")?))?;
    let full = wait_until("the files were read", Duration::from_secs(45), async || {
        let full = page(&server, "/alerts").await?;
        Ok(full.contains("/alerts/errors/RequestsFail").then_some(full))
    })
    .await?;
    ensure!(!full.contains("Problems in rule files"), "what the page offers has problems: {full}");
    holds(&page(&server, "/slos").await?, &["Orders are taken"])?;

    write(&home, "rules/second.yaml", "groups: [{name: x, interval: 30s, rules: [{alert: <b>y</b>}]}]\n")?;
    let refused = wait_until("the refusal is shown", Duration::from_secs(45), async || {
        let broken = page(&server, "/alerts").await?;
        Ok(broken.contains("Problems in rule files").then_some(broken))
    })
    .await?;
    holds(
        &refused,
        &[
            "The last edit of the rule files is refused",
            "stays in force, whole",
            "rules/second.yaml",
            "/alerts/errors/RequestsFail",
        ],
    )
}
