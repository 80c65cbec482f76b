use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::create_directory;
use crate::files::sync_directory;
use crate::{Error, Result, workspace};

/// Tries before giving up when others reserve numbers at the same time.
const MAX_TRIES: u32 = 100;

/// Reserves the next number of the year by making its directory.
pub(crate) fn reserve(root: &Path, now: Timestamp, zone: &TimeZone, slug: &str) -> Result<(String, PathBuf)> {
    let folder = workspace::postmortems_dir(root);
    create_directory(&folder)?;
    let year = now.to_zoned(zone.clone()).year();
    let mut number = highest(root, year)? + 1;
    for _ in 0..MAX_TRIES {
        let id = format!("PM-{year}-{number:03}");
        let dir = folder.join(format!("{id}-{slug}"));
        match fs::create_dir(&dir) {
            Ok(()) => {
                sync_directory(&folder)?;
                return Ok((id, dir));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::io("create", &dir)(error)),
        }
    }
    let full = std::io::Error::other("every number tried is taken");
    Err(Error::io("reserve a number in", &folder)(full))
}

fn highest(root: &Path, year: i16) -> Result<u32> {
    let prefix = format!("PM-{year}-");
    let number =
        |name: String| -> Option<u32> { name.strip_prefix(&prefix)?.split('-').next()?.parse().ok() };
    Ok(workspace::directories(root)?.into_iter().filter_map(number).max().unwrap_or(0))
}
