use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{Clock, SqlError, SystemClock, TextIndex};

use crate::spill::SpillOptions;

/// Longest SQL text. Longer ones are refused as `Invalid`; it keeps parsing short and its tree shallow.
pub(crate) const SQL_BYTES_MAX: usize = 256 * 1024;
/// Most words and signs in a SQL text.
pub(crate) const SQL_TOKENS_MAX: usize = 20_000;
/// Longest chain of operators. The parser reads `1 + 1 + …` in a loop, but makes a tree as deep as it is long.
pub(crate) const SQL_CHAIN_MAX: usize = 500;
/// Longest chain of UNION, EXCEPT and INTERSECT, which costs far more stack for each link.
pub(crate) const SQL_SET_CHAIN_MAX: usize = 100;
/// Deepest nesting of parentheses and subqueries.
pub(crate) const SQL_DEPTH_MAX: usize = 100;
/// Stack of a query thread. Address space, touched only as far as a deep expression needs it.
pub(crate) const THREAD_STACK_BYTES: usize = 32 * 1024 * 1024;
/// How long a reader of rows may take none while other queries wait for their turn.
pub(crate) const READER_PATIENCE: Duration = Duration::from_secs(1);
/// How often a query that waits for its turn looks for such a reader.
pub(crate) const TURN_LOOK: Duration = Duration::from_millis(100);
/// How many finished queries `query_log` remembers.
pub(crate) const QUERY_LOG_ROWS_MAX: usize = 1_000;
/// How much of each SQL text `query_log` keeps.
pub(crate) const QUERY_LOG_SQL_BYTES_MAX: usize = 4 * 1024;

/// The bounds of QRY-2, for the whole engine.
#[derive(Clone, Debug)]
pub struct QueryOptions {
    /// Memory of all running queries together, for sorts, joins, aggregates and answers. Default 1 GiB.
    ///
    /// Half of it is split evenly as each query's own share; the other half goes to whoever asks first, so that
    /// one greedy query cannot fail a modest one.
    pub memory_bytes: usize,
    /// Where sorts, aggregates and joins put what does not fit the memory. Default nowhere: such a query fails.
    pub spill: Option<SpillOptions>,
    /// Memory of the footers that queries have read: where in a block each column of each group of rows lies. The ones
    /// not asked for longest are forgotten. Default 64 MiB.
    pub footer_bytes: usize,
    /// Longest a query may take, waiting for its turn not included. Default 60 s.
    pub timeout: Duration,
    /// Queries at once. Default 8.
    pub concurrency: usize,
    /// Further queries at once that only [`QueryEngine::reserved`](crate::QueryEngine::reserved) has turns for: rules
    /// must be evaluated however busy people keep the engine. Default none.
    pub reserved: usize,
    /// How long a query waits for its turn before it is refused. Default 2 s.
    pub concurrency_wait: Duration,
    /// Most rows in an answer that is held whole, here or by whoever reads it as one document. Default one million.
    pub rows_max: usize,
    /// Most rows in an answer that is handed on as it comes: it takes the memory of a few batches however long it is,
    /// and the timeout bounds it too. Default one thousand million.
    pub stream_rows_max: usize,
    /// Threads that do the work of all queries; 0 means one for each core. Default 0.
    pub threads: usize,
    /// What time `now()`, `current_date` and `query_log` say. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Says which rows of a block may have some words. Default none: every text is looked at.
    pub text_index: Option<Arc<dyn TextIndex>>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 1024 * 1024 * 1024,
            spill: None,
            footer_bytes: 64 * 1024 * 1024,
            timeout: Duration::from_secs(60),
            concurrency: 8,
            reserved: 0,
            concurrency_wait: Duration::from_secs(2),
            rows_max: 1_000_000,
            stream_rows_max: 1_000_000_000,
            threads: 0,
            clock: Arc::new(SystemClock),
            text_index: None,
        }
    }
}

impl QueryOptions {
    /// The number of threads, with 0 resolved.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        }
    }

    /// Queries at once, whoever asks.
    pub(crate) fn slots(&self) -> usize {
        self.concurrency() + self.reserved
    }

    /// Concurrency, never none.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.max(1)
    }
}

pub(crate) fn timeout_reached(limit: Duration) -> SqlError {
    SqlError::Limit {
        limit: "timeout",
        message: format!(
            "query exceeded the timeout of {limit:?}; narrow its time range, select fewer columns, or raise the timeout"
        ),
    }
}

pub(crate) fn rows_reached(limit: usize) -> SqlError {
    SqlError::Limit {
        limit: "rows",
        message: format!(
            "query has more than the limit of {limit} rows; add a LIMIT, a filter or a GROUP BY"
        ),
    }
}

pub(crate) fn reader_too_slow() -> SqlError {
    SqlError::Limit {
        limit: "reader",
        message: format!(
            "the reader of the rows took none for {READER_PATIENCE:?} while other queries waited for their turn; read \
             faster, or ask for fewer rows"
        ),
    }
}

pub(crate) fn concurrency_reached(limit: usize, waited: Duration) -> SqlError {
    SqlError::Limit {
        limit: "concurrency",
        message: format!(
            "{limit} queries are running, the limit of concurrency, and none ended within {waited:?}; try again later or cancel one"
        ),
    }
}

pub(crate) fn memory_reached(bytes: usize) -> SqlError {
    SqlError::Limit {
        limit: "memory",
        message: format!(
            "query needs more memory than is left of the limit of {}; narrow its time range, sort or group less, or raise the limit",
            bytes_text(bytes)
        ),
    }
}

pub(crate) fn spill_reached() -> SqlError {
    SqlError::Limit {
        limit: "spill",
        message: "query needs more memory than it may have, and more temporary files; narrow its time range, sort or \
                  group less, or raise query.spill_bytes_max"
            .to_owned(),
    }
}

fn bytes_text(bytes: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in UNITS {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_the_largest_whole_unit() {
        assert_eq!(bytes_text(1024 * 1024 * 1024), "1 GiB");
        assert_eq!(bytes_text(3 * 1024 * 1024), "3 MiB");
        assert_eq!(bytes_text(1_000), "1000 bytes");
    }
}
