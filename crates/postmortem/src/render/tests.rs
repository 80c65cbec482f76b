use std::fs;

use super::*;
use crate::testing::{Shop, incident, input, timeline};

/// A draft on which people worked: lessons and actions are filled in.
async fn written(workspace: &Path) -> PathBuf {
    let drafted = crate::draft(input(&incident(), &timeline(), workspace), &Shop::default()).await.unwrap();
    let text = fs::read_to_string(&drafted.path).unwrap();
    let text = text
        .replace("## What went well\n", "## What went well\n\n- The rollback was **one command** and took two minutes.\n")
        .replace("glossary: {}", "glossary: {SLO: Service level objective}")
        .replace("L1. Services should watch every constrained resource, not only error rates → A1 -->", "-->\n\nL1. Services should watch every constrained resource, not only error rates → A1\n\nL2. A rollout should stop by itself when the new version does more work per request → A2")
        + "| A1 | Alert when any connection pool is above 90 % for 2 min | dana.k | 2026-05-20 | medium | L1 | 2.2 | [OPS-118](https://tracker.example/OPS-118) | alert: PoolSaturated fires on INC-231 |\n\
           | A2 | Stop a rollout when database calls per request double | sam.w | 2026-06-12 | high | L2 | 1.5, 1.6 | | sql: SELECT count(*) FROM spans expect > 0 |\n";
    fs::write(&drafted.path, text).unwrap();
    drafted.dir
}

#[tokio::test]
async fn the_report_is_one_file_that_fetches_nothing_and_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let written = written(dir.path()).await;
    let html = render(&written).unwrap();
    // For a look in a browser: the directory named here gets the report and its source.
    if let Ok(folder) = std::env::var("HINDSIGHT_REPORT_DIR") {
        fs::write(Path::new(&folder).join("report.html"), &html).unwrap();
        fs::copy(written.join("postmortem.md"), Path::new(&folder).join("postmortem.md")).unwrap();
        fs::create_dir_all(Path::new(&folder).join("evidence")).unwrap();
        for entry in fs::read_dir(written.join("evidence")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, Path::new(&folder).join("evidence").join(path.file_name().unwrap())).unwrap();
        }
    }
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
    for forbidden in ["<script", " src=", "<link", "<iframe", "@import", "url(", " onload", " onclick"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let outside: Vec<&str> = html.match_indices("href=\"http").map(|(at, _)| &html[at..at + 40]).collect();
    assert_eq!(outside.len(), 1, "only the tracker's link leads out: {outside:?}");
    assert!(html.len() < 600_000, "{} bytes", html.len());
}

#[tokio::test]
async fn every_link_inside_leads_somewhere_and_every_id_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let html = render(&written(dir.path()).await).unwrap();
    let pick = |mark: &str| -> Vec<String> {
        html.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let ids = pick(" id=\"");
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "an id is there twice");
    for target in pick("href=\"#") {
        assert!(ids.contains(&target), "#{target} leads nowhere");
    }
    for wanted in ["E1", "W-1.1", "W-2.2", "L1", "A2", "summary", "timeline", "charts"] {
        assert!(ids.iter().any(|id| id == wanted), "{wanted}");
    }
}

#[tokio::test]
async fn headings_are_in_order_and_tables_have_captions_and_scopes() {
    let dir = tempfile::tempdir().unwrap();
    let html = render(&written(dir.path()).await).unwrap();
    let levels: Vec<u32> = (1..=6)
        .flat_map(|level| {
            html.match_indices(&format!("<h{level}")).map(move |(at, _)| (at, level)).collect::<Vec<_>>()
        })
        .collect::<std::collections::BTreeMap<usize, u32>>()
        .into_values()
        .collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert_eq!(levels[0], 1);
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    assert_eq!(html.matches("<table").count(), html.matches("<caption>").count());
    assert_eq!(html.matches("<th ").count(), html.matches("scope=\"").count());
    for landmark in ["<main", "<nav", "class=\"skip\"", "lang=\"en\""] {
        assert!(html.contains(landmark), "{landmark}");
    }
    let summary = html.find("id=\"summary\"").unwrap();
    assert!(summary < html.find("id=\"timeline\"").unwrap() && summary < html.find("<svg").unwrap());
}

#[tokio::test]
async fn altered_and_missing_evidence_is_said_at_the_top_and_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path()).await;
    let path = folder.join("evidence/E3.json");
    let altered = fs::read_to_string(&path).unwrap().replacen("15713", "713", 1);
    fs::write(&path, altered).unwrap();
    fs::remove_file(folder.join("evidence/E8.json")).unwrap();
    fs::write(folder.join("evidence/E9.json"), "not json").unwrap();
    let html = render(&folder).unwrap();
    let top = &html[..html.find("id=\"summary\"").unwrap()];
    assert!(top.contains("Some evidence cannot be trusted"));
    for sentence in [
        "E3 was altered after it was frozen",
        "E8 is cited but there is no evidence/E8.json",
        "E9 cannot be read",
    ] {
        assert!(top.contains(sentence), "{sentence}");
    }
    assert!(html.contains("altered after it was frozen</span>"));
    let json = to_json(&folder).unwrap();
    let verdicts: Vec<&str> =
        json["evidence"].as_array().unwrap().iter().map(|e| e["verdict"].as_str().unwrap()).collect();
    assert!(
        verdicts.contains(&"altered") && verdicts.contains(&"unreadable") && verdicts.contains(&"intact")
    );
    assert!(crate::lint(&folder).unwrap().iter().filter(|finding| finding.rule == "M5").count() >= 3);
}

#[test]
fn markdown_passes_no_html_and_no_foreign_address() {
    let check = |text: &str, html: &str| assert_eq!(markdown_html(text).trim(), html);
    check("a **b** `c<d`", "<p>a <strong>b</strong> <code>c&lt;d</code></p>");
    check("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;");
    check("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>");
    check("x <!-- hidden -->y", "<p>x y</p>");
    check(
        "[a](javascript:alert(1)) [b](https://b.example)",
        "<p>a <a rel=\"noreferrer\" href=\"https://b.example\">b</a></p>",
    );
    check("![pixel](https://evil.example/x.png)", "<p>pixel</p>");
    check(
        "see [E1], [W-1.2] and [X1]",
        "<p>see <a class=\"cite\" href=\"#E1\">E1</a>, <a class=\"cite\" href=\"#W-1.2\">W-1.2</a> and [X1]</p>",
    );
    check("&#91;E1&#93;", "<p>[E1]</p>");
    check("# Not a first heading", "<h3>Not a first heading</h3>");
    check("- a\n- b", "<ul><li>a</li><li>b</li></ul>");
}

#[tokio::test]
async fn the_whys_and_the_actions_look_like_this() {
    let dir = tempfile::tempdir().unwrap();
    let document = Document::read(&written(dir.path()).await).unwrap();
    let html = format!(
        "{}\n{}\n{}",
        parts::whys(&document.whys()),
        parts::lessons(&document),
        parts::actions(&document)
    );
    insta::assert_snapshot!(html.replace("><", ">\n<"));
}
