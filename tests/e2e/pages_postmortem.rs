//! From the recorded outage to a published post-mortem by pages alone: drafted, answered, checked, reviewed. What a
//! person would type is in `fixtures/postmortem/answers.json`.

use anyhow::{Context as _, ensure};
use reqwest::redirect::Policy;
use serde_json::json;

use crate::answers;
use crate::binary;
use crate::demo;
use crate::form;
use crate::server::{Server, text};

const PAGE: &str = "/postmortems/PM-2026-001";

/// A browser without script.
struct Browser<'a> {
    server: &'a Server,
    client: reqwest::Client,
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let response = self.client.get(format!("http://{}{path}", self.server.web)).send().await?;
        ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok(response.text().await?)
    }

    /// The status, and where it leads or what it says.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
        let call = self.client.post(format!("http://{}{path}", self.server.web));
        let call = call.header("content-type", form::URLENCODED).body(form::body(fields));
        let response = call.send().await?;
        let status = response.status().as_u16();
        let location = response.headers().get("location").map(|to| to.to_str().map(str::to_owned));
        Ok((status, location.transpose()?.map_or(response.text().await?, |to| to)))
    }

    /// The editor's text and the hash it stands for.
    async fn editor(&self) -> anyhow::Result<(String, String)> {
        let page = self.get(&format!("{PAGE}/edit")).await?;
        Ok((textarea(&page)?, base(&page)?))
    }

    /// Saves a text, with the line ends that a browser sends.
    async fn save(&self, author: &str, base: &str, text: &str) -> anyhow::Result<(u16, String)> {
        let text = text.replace('\n', "\r\n");
        let form = [("author", author), ("base", base), ("text", &text), ("do", "save")];
        self.send(&format!("{PAGE}/edit"), &form).await
    }

    async fn step(&self, author: &str, to: &str) -> anyhow::Result<(u16, String)> {
        let base = base(&self.get(PAGE).await?)?;
        self.send(&format!("{PAGE}/step"), &[("author", author), ("base", &base), ("to", to)]).await
    }
}

fn base(page: &str) -> anyhow::Result<String> {
    let rest = page.split_once(r#"name="base" value=""#).context("the page names a hash")?.1;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

fn textarea(page: &str) -> anyhow::Result<String> {
    let rest = page.split_once("<textarea").context("there is an editor")?.1;
    let inside = rest.split_once('>').context("its tag ends")?.1;
    let inside = inside.split_once("</textarea>").context("it ends")?.0;
    let inside = inside.strip_prefix('\n').unwrap_or(inside);
    let plain =
        [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&lt;", "<"), ("&gt;", ">")];
    let text = plain.iter().fold(inside.to_owned(), |text, (name, sign)| text.replace(name, sign));
    Ok(text.replace("&#38;", "&").replace("&amp;", "&"))
}

/// A branch of the five whys is asked, answered, judged and taken out again, and the text is what it was.
async fn grow_and_cut_a_branch(browser: &Browser<'_>) -> anyhow::Result<()> {
    const QUESTION: &str = "Why was nobody told of the pool?";
    let whys = format!("{PAGE}/whys");
    let (before, first) = browser.editor().await?;
    let change = async |base: &str, fields: &[(&str, &str)]| {
        let form = [&[("author", "dana.k"), ("base", base)], fields].concat();
        browser.send(&whys, &form).await
    };
    let (status, said) = change(&first, &[("question", " "), ("do", "add")]).await?;
    ensure!(status == 400 && said.contains("nothing was changed"), "{status} {said}");
    assert_eq!(change(&first, &[("question", QUESTION), ("do", "add")]).await?.0, 303);
    let page = browser.get(&whys).await?;
    let (above, below) = page.split_once(QUESTION).context("the question is on the page")?;
    let number =
        above.rsplit_once("id=\"W").and_then(|(_, id)| id.split('"').next()).context("it has a number")?;
    let below = below.split_once("</li>").context("its part ends")?.0;
    assert!(below.contains("no answer yet") && below.contains("dead end"), "{below}");
    let (status, said) = change(&first, &[("number", number), ("answer", "x"), ("do", "answer")]).await?;
    ensure!(status == 400 && said.contains("since you opened it"), "{status} {said}");
    for (fields, shown) in [
        (&[("answer", "no rule watched it"), ("hypothesis", "yes"), ("do", "answer")][..], "hypothesis"),
        (&[("evidence", "E1"), ("do", "confirm")], "confirmed"),
    ] {
        let base = base(&browser.get(&whys).await?)?;
        assert_eq!(change(&base, &[&[("number", number)], fields].concat()).await?.0, 303);
        assert!(browser.get(&whys).await?.contains(shown), "{shown}");
    }
    let base = base(&browser.get(&whys).await?)?;
    assert_eq!(change(&base, &[("number", number), ("do", "delete")]).await?.0, 303);
    let lines =
        |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&browser.editor().await?.0), lines(&before), "nothing is left of it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_outage_becomes_a_published_post_mortem_by_pages_alone() -> anyhow::Result<()> {
    // The demo has drafted already; here a person does.
    let home = demo::home_without_draft()?;
    let server = home.serve_with(&["--logical-clock", "2026-05-05T10:00:00Z"])?;
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let browser = Browser { server: &server, client };

    assert!(browser.get("/incidents/INC-1").await?.contains("Draft the post-mortem"));
    let (status, to) = browser.send("/incidents/INC-1/postmortem", &[("author", "scribe")]).await?;
    assert_eq!((status, to.as_str()), (303, "/postmortems/PM-2026-001?done=drafted"));
    let fresh = browser.get(PAGE).await?;
    assert!(fresh.contains("Send to review: mend 2 things first"), "an owner and a reviewer are missing");
    let (status, said) = browser.step("dana.k", "in_review").await?;
    assert!(status == 400 && said.contains("names a person and a team"), "{status} {said}");

    grow_and_cut_a_branch(&browser).await?;
    let (draft, hash) = browser.editor().await?;
    let answered = answers::answered(&draft)?;
    let (status, said) =
        browser.save("dana.k", &hash, &answered.replace("severity: SEV1", "severity: huge")).await?;
    assert!(status == 422 && said.contains("unknown variant `huge`"), "{status} {said}");
    assert!(textarea(&said)?.contains("dana.k, team: payments"), "what was written is still there");
    assert_eq!(browser.save("dana.k", &hash, &answered).await?.0, 303);
    let (status, said) = browser.save("sam.w", &hash, &draft).await?;
    assert!(status == 409 && said.contains("somebody changed the document"), "{status} {said}");

    assert_eq!(browser.step("dana.k", "in_review").await?.0, 303);
    let (review, hash) = browser.editor().await?;
    assert_eq!(browser.save("lee.o", &hash, &answers::reviewed(&review)).await?.0, 303);
    let (status, said) = browser.step("dana.k", "approved").await?;
    assert!(status == 400 && said.contains("only its reviewer approves it"), "{status} {said}");
    assert_eq!(browser.step("lee.o", "approved").await?.0, 303);
    let (status, said) = browser.step("dana.k", "published").await?;
    assert!(status == 400 && said.contains("P1"), "a review takes a day: {status} {said}");
    let clock = format!("http://{}/api/v1/clock", server.web);
    let moved = browser.client.post(clock).json(&json!({"now": "2026-05-06T15:00:00Z"})).send().await?;
    assert!(moved.status().is_success(), "{}", moved.text().await?);
    assert_eq!(browser.step("dana.k", "published").await?.0, 303);

    let published = browser.get(PAGE).await?;
    assert!(published.contains("no findings"), "it is lint-clean");
    let document = demo::document(&home.workspace())?;
    binary::run_well(&["postmortem", "lint", text(&document)])?;
    let kept = std::fs::read_to_string(document.join("postmortem.md"))?;
    assert!(kept.contains("status: published") && !kept.contains('\r'), "{kept}");
    let audited =
        server.sql("SELECT actor, action FROM audit_log WHERE subject = 'PM-2026-001' ORDER BY seq").await?;
    let steps = audited.rows.iter().filter(|row| row[1] == "postmortem.step").count();
    assert_eq!((audited.rows.len(), steps), (10, 3), "{:?}", audited.rows);
    assert!(browser.get("/patterns").await?.contains("monitoring-gap"));
    // Evidence is there for two of the three actions; nobody met an objective for 14 days since yesterday.
    assert_eq!(browser.send("/actions/verify", &[]).await?, (303, "/actions?done=verified".to_owned()));
    let board = browser.get("/actions").await?;
    for words in ["1 action open, none overdue.", "fires at 2026-05-04 21:39:44 UTC, when INC-1 was detected"]
    {
        assert!(board.contains(words), "`{words}` is not in {board}");
    }
    assert!(browser.get("/review").await?.contains("1 action open, none overdue."));
    Ok(())
}
