//! One part of an index, open: which of its documents have a word.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;
use std::path::Path;

use tantivy::Directory;
use tantivy::directory::{MmapDirectory, OwnedBytes};
use tantivy::postings::TermInfo;
use tantivy::termdict::TermDictionary;

use crate::buckets::Buckets;
use crate::gaps;
use crate::manifest::{Part, PartColumn};
use crate::part_writer::{DICTIONARY, LISTED_ONE_IN, LISTS};
use crate::rows::union;
use crate::term::{Word, bucket_key, stem_key, word_key};
use crate::{Error, Result};

/// Words that a beginning may stand for; one that stands for more is not looked up.
const PREFIX_WORDS_MAX: usize = 4096;

/// A word or its beginning, as an index keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Term<'a> {
    Word(Word<'a>),
    Prefix(Word<'a>),
}

/// Documents of a part, rising.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Documents {
    /// So many that it does not matter which.
    Most,
    These(Vec<u32>),
}

/// A part whose files were checked.
pub(crate) struct PartReader {
    documents: u32,
    columns: Vec<PartColumn>,
    dictionary: TermDictionary,
    lists: OwnedBytes,
}

impl PartReader {
    /// Opens the part in `dir`, which has so many documents.
    pub(crate) fn open(dir: &Path, part: &Part, documents: u32) -> Result<Self> {
        let files = MmapDirectory::open(dir).map_err(|error| Error::damaged(dir, error.to_string()))?;
        let open = |name: &str| {
            let file = files.open_read(Path::new(name));
            file.map_err(|error| Error::damaged(dir, error.to_string()))
        };
        let failed = |error| Error::io("read the words in", dir)(error);
        let dictionary = TermDictionary::open(open(DICTIONARY)?).map_err(failed)?;
        let lists = open(LISTS)?.read_bytes().map_err(failed)?;
        Ok(Self { documents, columns: part.columns.clone(), dictionary, lists })
    }

    /// The documents that may have the word in this column.
    pub(crate) fn documents(&self, column: usize, term: Term<'_>) -> io::Result<Documents> {
        let is_full = self.columns.get(column).is_none_or(|column| column.is_full);
        match term {
            Term::Word(word) if word.is_identifier() => self.with_number(column, word.number()),
            Term::Word(word) => {
                let listed = self.with_key(&word_key(column, word.bytes()))?;
                Ok(if is_full { either(listed, self.with_number(column, word.number())?) } else { listed })
            }
            // Any word might be among the identifiers.
            Term::Prefix(_) if is_full => Ok(Documents::Most),
            Term::Prefix(start) => self.with_beginning(column, start),
        }
    }

    /// Documents with a word that is kept as it is, or with a stem.
    fn with_key(&self, key: &[u8]) -> io::Result<Documents> {
        match self.dictionary.get(key)? {
            Some(found) => self.list(&found),
            None => Ok(Documents::These(Vec::new())),
        }
    }

    /// Documents with an identifier of this number.
    fn with_number(&self, column: usize, number: u32) -> io::Result<Documents> {
        let shape = self
            .columns
            .get(column)
            .and_then(|column| Buckets::new((column.bucket_bits, column.tag_bits), self.documents));
        let shape = shape.ok_or_else(|| damaged("the buckets have no shape"))?;
        let mut documents = Vec::new();
        if let Some(found) = self.dictionary.get(bucket_key(column, shape.bucket(number)))? {
            let bytes = self.bytes(found.postings_range)?;
            let read = gaps::decode(bytes, found.doc_freq, shape.reach(), |entry| {
                let (order, document) = shape.compare(entry, number);
                if order == Ordering::Equal {
                    documents.push(document);
                }
                order != Ordering::Greater
            });
            read.ok_or_else(|| damaged("a bucket ends too early"))?;
        }
        self.checked(documents)
    }

    /// Documents with a word that begins like this, or with an identifier that may.
    fn with_beginning(&self, column: usize, start: Word<'_>) -> io::Result<Documents> {
        let key = word_key(column, start.bytes());
        let mut lists = Vec::new();
        let mut words = self.dictionary.range().ge(&key).into_stream()?;
        while let Some((word, found)) = words.next() {
            if !word.starts_with(&key) {
                break;
            }
            let Documents::These(documents) = self.list(found)? else { return Ok(Documents::Most) };
            if lists.len() == PREFIX_WORDS_MAX {
                return Ok(Documents::Most);
            }
            lists.push(documents);
        }
        // A stem that is longer than the beginning was among those; one that is shorter is not.
        if start.stem().len() < start.bytes().len() {
            let Documents::These(documents) = self.with_key(&stem_key(column, start.stem()))? else {
                return Ok(Documents::Most);
            };
            lists.push(documents);
        }
        Ok(Documents::These(union(lists)))
    }

    fn list(&self, found: &TermInfo) -> io::Result<Documents> {
        if found.doc_freq > self.documents / LISTED_ONE_IN {
            return Ok(Documents::Most);
        }
        let mut documents = Vec::with_capacity(found.doc_freq as usize);
        let bytes = self.bytes(found.postings_range.clone())?;
        let read = gaps::decode(bytes, found.doc_freq, u64::from(self.documents), |document| {
            documents.push(u32::try_from(document).unwrap_or(u32::MAX));
            true
        });
        read.ok_or_else(|| damaged("a list ends too early"))?;
        self.checked(documents)
    }

    fn checked(&self, documents: Vec<u32>) -> io::Result<Documents> {
        match documents.last() {
            Some(last) if *last >= self.documents => Err(damaged("a list has more documents than there are")),
            _ => Ok(Documents::These(documents)),
        }
    }

    fn bytes(&self, range: Range<usize>) -> io::Result<&[u8]> {
        self.lists.get(range).ok_or_else(|| damaged("a list lies beyond the end"))
    }
}

fn either(some: Documents, others: Documents) -> Documents {
    match (some, others) {
        (Documents::These(some), Documents::These(others)) => Documents::These(union(vec![some, others])),
        _ => Documents::Most,
    }
}

fn damaged(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
