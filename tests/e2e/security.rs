//! SEC-1: nothing listens beyond loopback without authentication, unless `--insecure` says so aloud.

use crate::binary;
use crate::server::{Home, text};

#[test]
fn an_open_address_without_a_token_is_refused_with_the_way_out() -> anyhow::Result<()> {
    for flag in ["--listen-web", "--listen-grpc", "--listen-http"] {
        let home = Home::new("")?;
        let (data_dir, workspace) = (home.data_dir(), home.workspace());
        let mut arguments =
            vec!["serve", "--data-dir", text(&data_dir), "--workspace", text(&workspace), flag, "0.0.0.0:0"];
        for other in ["--listen-web", "--listen-grpc", "--listen-http"] {
            if other != flag {
                arguments.extend([other, "127.0.0.1:0"]);
            }
        }
        let output = binary::run(&arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{flag} 0.0.0.0:0 was accepted");
        for word in [flag, "--token", "--insecure"] {
            assert!(said.contains(word), "`{word}` is not in the refusal: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_asked_for_on_every_port() -> anyhow::Result<()> {
    let token = "0123456789abcdef0123456789abcdef";
    let home = Home::new("")?;
    let server = home.serve_with(&["--token", token])?;
    let client = reqwest::Client::new();
    let sql = format!("http://{}/api/v1/sql", server.web);
    for url in [sql.as_str(), &server.otlp_url("logs")] {
        let ask = || client.post(url).header("content-type", "application/json");
        let body = if url == sql { r#"{"sql":"SELECT 1"}"# } else { "{}" };
        assert_eq!(ask().body(body).send().await?.status(), 401, "{url} without a token");
        let wrong = ask().bearer_auth("fedcba9876543210fedcba9876543210").body(body).send().await?;
        assert_eq!(wrong.status(), 401, "{url} with a wrong token");
        assert_eq!(ask().bearer_auth(token).body(body).send().await?.status(), 200, "{url} with the token");
    }
    Ok(())
}
