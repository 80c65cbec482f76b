use proptest::prelude::*;

use super::*;
use crate::testing::{capsule, files, manifest};
use crate::{END, Layout};

fn checked(bytes: &[u8]) -> Result<(Manifest, String)> {
    check(bytes, &mut |_, _, _| {})
}

/// An archive with these entries, of any kind and name, behind a manifest that is right.
fn archive(entries: &[(tar::Header, &[u8])]) -> Vec<u8> {
    let layout = Layout::of(&manifest(&files())).unwrap();
    let mut bytes = layout.opening().unwrap();
    for (header, content) in entries {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend_from_slice(&END);
    bytes
}

fn header(name: &str, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    // Names that the library would refuse to write.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn says(bytes: &[u8], said: &str) {
    let error = checked(bytes).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_capsule_is_read_to_its_end_and_tells_how_far_it_is() {
    let mut steps = Vec::new();
    let (manifest, sha256) = check(capsule(&files()).as_slice(), &mut |name, done, total| {
        steps.push((name.to_owned(), done, total));
    })
    .unwrap();
    assert_eq!(sha256, Layout::of(&manifest).unwrap().sha256());
    assert_eq!(steps.first(), Some(&("incident.json".to_owned(), 0, 619)));
    assert_eq!(steps.len(), 3);
}

#[test]
fn an_entry_that_is_no_plain_file_of_the_manifest_is_refused() {
    let content: &[u8] = b"{\"a\": 1}";
    let size = content.len() as u64;
    let regular = EntryType::Regular;
    for (name, kind, said) in [
        ("../incident.json", regular, "the manifest lists incident.json here"),
        ("/etc/passwd", regular, "the manifest lists incident.json here"),
        ("incident.json", EntryType::Symlink, "symbolic link"),
        ("incident.json", EntryType::Link, "hard link"),
        ("incident.json", EntryType::Directory, "folder"),
        ("incident.json", EntryType::Char, "device"),
        ("incident.json", EntryType::GNULongName, "special entry"),
        ("incident.json", EntryType::XHeader, "special entry"),
        ("incident.json", EntryType::GNUSparse, "special entry"),
    ] {
        says(&archive(&[(header(name, kind, size), content)]), said);
    }
    says(&archive(&[(header("incident.json", regular, 3), b"abc")]), "3 bytes instead of 8");
    says(&archive(&[(header("incident.json", regular, 8), b"{\"a\": 2}")]), "was changed or damaged");
}

#[test]
fn what_the_manifest_does_not_list_is_refused() {
    let mut bytes = capsule(&files());
    bytes.truncate(bytes.len() - END.len());
    bytes.extend_from_slice(header("run.sh", EntryType::Regular, 2).as_bytes());
    bytes.extend_from_slice(&[0; 512]);
    bytes.extend_from_slice(&END);
    says(&bytes, "`run.sh`");
}

#[test]
fn a_file_of_another_kind_is_no_capsule() {
    says(b"", "it is empty");
    says(&[b'x'; 2000], "no capsule");
    says(b"PK\x03\x04 a zip", "");
    let mut other = header("readme.txt", EntryType::Regular, 0).as_bytes().to_vec();
    other.extend_from_slice(&END);
    says(&other, "its first entry is `readme.txt`");
    let mut huge = header(MANIFEST_NAME, EntryType::Regular, 1 << 40).as_bytes().to_vec();
    huge.extend_from_slice(&END);
    says(&huge, "at most");
}

#[test]
fn a_capsule_that_was_cut_anywhere_is_refused() {
    let whole = capsule(&files());
    let end = whole.len() - END.len();
    for length in (0..end).step_by(37).chain([end - 512, end - 1]) {
        let error = checked(&whole[..length]).unwrap_err();
        let fits = matches!(error, Error::Truncated { .. } | Error::NotACapsule { .. } | Error::Read(_));
        // The padding of the last file is no part of any file.
        assert!(fits || length > end - 512, "{length}: {error}");
    }
    assert!(matches!(checked(&whole[..1536]), Err(Error::Truncated { .. })));
}

proptest! {
    #[test]
    fn a_flipped_bit_is_found_or_is_in_nothing_that_is_read(at in 0_usize..8192, bit in 0_u8..8) {
        let whole = capsule(&files());
        let mut bytes = whole.clone();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let mut seen = Vec::new();
        let mut keep = |_: &FileEntry, from: &mut dyn Read| {
            let mut content = Vec::new();
            from.read_to_end(&mut content).map_err(Error::Read)?;
            seen.push(content);
            Ok(())
        };
        if read(bytes.as_slice(), &mut keep, &mut |_, _, _| {}).is_ok() {
            let wanted: Vec<Vec<u8>> = files().into_iter().map(|(_, content)| content).collect();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn any_bytes_are_answered_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(checked(&bytes).is_err());
    }
}
