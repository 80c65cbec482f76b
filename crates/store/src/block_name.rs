//! What a block's file says about itself. Its name: log position, a unique part, and the checksum of its bytes, so
//! that a flipped bit shows in any copy without the table's log. Its metadata: the format.

use std::collections::HashMap;

use hindsight_model::Table;
use parquet::file::metadata::KeyValue;

/// The format of the files that this program writes: columns, sort order, encodings. Absent means 1.
pub(crate) const BLOCK_FORMAT: u32 = 1;
/// The key of the format in a file's own metadata.
pub(crate) const FORMAT_KEY: &str = "hindsight.block.format";

/// The entry of a file's metadata that says its format.
pub(crate) fn format_mark() -> KeyValue {
    KeyValue::new(FORMAT_KEY.to_owned(), BLOCK_FORMAT.to_string())
}

/// The format that a file's metadata says; the error completes "its format is …".
pub(crate) fn format_of(metadata: Option<&Vec<KeyValue>>) -> Result<u32, String> {
    let entry = metadata.into_iter().flatten().find(|entry| entry.key == FORMAT_KEY);
    let Some(entry) = entry else { return Ok(BLOCK_FORMAT) };
    let value = entry.value.as_deref().unwrap_or_default();
    value.parse().map_err(|_| format!("`{}`", value.chars().take(20).collect::<String>()))
}

/// `<position>-<uuid>-<CRC-32C>.parquet`: 20 decimal digits, 32 and 8 hexadecimal ones.
pub(crate) fn block_file_name(wal_position: u64, bytes: &[u8]) -> String {
    let unique = uuid::Uuid::new_v4().simple();
    format!("{wal_position:020}-{unique}-{:08x}.parquet", crc32c::crc32c(bytes))
}

/// The tag of a file's entry in the table's log that has the checksum of its bytes, for names chosen before them.
const CHECKSUM_TAG: &str = "hindsight.crc32c";

/// The tag that a file has when every promoted attribute of its rows is in its column: by which list they were.
const ALL_PROMOTED_TAG: &str = "hindsight.all_promoted";

/// The tags of a file's entry, if it has any: its checksum when its name does not carry it, and whether every promoted
/// attribute is in its column.
pub(crate) fn tags(
    table: Table,
    checksum: Option<u32>,
    all_promoted: bool,
) -> Option<HashMap<String, Option<String>>> {
    let checksum = checksum.map(|checksum| (CHECKSUM_TAG.to_owned(), Some(format!("{checksum:08x}"))));
    let all_promoted = all_promoted.then(|| (ALL_PROMOTED_TAG.to_owned(), Some(table.promoted_mark())));
    let tags: HashMap<_, _> = checksum.into_iter().chain(all_promoted).collect();
    (!tags.is_empty()).then_some(tags)
}

/// Whether an entry's tags say that every promoted attribute is in its column.
pub(crate) fn all_promoted_in_tags(table: Table, tags: &HashMap<String, Option<String>>) -> bool {
    let mark = tags.get(ALL_PROMOTED_TAG).and_then(Option::as_deref);
    mark.is_some_and(|mark| table.is_promoted_by(mark))
}

/// The checksum in an entry's tags; `None` when they have none, as those of other programs and of older ones.
pub(crate) fn checksum_in_tags(tags: &HashMap<String, Option<String>>) -> Option<u32> {
    let text = tags.get(CHECKSUM_TAG)?.as_deref()?;
    let is_ours = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| u32::from_str_radix(text, 16).ok())?
}

/// The log position in a name, or in the last part of a path; `None` when another program chose the name.
pub(crate) fn position_in_name(path: &str) -> Option<u64> {
    let digits = file_name(path).split_once('-')?.0;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// The checksum in a name; `None` when it carries none.
pub(crate) fn checksum_in_name(path: &str) -> Option<u32> {
    let stem = file_name(path).strip_suffix(".parquet")?;
    let mut parts = stem.split('-');
    let (position, unique, checksum) = (parts.next()?, parts.next()?, parts.next()?);
    let is_ours = position.len() == 20 && unique.len() == 32 && checksum.len() == 8;
    if !is_ours || parts.next().is_some() {
        return None;
    }
    u32::from_str_radix(checksum, 16).ok()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_position_and_checksum() {
        let name = block_file_name(42, b"rows");
        let path = format!("tenant=a-b/date=2026-05-04/{name}");
        assert_eq!(position_in_name(&path), Some(42));
        assert_eq!(checksum_in_name(&path), Some(crc32c::crc32c(b"rows")));
        assert_ne!(name, block_file_name(42, b"rows"), "two files never share a name");
    }

    #[test]
    fn a_format_reads_back_and_its_absence_means_the_first() {
        assert_eq!(format_of(Some(&vec![format_mark()])), Ok(BLOCK_FORMAT));
        assert_eq!(format_of(None), Ok(1));
        let newer = KeyValue::new(FORMAT_KEY.to_owned(), "7".to_owned());
        assert_eq!(format_of(Some(&vec![newer])), Ok(7));
        assert!(format_of(Some(&vec![KeyValue::new(FORMAT_KEY.to_owned(), None)])).is_err());
    }

    #[test]
    fn a_tag_reads_back_and_its_absence_or_nonsense_says_nothing() {
        let table = Table::Logs;
        assert_eq!(tags(table, None, false), None);
        for all_promoted in [false, true] {
            let both = tags(table, Some(0x0123_abcd), all_promoted).unwrap();
            assert_eq!(
                (checksum_in_tags(&both), all_promoted_in_tags(table, &both)),
                (Some(0x0123_abcd), all_promoted)
            );
        }
        let one = tags(table, None, true).unwrap();
        assert_eq!((checksum_in_tags(&one), all_promoted_in_tags(table, &one)), (None, true));
        for mark in [None, Some("true"), Some("1"), Some("yes")] {
            let tags = HashMap::from([(ALL_PROMOTED_TAG.to_owned(), mark.map(str::to_owned))]);
            assert!(!all_promoted_in_tags(table, &tags), "{mark:?} is of an earlier list, or of none");
        }
        assert_eq!(checksum_in_tags(&HashMap::new()), None);
        for text in ["", "123", "0123abcg", "+123abcd", "0123abcd0"] {
            let tags = HashMap::from([(CHECKSUM_TAG.to_owned(), Some(text.to_owned()))]);
            assert_eq!(checksum_in_tags(&tags), None, "{text}");
        }
    }

    #[test]
    fn names_of_other_programs_and_of_older_ones_say_nothing_false() {
        let older =
            "tenant=default/date=2026-05-04/00000000000000000042-0123456789abcdef0123456789abcdef.parquet";
        assert_eq!((position_in_name(older), checksum_in_name(older)), (Some(42), None));
        for foreign in
            ["part-00000-1b2c3d4e-1234-4234-8234-123456789abc-c000.snappy.parquet", "x.parquet", ""]
        {
            assert_eq!((position_in_name(foreign), checksum_in_name(foreign)), (None, None), "{foreign}");
        }
    }
}
