use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

const OPEN: &str = "<!-- hindsight:generated ";
const CLOSE: &str = "<!-- /hindsight:generated -->";

/// A stretch of the body that the program wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name, unique in the document.
    pub name: String,
    /// From the opening mark to the end of the closing one, as bytes of the body.
    pub outer: Range<usize>,
    /// The text between the marks, as bytes of the body.
    pub inner: Range<usize>,
    /// Whether somebody changed the text: its checksum no longer holds.
    pub edited: bool,
}

/// The text as a marked region with its checksum.
pub fn region(name: &str, text: &str) -> String {
    let text = format!("{}\n", text.trim_end_matches('\n'));
    format!("{OPEN}{name} sha256={} -->\n{text}{CLOSE}\n", digest(&text))
}

/// All well-formed regions; an opening mark without its end is prose.
pub(super) fn find(body: &str) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut from = 0;
    while let Some(start) = body[from..].find(OPEN).map(|at| from + at) {
        from = start + OPEN.len();
        let Some(region) = read_region(body, start) else { continue };
        from = region.outer.end;
        regions.push(region);
    }
    regions
}

fn read_region(body: &str, start: usize) -> Option<Region> {
    let head = start + OPEN.len();
    let head_end = head + body[head..].find(" -->\n")?;
    let (name, checksum) = body[head..head_end].split_once(" sha256=")?;
    let inner_start = head_end + " -->\n".len();
    let inner_end = inner_start + body[inner_start..].find(CLOSE)?;
    // A second opening before the end means the first was never closed.
    if body[inner_start..inner_end].contains(OPEN) {
        return None;
    }
    let edited = digest(&body[inner_start..inner_end]) != checksum;
    Some(Region {
        name: name.to_owned(),
        outer: start..inner_end + CLOSE.len(),
        inner: inner_start..inner_end,
        edited,
    })
}

/// `old` with each region that nobody edited replaced by the region of that name in `fresh`, if there is one. All
/// other bytes stay (PM-2); regions that `old` no longer has do not come back.
pub fn merge_regions(old: &str, fresh: &str) -> String {
    let replacements: BTreeMap<String, Range<usize>> =
        find(fresh).into_iter().map(|region| (region.name, region.outer)).collect();
    let mut out = String::with_capacity(old.len());
    let mut from = 0;
    for region in find(old) {
        out.push_str(&old[from..region.outer.start]);
        match replacements.get(&region.name) {
            Some(range) if !region.edited => out.push_str(&fresh[range.clone()]),
            _ => out.push_str(&old[region.outer.clone()]),
        }
        from = region.outer.end;
    }
    out.push_str(&old[from..]);
    out
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
