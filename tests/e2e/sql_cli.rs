//! `hindsight sql`: against a server and against a data directory, in each format, and its exit code.

use anyhow::Context as _;
use prost::Message as _;
use serde_json::json;

use crate::answer::Answer;
use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, text};

const QUESTION: &str =
    "SELECT service_name, count(*) AS n FROM logs GROUP BY service_name ORDER BY service_name";

#[tokio::test]
async fn the_same_question_gets_the_same_answer_from_a_server_and_from_its_folder() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for (service, bodies) in [("a,b", vec!["x"]), ("cart", vec!["x", "y"])] {
        let bodies: Vec<_> = bodies.into_iter().map(|body| (body, vec![])).collect();
        let body = otlp::logs(service, otlp::now(), &bodies).encode_to_vec();
        let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
        assert_eq!(post.body(body).send().await?.status(), 200);
    }
    let url = format!("http://{}", server.web);
    check_formats(&["--url", &url])?;
    let data_dir = home.data_dir();
    let folder = ["--data-dir", text(&data_dir)];
    check_formats(&folder).context("from the server that holds the folder")?;
    server.kill_9()?;
    check_formats(&folder).context("from the log that a killed server left, beside its stale address")?;
    assert!(home.serve()?.terminate()?.success());
    check_formats(&folder).context("from sealed blocks")
}

fn check_formats(source: &[&str]) -> anyhow::Result<()> {
    let ask = |more: &[&str]| binary::run_well(&[&["sql"], source, more].concat());
    let answer = Answer::from_json(&ask(&["--json", QUESTION])?)?;
    let names: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["service_name", "n"]);
    assert!(answer.columns.iter().all(|column| !column.kind.is_empty()), "a column without a type");
    assert_eq!(json!(answer.rows), json!([["a,b", 1], ["cart", 2]]));
    assert_eq!(ask(&["--csv", QUESTION])?, "service_name,n\n\"a,b\",1\ncart,2\n");
    let table = ask(&[QUESTION])?;
    for word in ["service_name", "a,b", "cart", "2"] {
        assert!(table.contains(word), "`{word}` is not in the table\n{table}");
    }
    let bound =
        ask(&["--json", "--param", "who=cart", "SELECT count(*) FROM logs WHERE service_name = $who"])?;
    assert_eq!(Answer::from_json(&bound)?.single()?, &json!(2));
    Ok(())
}

#[test]
fn a_wrong_question_fails_with_a_sentence_and_nothing_on_standard_output() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = format!("http://{}", server.web);
    for (sql, hint) in [("SELECT nonsense FROM logs", "nonsense"), ("SELEKT 1", "SELEKT")] {
        let output = binary::run(&["sql", "--url", &url, sql])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "`{sql}` succeeded");
        assert!(output.stdout.is_empty(), "an error belongs on standard error");
        assert!(said.contains(hint), "the error does not name `{hint}`: {said}");
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_named() -> anyhow::Result<()> {
    let output = binary::run(&["sql", "--url", "http://127.0.0.1:9", "SELECT 1"])?;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:9"));
    Ok(())
}
