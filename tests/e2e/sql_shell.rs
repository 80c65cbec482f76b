//! `hindsight sql` as people use it: several statements, a file, a pipe, a terminal, and Ctrl-C.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::binary;
use crate::server::{Home, Server, text};
use crate::terminal::Terminal;
use crate::wait::wait_until;

/// Would run for hours.
const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 100000) AS a(value), \
                       generate_series(1, 10000000000) AS b(value)";
const PATIENCE: Duration = Duration::from_secs(60);
const CONTROL_C: &str = "\u{3}";
const CONTROL_D: &str = "\u{4}";
const CONTROL_R: &str = "\u{12}";
const UP: &str = "\u{1b}[A";

fn url(server: &Server) -> String {
    format!("http://{}", server.web)
}

/// Runs `hindsight sql` with this on standard input.
fn piped(arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    let mut child = spawn(arguments)?;
    child.stdin.take().context("stdin is piped")?.write_all(input.as_bytes())?;
    child.wait_with_output().context("wait for hindsight sql")
}

fn spawn(arguments: &[&str]) -> anyhow::Result<Child> {
    let mut command = binary::command()?;
    command.arg("sql").args(arguments);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    pipes.spawn().context("start hindsight sql")
}

async fn running(server: &Server) -> anyhow::Result<usize> {
    let text = reqwest::get(format!("{}/api/v1/queries", url(server))).await?.text().await?;
    let answer: Value = serde_json::from_str(&text)?;
    Ok(answer["queries"].as_array().context("no list of queries")?.len())
}

async fn until_running(server: &Server, count: usize) -> anyhow::Result<()> {
    let what = format!("{count} queries run");
    wait_until(&what, PATIENCE, async || Ok((running(server).await? == count).then_some(()))).await
}

#[test]
fn statements_from_a_pipe_run_in_order_up_to_the_first_that_fails() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = url(&server);
    let source = ["--url", &url, "--csv"];
    let good = piped(&source, "SELECT ';' AS a; -- one; two\n\nSELECT $n + 1 AS b;\n\\set n 41\n")?;
    assert_eq!(good.status.code(), Some(1), "$n is set too late");
    let said = String::from_utf8(good.stderr)?;
    assert!(said.contains("statement 2 (line 3)") && said.contains("$n"), "{said}");
    assert_eq!(String::from_utf8(good.stdout)?, "a\n;\n");

    let good = piped(&source, "\\set n 41\nSELECT $n + 1 AS b;\n\\format ndjson\nSELECT 'x' AS c")?;
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert_eq!(String::from_utf8(good.stdout)?, "b\n42\n{\"c\":\"x\"}\n");

    let bad = piped(&source, "SELECT 1 AS a;\nSELECT\n nonsense;\nSELECT 3;")?;
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(String::from_utf8(bad.stdout)?, "a\n1\n", "what follows a failure does not run");
    let said = String::from_utf8(bad.stderr)?;
    assert!(said.contains("statement 2 (line 2)") && said.contains("nonsense"), "{said}");

    let open = piped(&source, "SELECT 1 AS a; SELECT 'open;")?;
    assert_eq!(open.status.code(), Some(1));
    assert!(String::from_utf8(open.stderr)?.contains("inside a quote"));
    Ok(())
}

#[test]
fn a_file_and_the_command_line_may_have_several_statements() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = url(&server);
    let file = home.workspace().join("questions.sql");
    std::fs::write(&file, "/* ; */ SELECT 1 AS a;\nSELECT nonsense;\n")?;
    let output = binary::run(&["sql", "--url", &url, "--csv", "--file", text(&file)])?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout)?, "a\n1\n");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("questions.sql") && said.contains("statement 2 (line 2)"), "{said}");
    let both = binary::run_well(&["sql", "--url", &url, "--csv", "SELECT 1 AS a; SELECT 2 AS b;"])?;
    assert_eq!(both, "a\n1\nb\n2\n");
    let tables = binary::run_well(&["sql", "--url", &url, "\\d"])?;
    assert!(tables.contains("one row for each span"), "{tables}");
    Ok(())
}

#[test]
fn a_table_in_a_pipe_is_whole_and_tells_null_from_nothing() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let long = "x".repeat(300);
    let sql = format!("SELECT 7 AS n, '{long}' AS long, NULL AS nothing, '' AS empty, 'end' AS last");
    let table = binary::run_well(&["sql", "--url", &url(&server), &sql])?;
    let row = format!("7  {long}  NULL            end");
    assert!(table.lines().any(|line| line == row), "{table}");
    assert!(table.lines().last().is_some_and(|line| line.starts_with("1 row in ")), "{table}");
    Ok(())
}

#[tokio::test]
async fn an_interrupt_cancels_the_query_and_ends_with_130() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = url(&server);
    for input in [None, Some(format!("SELECT 1 AS a; {ENDLESS};\nSELECT 2;\n"))] {
        let mut child = match &input {
            None => spawn(&["--url", &url, ENDLESS])?,
            Some(_) => spawn(&["--url", &url, "--csv"])?,
        };
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        // Stays open, as a terminal does.
        stdin.write_all(input.as_deref().unwrap_or("").as_bytes())?;
        until_running(&server, 1).await?;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status()?.success());
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
        until_running(&server, 0).await?;
        drop(stdin);
    }
    let outcome = server.sql("SELECT DISTINCT outcome FROM query_log WHERE sql LIKE '%10000000000%'").await?;
    assert!(!outcome.rows.is_empty(), "the query is not in the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_a_terminal_asks_edits_cancels_and_finds_it_again() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let (url, state) = (url(&server), home.workspace());
    let environment = [("XDG_STATE_HOME", text(&state)), ("TERM", "xterm")];
    let mut shell = Terminal::start(&["sql", "--url", &url], &environment)?;
    shell.wait_for("hindsight> ")?;
    shell.press("SELECT 'first' || 'line' AS both,\r2 * 21 AS n\r;\r")?;
    shell.wait_for("both")?;
    let answer = shell.wait_for("1 row in ")?;
    assert!(answer.contains("firstline  42"), "{answer}");

    shell.press("\\d logs\r")?;
    shell.wait_for("the message; JSON text")?;
    shell.press("\\x\rSELECT 1 AS narrow;\r")?;
    shell.wait_for("── row 1 ──\r\nnarrow  1")?;
    shell.press("\\x off\r\\timing off\r")?;
    shell.wait_for("timing: off")?;
    shell.press("SELECT nonsense;\r")?;
    shell.wait_for("error: ")?;

    let wide = "SELECT repeat('x', 300) AS wide, 5 AS n;\r";
    shell.press(wide)?;
    let cut = shell.wait_for("1 row\r\n")?;
    assert!(cut.contains("xxx…  5"), "{cut}");

    shell.press(&format!("{ENDLESS};\r"))?;
    shell.wait_for("Ctrl-C cancels")?;
    until_running(&server, 1).await?;
    shell.press(CONTROL_C)?;
    shell.wait_for("cancelled")?;
    until_running(&server, 0).await?;

    // What is begun is thrown away, and an older entry comes back whole.
    shell.press(&format!("SELECT nothing{CONTROL_C}"))?;
    shell.wait_for("^C")?;
    shell.press(&format!("{CONTROL_R}firstline"))?;
    shell.press("\u{7f}\u{7f}\u{7f}\u{7f}\r")?;
    shell.wait_for("firstline  42")?;
    shell.press(CONTROL_D)?;
    assert!(shell.end()?.success());

    let mut again = Terminal::start(&["sql", "--url", &url], &environment)?;
    again.wait_for("hindsight> ")?;
    again.press(&format!("{UP}\r"))?;
    again.wait_for("firstline  42").context("the history of the first shell is not there")?;
    again.press("\\q\r")?;
    assert!(again.end()?.success());
    Ok(())
}
