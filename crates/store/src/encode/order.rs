//! In which order the rows of many batches go into their blocks: by date, then by the table's sort key.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int16Type;
use hindsight_model::{Cell, Owner, Owners, Rows, Table, dates};

/// A row of one of several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) batch: u32,
    pub(super) row: u32,
}

/// Batches whose owners were made one list, and the order of their rows.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) owners: Vec<Arc<Owner>>,
    /// For each batch: the place of each of its owners in `owners`.
    moved: Vec<Vec<u32>>,
    /// The rows of each date, in days since the epoch, sorted.
    pub(super) days: BTreeMap<i32, Vec<Place>>,
}

impl Order {
    pub(super) fn of(table: Table, batches: &[Rows]) -> Self {
        let mut owners = Owners::default();
        let moved: Vec<Vec<u32>> = batches
            .iter()
            .map(|rows| rows.owners().iter().map(|owner| owners.key(owner)).collect())
            .collect();
        let mut order = Self { owners: owners.into_list(), moved, days: by_day(batches) };
        let ranks = ranks(table, &order.owners);
        let times: Vec<Times<'_>> = batches.iter().map(|rows| Times::of(table, rows)).collect();
        for places in order.days.values_mut() {
            let rank = |place: &Place| ranks[owner_of(&order.moved, batches, *place) as usize];
            sort_by_rank(places, rank);
            for bucket in places.chunk_by_mut(|a, b| rank(a) == rank(b)) {
                sort_by_time(bucket, &times);
            }
        }
        order
    }

    /// The owner of a row.
    pub(super) fn owner(&self, batches: &[Rows], place: Place) -> u32 {
        owner_of(&self.moved, batches, place)
    }
}

fn owner_of(moved: &[Vec<u32>], batches: &[Rows], place: Place) -> u32 {
    let batch = place.batch as usize;
    moved[batch][batches[batch].keys()[place.row as usize] as usize]
}

fn by_day(batches: &[Rows]) -> BTreeMap<i32, Vec<Place>> {
    let mut days: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
    for (batch, rows) in (0..).zip(batches) {
        let dates = dates(rows.timestamps());
        let mut row = 0;
        for run in dates.values().chunk_by(|a, b| a == b) {
            let end = row + run.len() as u32;
            days.entry(run[0]).or_default().extend((row..end).map(|row| Place { batch, row }));
            row = end;
        }
    }
    days
}

/// For each owner how many distinct keys sort before its own; nulls first. Equal keys have equal ranks.
fn ranks(table: Table, owners: &[Arc<Owner>]) -> Vec<u32> {
    let schema = table.schema();
    let parts: Vec<(usize, usize)> = table
        .sort_key()
        .iter()
        .filter_map(|name| match table.places()[schema.index_of(name).ok()?] {
            hindsight_model::Place::Owner { level, index } => Some((level, index)),
            _ => None,
        })
        .collect();
    let keys: Vec<Vec<&Cell>> = owners
        .iter()
        .map(|owner| parts.iter().map(|(level, index)| owner.cell(*level, *index)).collect())
        .collect();
    let mut sorted: Vec<usize> = (0..owners.len()).collect();
    sorted.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
    let mut ranks = vec![0; owners.len()];
    let mut rank = 0;
    for pair in sorted.windows(2) {
        rank += u32::from(keys[pair[0]] != keys[pair[1]]);
        ranks[pair[1]] = rank;
    }
    ranks
}

/// Stable. Counts when there are rows enough to pay for a counter a rank.
fn sort_by_rank(places: &mut Vec<Place>, rank: impl Fn(&Place) -> u32) {
    let Some(highest) = places.iter().map(&rank).max() else { return };
    if places.is_sorted_by_key(&rank) {
        return;
    }
    if places.len() < highest as usize / 4 {
        places.sort_by_key(rank);
        return;
    }
    let mut starts = vec![0u32; highest as usize + 2];
    for place in &*places {
        starts[rank(place) as usize + 1] += 1;
    }
    for index in 1..starts.len() {
        starts[index] += starts[index - 1];
    }
    let mut sorted = vec![Place { batch: 0, row: 0 }; places.len()];
    for place in &*places {
        let start = &mut starts[rank(place) as usize];
        sorted[*start as usize] = *place;
        *start += 1;
    }
    *places = sorted;
}

/// The times of a batch, as numbers.
struct Times<'a> {
    micros: &'a [i64],
    nanos: &'a [i16],
}

impl<'a> Times<'a> {
    fn of(table: Table, rows: &'a Rows) -> Self {
        let nanos = table.row_column("timestamp_nanos").and_then(|index| rows.column(index));
        let nanos = nanos.expect("it is never left out").as_primitive::<Int16Type>();
        Self { micros: rows.timestamps().values(), nanos: nanos.values() }
    }
}

/// Stable, and quick when the rows came in order.
fn sort_by_time(places: &mut [Place], times: &[Times<'_>]) {
    let time = |place: &Place| {
        let times = &times[place.batch as usize];
        (times.micros[place.row as usize], times.nanos[place.row as usize])
    };
    if places.is_sorted_by_key(time) {
        return;
    }
    let mut keyed: Vec<((i64, i16), Place)> = places.iter().map(|place| (time(place), *place)).collect();
    keyed.sort_by_key(|(time, _)| *time);
    for (place, (_, sorted)) in places.iter_mut().zip(keyed) {
        *place = sorted;
    }
}
