use std::collections::BTreeSet;

/// Colours in the set (Okabe–Ito).
pub const PALETTE_SIZE: usize = 8;

/// The colour of a name, the same everywhere: its FNV-1a hash in the fixed order of the set.
pub fn colour_index(name: &str) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    usize::try_from((hash >> 32) % PALETTE_SIZE as u64).expect("a remainder of eight fits")
}

/// The CSS class that sets a name's colour (`s0` … `s7`).
pub fn colour_class(name: &str) -> String {
    format!("s{}", colour_index(name))
}

/// Colours for the names of one chart: each its own hash's colour, or the next free one when two names collide.
pub(crate) fn assign<'a>(names: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut taken = BTreeSet::new();
    names
        .map(|name| {
            let first = colour_index(name);
            let free =
                (0..PALETTE_SIZE).map(|step| (first + step) % PALETTE_SIZE).find(|c| !taken.contains(c));
            let colour = free.unwrap_or(first);
            taken.insert(colour);
            colour
        })
        .collect()
}
