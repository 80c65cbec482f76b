//! A restricted post-mortem is not there for those without the role: no page, no list, no table and no port shows it,
//! its words or its id. Those with the role see it as ever.

use anyhow::{Context as _, ensure};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::answers;
use crate::binary;
use crate::demo;
use crate::form;
use crate::pg_wire::psql;
use crate::server::{Home, Server, text};

const ALL: &str = "everything-0123456789abcdef";
const DEVELOPER: &str = "developer-0123456789abcdef";
const SECURITY: &str = "security-0123456789abcdef";
const ID: &str = "PM-2026-001";
/// A word of its title, of an action and of its patterns' page: nothing else here says so.
const WORD: &str = "quokka";
const START: &str = "2026-07-01T10:00:00Z";
/// Two minutes later, by which the overdue actions were looked at.
const LATER: &str = "2026-07-01T10:02:00Z";

/// Pages that tell of post-mortems to those who may see them, and whether they name this one then.
const PAGES: [(&str, bool); 12] = [
    ("/", false),
    ("/alerts", false),
    ("/incidents", false),
    ("/incidents/INC-1", true),
    ("/postmortems", true),
    ("/actions", true),
    ("/review", true),
    ("/patterns", true),
    ("/sql?q=SELECT+id,title+FROM+postmortems", true),
    ("/sql?q=SELECT+*+FROM+action_items", true),
    ("/sql?q=SELECT+*+FROM+action_verifications", true),
    ("/sql?q=SELECT+*+FROM+audit_log", true),
];

/// Somebody with a token.
struct Reader<'a> {
    server: &'a Server,
    client: reqwest::Client,
    token: &'static str,
}

impl Reader<'_> {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.web)
    }

    async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        said(self.client.get(self.url(path)).bearer_auth(self.token).send().await?).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(StatusCode, String)> {
        said(self.client.post(self.url(path)).bearer_auth(self.token).json(body).send().await?).await
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<(StatusCode, String)> {
        let call = self.client.post(self.url(path)).bearer_auth(self.token);
        said(call.header("content-type", form::URLENCODED).body(form::body(fields)).send().await?).await
    }

    /// The first value of a query.
    async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        let (_, answer) = self.post("/api/v1/sql", &json!({ "sql": sql })).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        answer["rows"][0][0].as_i64().with_context(|| format!("{sql}: {answer}"))
    }
}

async fn said(response: Response) -> anyhow::Result<(StatusCode, String)> {
    Ok((response.status(), response.text().await?))
}

/// The demo's outage with its document answered and restricted, and three tokens.
fn home() -> anyhow::Result<Home> {
    let home = demo::home()?;
    let workspace = home.workspace();
    let file = demo::document(&workspace)?.join("postmortem.md");
    let document = answers::answered(&std::fs::read_to_string(&file)?)?;
    let document = document
        .replace("visibility: internal", "visibility: restricted")
        .replace("title: \"Users", &format!("title: \"{WORD}: Users"))
        .replace("| Alert when", &format!("| {WORD}: alert when"));
    ensure!(document.matches(WORD).count() == 2 && document.contains("visibility: restricted"), "{document}");
    std::fs::write(&file, document)?;
    let mut config = "token_file = \"all.token\"\n".to_owned();
    std::fs::write(workspace.join("all.token"), ALL)?;
    for (name, token, roles) in [("developers", DEVELOPER, ""), ("security", SECURITY, "\"restricted\"")] {
        config +=
            &format!("[[tokens]]\nname = \"{name}\"\ntoken_file = \"{name}.token\"\nroles = [{roles}]\n");
        std::fs::write(workspace.join(format!("{name}.token")), token)?;
    }
    std::fs::write(workspace.join("hindsight.toml"), config)?;
    Ok(home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_post_mortem_is_not_there_for_those_without_the_role() -> anyhow::Result<()> {
    let home = home()?;
    let server = home.serve_with(&["--logical-clock", START, "--listen-pg", "127.0.0.1:0"])?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let reader = |token| Reader { server: &server, client: client.clone(), token };
    let (all, developer, security) = (reader(ALL), reader(DEVELOPER), reader(SECURITY));
    // Something is known of its actions beside the document, and somebody did something with it.
    ensure!(security.post("/api/v1/action-items/verify", &json!({})).await?.1.contains(ID), "it verifies");
    let words = json!({"author": "sam.w", "status": "in_progress"});
    let (status, said) = security.post(&format!("/api/v1/action-items/{ID}/A2"), &words).await?;
    ensure!(status.is_success(), "{said}");
    let (status, said) = all.post("/api/v1/clock", &json!({"now": LATER})).await?;
    ensure!(status.is_success(), "{said}");

    for (page, is_named) in PAGES {
        for reader in [&all, &security] {
            let (status, shown) = reader.get(page).await?;
            ensure!(status.is_success(), "{page}: {status}");
            ensure!(shown.contains(ID) == is_named, "{page} for those with the role: {shown}");
        }
        let (status, shown) = developer.get(page).await?;
        ensure!(status.is_success(), "{page}: {status}");
        ensure!(!shown.contains(ID) && !shown.contains(WORD), "{page} tells of it: {shown}");
    }
    check_calls(&security, &developer).await?;
    check_tables(&server, &security, &developer).await?;
    check_command_line(&home, &server)
}

/// What names it is answered as if there were none.
async fn check_calls(security: &Reader<'_>, developer: &Reader<'_>) -> anyhow::Result<()> {
    for path in ["", "/edit"] {
        let page = |id: &str| format!("/postmortems/{id}{path}");
        let (status, shown) = security.get(&page(ID)).await?;
        ensure!(status.is_success() && shown.contains(WORD), "{path}: {status}");
        let (status, hidden) = developer.get(&page(ID)).await?;
        let (_, nothing) = developer.get(&page("PM-2026-099")).await?;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let without_request_id = |page: &str, id: &str| -> Vec<String> {
            page.replace(id, "ID")
                .lines()
                .filter(|line| !line.contains("equest"))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(without_request_id(&hidden, ID), without_request_id(&nothing, "PM-2026-099"), "it tells");
    }
    let step = [("author", "dana.k"), ("base", "x"), ("to", "in_review")];
    assert_eq!(developer.send(&format!("/postmortems/{ID}/step"), &step).await?.0, StatusCode::NOT_FOUND);
    let edit = [("author", "dana.k"), ("base", "x"), ("text", "mine"), ("do", "save")];
    assert_eq!(developer.send(&format!("/postmortems/{ID}/edit"), &edit).await?.0, StatusCode::NOT_FOUND);
    let words = json!({"author": "sam.w", "status": "done"});
    let (status, said) = developer.post(&format!("/api/v1/action-items/{ID}/A2"), &words).await?;
    ensure!(status == StatusCode::NOT_FOUND && !said.contains(WORD), "{said}");
    let (status, said) = developer.post("/api/v1/action-items/verify", &json!({})).await?;
    ensure!(status.is_success() && !said.contains(ID), "{said}");
    // A second document would be wrong, and the first one is not theirs to change.
    let (status, said) = developer.send("/incidents/INC-1/postmortem", &[("author", "dana.k")]).await?;
    ensure!(status == StatusCode::FORBIDDEN && !said.contains(ID), "{status} {said}");
    for list in ["postmortems", "action-items"] {
        let path = format!("/api/v1/{list}");
        ensure!(security.get(&path).await?.1.contains(ID), "{path} for those with the role");
        let (status, said) = developer.get(&path).await?;
        ensure!(status.is_success() && !said.contains(ID) && !said.contains(WORD), "{said}");
    }
    let (_, lacking) = developer.get("/api/v1/postmortems/lacking").await?;
    assert_eq!(lacking, r#"{"lacking":[]}"#, "the incident has a document");
    Ok(())
}

/// SQL, by each port that takes it.
async fn check_tables(server: &Server, security: &Reader<'_>, developer: &Reader<'_>) -> anyhow::Result<()> {
    let pg = server.pg.context("the PostgreSQL port is on")?;
    for (sql, seen) in [
        ("SELECT count(*) FROM postmortems", 1),
        ("SELECT count(*) FROM action_items", 3),
        ("SELECT count(*) FROM audit_log WHERE subject LIKE 'PM-%'", 1),
    ] {
        assert_eq!((security.count(sql).await?, developer.count(sql).await?), (seen, 0), "{sql}");
        for (token, seen) in [(SECURITY, seen), (DEVELOPER, 0)] {
            let output = psql(pg, token, &["-A", "-t", "-c", sql])?;
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), seen.to_string(), "{sql} by {token}");
        }
    }
    let verified = "SELECT count(*) FROM action_verifications";
    ensure!(security.count(verified).await? > 0 && developer.count(verified).await? == 0, "{verified}");
    // Alerts are everyone's: one says that something is late, and nothing of what.
    let overdue = "SELECT count(*) FROM alert_states WHERE labels LIKE '%restricted%'";
    assert_eq!(developer.count(overdue).await?, 1, "{}", developer.get("/api/v1/alerts").await?.1);
    let named = format!("SELECT count(*) FROM alert_states WHERE labels LIKE '%{ID}%'");
    assert_eq!(security.count(&named).await?, 0);
    Ok(())
}

fn check_command_line(home: &Home, server: &Server) -> anyhow::Result<()> {
    let url = format!("http://{}", server.web);
    let status = |token| binary::run_well(&["postmortem", "status", "--url", &url, "--token", token]);
    let seen = status(SECURITY)?;
    ensure!(seen.contains(ID) && seen.contains("every incident that is over has its post-mortem"), "{seen}");
    let seen = status(DEVELOPER)?;
    ensure!(seen.starts_with("no post-mortem yet") && !seen.contains("INC-1 "), "{seen}");
    let config = binary::run_well(&["config", "print", "--workspace", text(&home.workspace())])?;
    ensure!(config.contains("developers, security (restricted)") && !config.contains("0123"), "{config}");
    Ok(())
}
