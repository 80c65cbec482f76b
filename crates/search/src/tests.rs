//! Indexes over made-up texts, compared with a look at every text.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use hindsight_model::{TextIndex, Wanted, lower_word, words};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::SearchIndex;
use crate::block_index::BlockIndex;
use crate::build::Builder;
use crate::part_writer::Layout;

const BLOCK: &str = "logs/tenant=default/date=2026-05-04/00000000000000000001-c1-a.parquet";

type Texts = Vec<Option<String>>;

fn batch(texts: &[Option<String>]) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    RecordBatch::try_from_iter_with_nullable([("body", texts, true)]).unwrap()
}

fn build(indexes: &SearchIndex, texts: &[Option<String>], batch_rows: usize, layout: Layout) {
    let place = indexes.workplace(BLOCK).unwrap();
    let mut builder = Builder::create(&place, BLOCK, vec!["body".to_owned()], layout).unwrap();
    for texts in texts.chunks(batch_rows) {
        builder.add(&batch(texts)).unwrap();
    }
    let manifest = builder.finish().unwrap();
    indexes.adopt(&place, &manifest).unwrap();
}

fn word(word: &str) -> Wanted {
    Wanted::Word { column: "body".to_owned(), word: lower_word(word).collect() }
}

fn prefix(start: &str) -> Wanted {
    Wanted::Prefix { column: "body".to_owned(), start: lower_word(start).collect() }
}

/// What an index must not leave out.
fn is_wanted(text: Option<&str>, wanted: &Wanted) -> bool {
    let any = |holds: &dyn Fn(&str) -> bool| {
        text.is_some_and(|text| words(text).any(|word| holds(&lower_word(word).collect::<String>())))
    };
    match wanted {
        Wanted::Everything => true,
        Wanted::Word { word, .. } => any(&|found| found == word),
        Wanted::Prefix { start, .. } => any(&|found| found.starts_with(start)),
        Wanted::All(parts) => parts.iter().all(|part| is_wanted(text, part)),
        Wanted::Any(parts) => parts.iter().any(|part| is_wanted(text, part)),
    }
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    option::weighted(
        0.9,
        prop_oneof![
            4 => "([a-cA-CäÄ]{1,3}[ .-]?){0,6}",
            4 => "([aAäÄ]{0,5}[01]{0,5}b?[ .-]?){0,4}",
            1 => "[aä]{60,70}1?( b)?",
            1 => "\\PC{0,20}",
        ],
    )
}

fn some_wanted() -> impl Strategy<Value = Wanted> {
    let leaf = prop_oneof![
        1 => Just(Wanted::Everything),
        6 => "[a-cä]{1,3}".prop_map(|text| word(&text)),
        6 => "[aä]{0,5}[01]{1,5}b?".prop_map(|text| word(&text)),
        4 => "[a-cä]{1,2}".prop_map(|text| prefix(&text)),
        6 => "[aä]{0,5}[01]{1,3}|[aä]{1,6}".prop_map(|text| prefix(&text)),
        1 => "[aä]{60,70}1?".prop_map(|text| word(&text)),
        1 => "[aä]{60,70}1?".prop_map(|text| prefix(&text)),
        1 => Just(Wanted::Word { column: "other".to_owned(), word: "a".to_owned() }),
    ];
    leaf.prop_recursive(3, 12, 3, |part| {
        prop_oneof![vec(part.clone(), 0..3).prop_map(Wanted::All), vec(part, 0..3).prop_map(Wanted::Any)]
    })
}

fn may_be_wanted(text: Option<&str>, wanted: &Wanted) -> bool {
    match wanted {
        // The index does not know this column.
        Wanted::Word { column, .. } | Wanted::Prefix { column, .. } if column != "body" => true,
        Wanted::All(parts) => parts.iter().all(|part| may_be_wanted(text, part)),
        Wanted::Any(parts) => parts.iter().any(|part| may_be_wanted(text, part)),
        other => is_wanted(text, other),
    }
}

/// Small documents, so that some words are in few of them; parts of one batch or of all; few words or many.
fn some_layout() -> impl Strategy<Value = Layout> {
    let whole = Layout::default();
    let part_bytes = prop_oneof![Just(0), Just(whole.part_bytes)];
    let words_max = prop_oneof![1 => 0_usize..20, 2 => Just(whole.words_max)];
    (1_u32..5, part_bytes, words_max).prop_map(|(group_rows, part_bytes, words_max)| Layout {
        group_rows,
        part_bytes,
        words_max,
    })
}

/// A part for each batch.
fn parted() -> Layout {
    Layout { group_rows: GROUP_ROWS, part_bytes: 0, ..Layout::default() }
}

fn one_part() -> Layout {
    Layout { group_rows: GROUP_ROWS, ..Layout::default() }
}

const GROUP_ROWS: u32 = 16;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_row_that_is_wanted_is_left_out(
        texts in vec(some_text(), 1..60), searches in vec(some_wanted(), 1..12),
        batch_rows in 1_usize..40, layout in some_layout(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let indexes = SearchIndex::open(dir.path()).unwrap();
        build(&indexes, &texts, batch_rows, layout);
        let place = dir.path().join("logs/00000000000000000001-c1-a");
        let index = BlockIndex::open(&place, BLOCK).unwrap();
        for wanted in &searches {
            let Some(rows) = index.rows(wanted).unwrap() else { continue };
            prop_assert!(rows.is_sorted_by(|a, b| a < b));
            for (row, text) in (0..).zip(&texts) {
                if may_be_wanted(text.as_deref(), wanted) {
                    prop_assert!(rows.contains(&row), "{wanted:?} {row} {rows:?}");
                }
            }
            if let Some(picked) = indexes.candidates(BLOCK, wanted) {
                prop_assert_eq!((picked.total as usize, picked.rows), (texts.len(), rows));
            }
        }
    }
}

fn many_texts() -> Texts {
    (0..2000).map(|row| Some(format!("Request {row} took {} ms", row % 7))).collect()
}

/// These rows and those that share a document with them.
fn beside(rows: &[u32]) -> Vec<u32> {
    let part = |row: &u32| row / 512 * 512;
    let groups = rows.iter().map(|row| part(row) + (row - part(row)) / GROUP_ROWS * GROUP_ROWS);
    let groups: std::collections::BTreeSet<u32> = groups.collect();
    groups.into_iter().flat_map(|group| group..(group + GROUP_ROWS).min(2000)).collect()
}

#[test]
fn a_word_leads_to_its_rows_and_a_common_one_to_none() {
    let dir = tempfile::tempdir().unwrap();
    let indexes = SearchIndex::open(dir.path()).unwrap();
    build(&indexes, &many_texts(), 512, parted());
    let rows = |wanted: &Wanted| indexes.candidates(BLOCK, wanted).map(|set| set.rows);
    assert_eq!(rows(&word("1234")), Some(beside(&[1234])));
    assert_eq!(rows(&word("absent")), Some(Vec::new()));
    assert_eq!(rows(&prefix("199")), Some(beside(&[199, 1990, 1999])));
    assert_eq!(rows(&Wanted::All(vec![word("request"), word("77"), prefix("7")])), Some(beside(&[77])));
    assert_eq!(rows(&Wanted::Any(vec![word("77"), word("78")])), Some(beside(&[77])));
    assert_eq!(rows(&word("request")), None, "picking most rows costs more than it saves");
    assert_eq!(rows(&Wanted::Any(vec![word("77"), Wanted::Everything])), None);
    let (blocks, bytes) = indexes.size();
    assert!(blocks == 1 && bytes > 0);
}

#[test]
fn indexes_are_found_again_and_go_when_they_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    build(&SearchIndex::open(dir.path()).unwrap(), &many_texts(), 512, parted());
    std::fs::create_dir_all(dir.path().join("logs/half-done-1.tmp/0")).unwrap();
    let indexes = SearchIndex::open(dir.path()).unwrap();
    assert!(!dir.path().join("logs/half-done-1.tmp").try_exists().unwrap());
    assert_eq!(indexes.candidates(BLOCK, &word("1234")).unwrap().rows, beside(&[1234]));
    indexes.remove(BLOCK);
    assert_eq!(indexes.candidates(BLOCK, &word("1234")), None);
    assert_eq!(std::fs::read_dir(dir.path().join("logs")).unwrap().count(), 0);
    assert_eq!(indexes.size(), (0, 0));
}

/// Files of the index below `dir`.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_damaged_index_counts_as_none_and_is_removed() {
    let whole = tempfile::tempdir().unwrap();
    build(&SearchIndex::open(whole.path()).unwrap(), &many_texts(), 1000, one_part());
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("a flipped bit", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("a torn end", |bytes| bytes.truncate(bytes.len() - 1)),
        ("nothing left", Vec::clear),
    ];
    for file in files(whole.path()).iter().filter(|file| !file.to_str().unwrap().ends_with(".lock")) {
        for (what, damage) in damages {
            let dir = tempfile::tempdir().unwrap();
            build(&SearchIndex::open(dir.path()).unwrap(), &many_texts(), 1000, one_part());
            let name = file.file_name().unwrap();
            // Names of segments differ from build to build, their ends do not.
            let is_same = |other: &&std::path::PathBuf| {
                other.file_name() == Some(name)
                    || file.extension().is_some() && other.extension() == file.extension()
            };
            let files = files(dir.path());
            let file = files.iter().find(is_same).unwrap();
            let mut bytes = std::fs::read(file).unwrap();
            if bytes.is_empty() {
                continue;
            }
            damage(&mut bytes);
            std::fs::write(file, bytes).unwrap();
            let indexes = SearchIndex::open(dir.path()).unwrap();
            let rows = indexes.candidates(BLOCK, &word("1234"));
            assert!(rows.is_none() || rows.unwrap().rows == beside(&[1234]), "{what} in {}", file.display());
            let again = indexes.candidates(BLOCK, &word("1234"));
            assert!(again.is_none() || again.unwrap().rows == beside(&[1234]));
        }
    }
}

#[test]
fn an_index_whose_files_are_gone_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let indexes = SearchIndex::open(dir.path()).unwrap();
    build(&indexes, &many_texts(), 1000, parted());
    std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
    assert_eq!(indexes.candidates(BLOCK, &word("1234")), None);
    assert_eq!(indexes.size(), (0, 0), "so that it is built anew");
}
