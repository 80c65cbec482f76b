//! The distinct values of a chunk.

use arrow::array::Array;
use hindsight_model::Cell;

use super::column::valid;
use super::intern::{Numbers, Texts};
use super::page::{Kind, Levels, Values};
use super::plan::Use;
use super::range::Range;

/// A reader of any page must read the dictionary too.
const BYTES_MAX: usize = 1 << 20;
/// So many values are numbered before it is asked whether they repeat.
const PROBE: usize = 1024;

/// Pages whose values are numbers into a dictionary.
pub(super) type Pages = Vec<(Levels, Vec<u32>)>;

#[derive(Debug)]
pub(super) struct Dictionary {
    kind: Kind,
    wanted: Use,
    values: Distinct,
}

#[derive(Debug)]
enum Distinct {
    Numbers(Numbers),
    Texts(Texts),
}

impl Dictionary {
    pub(super) fn new(kind: Kind, wanted: Use) -> Self {
        let values = match kind {
            Kind::Text => Distinct::Texts(Texts::new()),
            _ => Distinct::Numbers(Numbers::new()),
        };
        Self { kind, wanted, values }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Distinct::Numbers(numbers) => numbers.values.len(),
            Distinct::Texts(texts) => texts.len(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Distinct::Numbers(numbers) => numbers.values.len() * size_of::<i64>(),
            Distinct::Texts(texts) => texts.bytes() + texts.len() * size_of::<u32>(),
        }
    }

    /// Whether keys and dictionary look shorter than `seen` values as they are.
    pub(super) fn pays(&self, seen: usize) -> bool {
        let repeats = match self.kind {
            Kind::Text => self.len() * 4 <= seen * 3,
            _ => self.len() * 2 <= seen,
        };
        self.bytes() <= BYTES_MAX && (self.wanted == Use::Always || seen < PROBE || repeats)
    }

    /// The number of an owner's value; `None` when it is of another type.
    pub(super) fn put_cell(&mut self, cell: &Cell) -> Option<u32> {
        match (&mut self.values, cell) {
            (Distinct::Texts(texts), Cell::Text(text)) => texts.number(text.as_bytes()),
            (Distinct::Numbers(numbers), Cell::Int(number)) => numbers.number(*number),
            (Distinct::Numbers(numbers), Cell::Bool(flag)) => numbers.number(i64::from(*flag)),
            _ => None,
        }
    }

    /// The numbers of all values, after `seen` others; `None` once a dictionary would not pay.
    pub(super) fn put_all(&mut self, values: &Values, seen: usize) -> Option<Vec<u32>> {
        let mut found = Vec::new();
        match values {
            Values::Numbers(numbers) => {
                found.reserve(numbers.len());
                let mut last = None;
                for value in numbers {
                    let number = match last {
                        Some((known, number)) if known == *value => number,
                        _ => self.numbers()?.number(*value)?,
                    };
                    last = Some((*value, number));
                    found.push(number);
                    if found.len() % PROBE == 0 && !self.pays(seen + found.len()) {
                        return None;
                    }
                }
            }
            Values::Texts(texts) => {
                found.reserve(texts.len());
                let mut last: Option<(&[u8], u32)> = None;
                for text in valid(texts) {
                    let number = match last {
                        Some((known, number)) if known == text => number,
                        _ => self.texts_mut()?.number(text)?,
                    };
                    last = Some((text, number));
                    found.push(number);
                    if found.len() % PROBE == 0 && !self.pays(seen + found.len()) {
                        return None;
                    }
                }
            }
            Values::Keyed(keys, texts) => {
                let mut numbers = vec![None; texts.len()];
                for key in keys {
                    let at = usize::try_from(*key).ok()?;
                    let number = match numbers[at] {
                        Some(number) => number,
                        None => self.texts_mut()?.number(texts.value(at).as_bytes())?,
                    };
                    numbers[at] = Some(number);
                    found.push(number);
                }
            }
        }
        Some(found)
    }

    fn numbers(&mut self) -> Option<&mut Numbers> {
        if let Distinct::Numbers(numbers) = &mut self.values { Some(numbers) } else { None }
    }

    fn texts_mut(&mut self) -> Option<&mut Texts> {
        if let Distinct::Texts(texts) = &mut self.values { Some(texts) } else { None }
    }

    /// All values as Parquet's plain encoding has them.
    pub(super) fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(self.bytes());
        match &self.values {
            Distinct::Numbers(numbers) if self.kind == Kind::Int32 => {
                numbers
                    .values
                    .iter()
                    .for_each(|number| plain.extend_from_slice(&(*number as i32).to_le_bytes()));
            }
            Distinct::Numbers(numbers) => {
                numbers.values.iter().for_each(|number| plain.extend_from_slice(&number.to_le_bytes()));
            }
            Distinct::Texts(texts) => {
                for number in 0..texts.len() {
                    let text = texts.get(number);
                    plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    plain.extend_from_slice(text);
                }
            }
        }
        plain
    }

    /// The bounds of those values that occur among `numbers`.
    pub(super) fn range(&self, numbers: &[u32]) -> Option<Range> {
        let mut used = vec![false; self.len()];
        numbers.iter().for_each(|number| used[*number as usize] = true);
        let used = used.iter().enumerate().filter(|(_, used)| **used).map(|(number, _)| number);
        match &self.values {
            Distinct::Numbers(all) => {
                let values: Vec<i64> = used.map(|number| all.values[number]).collect();
                Range::of_numbers(self.kind, &values)
            }
            Distinct::Texts(texts) => Range::of_texts(used.map(|number| texts.get(number))),
        }
    }

    /// A boolean value as a bit.
    pub(super) fn bit(&self, number: u32) -> u64 {
        match &self.values {
            Distinct::Numbers(numbers) => numbers.values[number as usize].cast_unsigned(),
            Distinct::Texts(_) => 0,
        }
    }

    /// Every value, if they are texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let texts = if let Distinct::Texts(texts) = &self.values { Some(texts) } else { None };
        texts.into_iter().flat_map(|texts| (0..texts.len()).map(|number| texts.get(number)))
    }
}
