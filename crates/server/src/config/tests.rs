//! What `hindsight.toml`, flags and environment become, and how wrong ones are refused.

use super::*;

fn with_file(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hindsight.toml"), text).unwrap();
    Config::load(&Overrides { workspace: Some(dir.path().to_path_buf()), ..Overrides::default() })
}

#[test]
fn defaults_listen_on_loopback_and_need_no_token() {
    let config = with_file("").unwrap();
    assert!(config.listen_web.value.ip().is_loopback());
    assert_eq!(config.listen_grpc.value.port(), 4317);
}

#[test]
fn an_unknown_key_stops_the_start_with_its_line() {
    let error = with_file("[ingest]\nseal_agee = \"5s\"\n").unwrap_err();
    let ConfigError::Parse { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("seal_agee"), "{source}");
    assert!(source.to_string().contains("line 2"), "{source}");
}

#[test]
fn retention_is_set_by_table_and_tenant() {
    let config = with_file(
        "[[retention]]\ntable = \"logs\"\nkeep = \"7d\"\n[[retention]]\ntenant = \"a\"\nkeep = \"1w\"\n",
    )
    .unwrap();
    let rules = &config.retention_rules.value;
    assert_eq!((rules[0].table, rules[0].keep), (Some(Table::Logs), Duration::from_secs(7 * 86_400)));
    assert_eq!(rules[1].tenant, Some("a".parse().unwrap()));
    let shown = config.describe().into_iter().find(|(key, ..)| *key == "retention").unwrap().1;
    assert_eq!(shown, "*/logs 604800s, a/* 604800s");
    for (bad, says) in [
        ("table = \"log\"\nkeep = \"7d\"", "no table `log`"),
        ("keep = \"7d\"", "ingest.retention"),
        ("table = \"logs\"\nkeep = \"0s\"", "as they come"),
    ] {
        let error = with_file(&format!("[[retention]]\n{bad}\n")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(with_file("[[retention]]\ntable = \"logs\"\nkeep = \"7 days\"\n").is_err());
}

#[test]
fn tables_are_on_this_disk_unless_a_place_that_this_program_can_reach_is_named() {
    assert_eq!(with_file("").unwrap().tables.value, TablesLocation::Local);
    let nowhere = with_file("[storage]\nendpoint = \"http://127.0.0.1:9000\"\n");
    assert!(matches!(nowhere, Err(ConfigError::Invalid { key: "storage.tables", .. })));
    assert!(matches!(with_file("[storage]\ntables = \"/mnt\"\n"), Err(ConfigError::Tables(_))));
    let named = with_file(
        "[storage]\ntables = \"s3://bucket/team\"\nendpoint = \"http://127.0.0.1:9000\"\nregion = \"r\"\n",
    );
    match named {
        Ok(config) => {
            let TablesLocation::Url(url) = &config.tables.value else { panic!("{config:?}") };
            assert_eq!((url.as_str(), url.region.as_deref()), ("s3://bucket/team", Some("r")));
        }
        // Built without the feature `s3`.
        Err(ConfigError::Tables(error)) => {
            assert!(error.to_string().contains("--features s3"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn texts_are_indexed_by_table() {
    assert_eq!(with_file("").unwrap().search.options().tables, [Table::Logs]);
    let config = with_file("[search]\ntables = [\"spans\"]\nbytes_max = 7\n").unwrap();
    assert_eq!(config.search.options().tables, [Table::Spans]);
    assert_eq!((&config.search.tables.value[..], config.search.bytes_max.value), (&[Table::Spans][..], 7));
    let error = with_file("[search]\ntables = [\"metrics\"]\n").unwrap_err().to_string();
    assert!(error.contains("there are spans, logs") || error.contains("there are logs, spans"), "{error}");
    let off = with_file("[search]\nenabled = false\n").unwrap();
    assert!(off.search.options().tables.is_empty() && !off.search.tables.value.is_empty());
}

#[test]
fn limits_of_queries_are_set_shown_and_checked() {
    let config = with_file(
        "[query]\nrows_max = 10\nstream_rows_max = 20\npage_rows_max = 30\nconcurrency_wait = \"1500ms\"\n\
         timeout = \"5s\"\nmemory_bytes = 16777216\nspill_bytes_max = 0\nfooter_bytes_max = 7\n",
    )
    .unwrap();
    let options = config.query.options(Path::new("data"));
    assert_eq!((options.rows_max, options.stream_rows_max, options.footer_bytes), (10, 20, 7));
    assert_eq!((options.timeout, options.memory_bytes), (Duration::from_secs(5), 16 * MIB));
    assert_eq!((options.concurrency, options.concurrency_wait), (8, Duration::from_millis(1_500)));
    assert!(options.spill.is_none());
    let shown: Vec<_> = config.describe().into_iter().filter(|row| row.0.starts_with("query.")).collect();
    assert_eq!(shown.len(), 9);
    for row in [
        ("query.stream_rows_max", "20".to_owned(), ConfigSource::File),
        ("query.concurrency_wait", "1500ms".to_owned(), ConfigSource::File),
        ("query.timeout", "5s".to_owned(), ConfigSource::File),
        ("query.concurrency", "8".to_owned(), ConfigSource::Default),
    ] {
        assert!(shown.contains(&row), "{row:?} is not in {shown:?}");
    }
    let spill = with_file("").unwrap().query.options(Path::new("data")).spill.unwrap();
    assert_eq!(spill.dir, Path::new("data/spill"));
    for wrong in ["rows_max = 0", "stream_rows_max = 0", "page_rows_max = 10001", "timeout = \"0s\""] {
        let error = with_file(&format!("[query]\n{wrong}\n")).unwrap_err().to_string();
        assert!(error.contains(wrong.split(' ').next().unwrap()), "{wrong}: {error}");
    }
    assert!(matches!(with_file("[query]\nstream_rows = 1\n"), Err(ConfigError::Parse { .. })));
}

#[test]
fn merging_is_set_shown_and_checked() {
    let config =
        with_file("[compaction]\ninterval = \"100ms\"\nfan_in = 4\nbytes_per_second_max = 5\n").unwrap();
    let options = crate::store_options(&config).maintenance;
    assert_eq!((options.interval, options.fan_in), (Some(Duration::from_millis(100)), 4));
    assert_eq!(options.bytes_per_second_max, Some(5));
    let shown = |key: &str| config.describe().into_iter().find(|row| row.0 == key).unwrap().1;
    assert_eq!(shown("compaction.interval"), "100ms");
    assert_eq!(shown("compaction.removal_grace"), "900s");
    assert_eq!(crate::store_options(&with_file("").unwrap()).maintenance.bytes_per_second_max, None);
    for wrong in ["interval = \"1ms\"", "fan_in = 1", "fan_in = 65", "target_bytes = 1"] {
        assert!(
            matches!(with_file(&format!("[compaction]\n{wrong}\n")), Err(ConfigError::Invalid { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn who_is_told_is_checked_at_the_start() {
    let receiver = "[[receivers]]\nname = \"ops\"\ntype = \"file\"\npath = \"told.jsonl\"\n";
    let config =
        with_file(&format!("{receiver}[notify]\ngroup_wait = \"0s\"\nreceiver = \"ops\"\n")).unwrap();
    let shown = |key: &str| config.describe().into_iter().find(|(name, ..)| *name == key).unwrap();
    assert_eq!(shown("notify.group_wait"), ("notify.group_wait", "0s".to_owned(), ConfigSource::File));
    assert_eq!(shown("notify.group_interval").1, "300s");
    assert_eq!(shown("receivers").1, "ops");
    let typo = with_file("[notify]\ngroup_wiat = \"0s\"\n").unwrap_err();
    let ConfigError::Parse { source, .. } = typo else { panic!("{typo}") };
    assert!(source.to_string().contains("group_wiat") && source.to_string().contains("line 2"), "{source}");
    let nobody = with_file(&format!("{receiver}[notify]\nreceiver = \"opps\"\n")).unwrap_err();
    let ConfigError::Notify(source) = nobody else { panic!("{nobody}") };
    assert!(source.to_string().contains("there are ops"), "{source}");
    let url = with_file("[notify]\nexternal_url = \"example.org\"\n");
    assert!(matches!(url, Err(ConfigError::Invalid { key: "notify.external_url", .. })));
}

#[test]
fn beyond_loopback_needs_a_token_or_insecure() {
    let exposed = "[listen]\nweb = \"0.0.0.0:4320\"\n";
    assert!(matches!(with_file(exposed), Err(ConfigError::Exposed { flag: "--listen-web", .. })));
    assert!(with_file(&format!("insecure = true\n{exposed}")).is_ok());
    let pg = with_file("[listen]\npg = \"0.0.0.0:4321\"\n");
    assert!(matches!(pg, Err(ConfigError::Exposed { flag: "--listen-pg", .. })));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hindsight.toml"), exposed).unwrap();
    let flags = Overrides {
        workspace: Some(dir.path().to_path_buf()),
        token: Some("0123456789abcdef".into()),
        ..Overrides::default()
    };
    assert!(Config::load(&flags).is_ok());
}

#[test]
fn further_tokens_have_roles_and_come_beside_the_one_that_sees_everything() {
    use hindsight_model::Clearance;

    use crate::access::Access;
    let dir = tempfile::tempdir().unwrap();
    for (name, token) in
        [("all", "all-all-all-all-all"), ("dev", "dev-dev-dev-dev-dev"), ("sec", "sec-sec-sec-sec-sec")]
    {
        std::fs::write(dir.path().join(name), token).unwrap();
    }
    let load = |text: &str| {
        std::fs::write(dir.path().join("hindsight.toml"), text).unwrap();
        Config::load(&Overrides { workspace: Some(dir.path().to_path_buf()), ..Overrides::default() })
    };
    let dev = "[[tokens]]\nname = \"dev\"\ntoken_file = \"dev\"\n";
    let sec = "[[tokens]]\nname = \"sec\"\ntoken_file = \"sec\"\nroles = [\"restricted\"]\n";
    let config = load(&format!("token_file = \"all\"\n{dev}{sec}")).unwrap();
    let shown = config.describe().into_iter().find(|(key, ..)| *key == "tokens").unwrap().1;
    assert_eq!(shown, "dev, sec (restricted)");
    let access = Access::new(&config);
    let admit = |sent: &str| access.admit(Some(sent));
    assert_eq!(admit("all-all-all-all-all"), Some(Clearance::Restricted));
    assert_eq!(admit("sec-sec-sec-sec-sec"), Some(Clearance::Restricted));
    assert_eq!(admit("dev-dev-dev-dev-dev"), Some(Clearance::Everyone));
    assert_eq!((admit("dev-dev-dev-dev-deV"), access.admit(None)), (None, None));
    let open = Access::new(&load("").unwrap());
    assert_eq!(open.admit(None), Some(Clearance::Restricted), "alone at home one sees everything");
    for (wrong, says) in [
        (dev.to_owned(), "set `token_file`"),
        (format!("token_file = \"dev\"\n{dev}"), "of another one"),
        (format!("token_file = \"all\"\n{dev}{dev}"), "of another one"),
    ] {
        let error = load(&wrong).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let role = load(&format!("token_file = \"all\"\n{dev}roles = [\"admin\"]\n"));
    assert!(matches!(role, Err(ConfigError::Parse { .. })));
}

#[test]
fn a_certificate_comes_with_its_key() {
    let both = with_file("[listen]\npg_tls_cert = \"a.pem\"\npg_tls_key = \"b.pem\"\n").unwrap();
    let files = both.listen_pg_tls.value.unwrap();
    assert!(files.cert.ends_with("a.pem") && files.cert.is_absolute() && files.key.ends_with("b.pem"));
    let one = with_file("[listen]\npg_tls_key = \"b.pem\"\n");
    assert!(matches!(one, Err(ConfigError::Invalid { key: "listen.pg_tls_cert", .. })));
}

#[test]
fn a_flag_beats_the_file_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hindsight.toml"), "[listen]\ngrpc = \"127.0.0.1:1\"\n").unwrap();
    let flags = Overrides {
        workspace: Some(dir.path().to_path_buf()),
        listen_grpc: Some("127.0.0.1:2".parse().unwrap()),
        ..Overrides::default()
    };
    let config = Config::load(&flags).unwrap();
    assert_eq!(config.listen_grpc.value.port(), 2);
    assert_eq!(config.listen_grpc.source, ConfigSource::Flag);
}
