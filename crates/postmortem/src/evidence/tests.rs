use std::collections::BTreeMap;
use std::fs;

use hindsight_model::Tenant;
use jiff::tz::TimeZone;

use super::*;
use crate::testing::{Shop, at};

async fn frozen() -> Evidence {
    let spec = EvidenceSpec {
        id: "E1".into(),
        title: "Error rate".into(),
        caption: "Shows when customers began to be hurt and when it ended.".into(),
        sql: "SELECT … AS error_rate FROM spans WHERE service_name IN ($service_1) AND timestamp >= $from AND timestamp < $until".into(),
        params: BTreeMap::from([("service_1".into(), "checkout".into()), ("until".into(), at("21:40:00").into())]),
        from: at("21:30:00"),
        to: at("21:50:00"),
        chart: Some(ChartSpec { series: vec!["service_name".into()], ..ChartSpec::line("minute", &["error_rate"], crate::chart::Unit::Percent) }),
    };
    let context = FreezeContext {
        tenant: Tenant::default(),
        watermark: None,
        engine: "test".into(),
        now: at("22:00:00"),
    };
    freeze(&Shop::default(), spec, &context).await.unwrap()
}

#[tokio::test]
async fn evidence_reads_back_as_it_was_written() {
    let evidence = frozen().await;
    let dir = tempfile::tempdir().unwrap();
    write_evidence(dir.path(), &evidence, &TimeZone::UTC).unwrap();
    let set = EvidenceSet::read(dir.path()).unwrap();
    assert_eq!(set.items, [evidence]);
    assert_eq!(set.trouble("E1"), None);
    let leftovers = fs::read_dir(dir.path().join("evidence")).unwrap();
    let names: Vec<String> =
        leftovers.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
}

#[tokio::test]
async fn any_change_to_question_or_answer_breaks_the_checksum() {
    let evidence = frozen().await;
    assert_eq!(verify(&evidence), Verdict::Intact);
    let changes: [fn(&mut Evidence); 6] = [
        |e| e.sql.push(' '),
        |e| e.rows[3][2] = serde_json::json!(0.5),
        |e| drop(e.rows.pop()),
        |e| e.columns[0].name = "hour".into(),
        |e| e.to = e.from,
        |e| e.params.clear(),
    ];
    for change in changes {
        let mut altered = evidence.clone();
        change(&mut altered);
        assert!(matches!(verify(&altered), Verdict::Altered { .. }));
    }
    let mut reworded = evidence;
    reworded.caption = "Other words.".into();
    assert_eq!(verify(&reworded), Verdict::Intact);
}

#[tokio::test]
async fn files_that_are_not_evidence_are_named_and_not_fatal() {
    let evidence = frozen().await;
    let dir = tempfile::tempdir().unwrap();
    write_evidence(dir.path(), &evidence, &TimeZone::UTC).unwrap();
    let folder = dir.path().join("evidence");
    fs::write(folder.join("E2.json"), "{").unwrap();
    fs::copy(folder.join("E1.json"), folder.join("E3.json")).unwrap();
    fs::write(folder.join("notes.txt"), "hello").unwrap();
    let set = EvidenceSet::read(dir.path()).unwrap();
    assert_eq!(set.items.len(), 1);
    assert!(set.trouble("E2").unwrap().contains("cannot be read"));
    assert!(set.trouble("E3").unwrap().contains("says it is E1"));
    assert!(set.trouble("E9").unwrap().contains("no evidence/E9.json"));
}

#[tokio::test]
async fn a_minute_without_rows_is_a_gap_in_the_line() {
    let mut evidence = frozen().await;
    evidence.rows.remove(4);
    let series = evidence.series();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].points.iter().filter(|point| point.1.is_none()).count(), 1);
}

#[tokio::test]
async fn too_many_rows_are_refused_with_a_way_out() {
    struct Flood;
    #[async_trait::async_trait]
    impl hindsight_model::SqlSource for Flood {
        async fn sql(
            &self,
            _: hindsight_model::SqlRequest,
        ) -> Result<hindsight_model::SqlAnswer, hindsight_model::SqlError> {
            let column = std::sync::Arc::new(arrow::array::Int64Array::from(vec![1; MAX_ROWS + 1]));
            let batch =
                arrow::array::RecordBatch::try_from_iter([("n", column as arrow::array::ArrayRef)]).unwrap();
            Ok(hindsight_model::SqlAnswer::new(batch.schema(), vec![batch]))
        }
    }
    let spec = EvidenceSpec {
        id: "E1".into(),
        title: "t".into(),
        caption: String::new(),
        sql: "SELECT 1".into(),
        params: BTreeMap::new(),
        from: at("21:30:00"),
        to: at("21:50:00"),
        chart: None,
    };
    let context = FreezeContext {
        tenant: Tenant::default(),
        watermark: None,
        engine: "test".into(),
        now: at("22:00:00"),
    };
    let error = freeze(&Flood, spec, &context).await.unwrap_err();
    assert!(error.to_string().contains("narrow or aggregate"), "{error}");
}

#[tokio::test]
async fn the_standalone_drawing_is_whole_xml_without_anything_remote() {
    let figure = frozen().await.figure(&TimeZone::UTC).unwrap();
    let svg = standalone_svg(&figure).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert_eq!(svg.matches("<svg").count(), 1);
    assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    assert!(!svg.replace("http://www.w3.org/2000/svg", "").contains("http"));
}
