//! The answer to a query as a response: a short one in one piece, a long one as it comes, in the memory of a few pieces.
//!
//! What goes wrong before the first byte has a status of its own. After it, a JSON answer ends with an `error` in place
//! of its `stats`; lines of JSON end with one that has nothing but an `error`, and like CSV and Arrow they are broken
//! off, so that no client takes the rows it has for all there are.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use futures::{Stream, stream};
use hindsight_model::{SqlError, SqlRequest};
use hindsight_query::output::{Encoder, Format};
use hindsight_query::{Answered, Ended, QueryEngine, RowStream, Terms};
use tokio::time::Instant;

use super::ApiError;
use crate::pressure::{Exchange, TakenBy};

/// Answers up to this size are sent in one piece with their length. The query is over then, and every error has its
/// status.
const WHOLE_BYTES_MAX: usize = 256 * 1024;
/// How long after the time limit a client may take to hear of it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The query's id, under which `DELETE /api/v1/queries/{id}` stops it and `query_log` keeps it.
const QUERY_ID: &str = "x-hindsight-query-id";
/// The limit that cut an answer short, where that was asked for.
const PARTIAL: &str = "x-hindsight-partial";

/// What the asker wants of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) format: Format,
    pub(super) rows_max: Option<usize>,
    pub(super) partial: bool,
}

/// Runs a query. `exchange` is the connection, if this answer has it to itself.
pub(super) async fn answer(
    query: &QueryEngine,
    request: SqlRequest,
    wish: Wish,
    exchange: Option<Exchange>,
) -> Result<Response<Body>, ApiError> {
    let format = wish.format;
    let terms = Terms {
        rows_max: match format {
            // A document, which its reader has to hold whole.
            Format::Json => Some(wish.rows_max.unwrap_or(usize::MAX).min(query.rows_max())),
            Format::Csv | Format::NdJson | Format::Arrow => wish.rows_max,
        },
        partial: wish.partial,
        // Whether an answer is partial is only known at its end, so all its rows have to come this way.
        whole_bytes_max: if wish.partial { 0 } else { WHOLE_BYTES_MAX },
    };
    let pending = query.begin(request);
    let head = Head { format, id: pending.id() };
    let (mut rows, mut first) = match pending.parts(Encoder::new(format), terms).await? {
        Answered::Whole(whole) => {
            let begin = format.begin(&whole.schema).map_err(|error| ApiError::internal(&error))?;
            return head.whole(begin, &whole.parts, &whole.ended);
        }
        Answered::Rows(rows) => {
            let begin = format.begin(rows.schema()).map_err(|error| ApiError::internal(&error))?;
            (rows, begin)
        }
    };
    if wish.partial {
        while first.len() <= WHOLE_BYTES_MAX {
            match rows.next().await {
                Some(part) => first.append(&mut part?),
                None => break,
            }
        }
        if let Some(ended) = rows.ended() {
            return head.whole(first, &[], ended);
        }
    }
    let taken_by = Instant::from_std(rows.deadline()) + LAST_WORDS;
    let taken_by = exchange.map(|exchange| exchange.taken_by(taken_by));
    let body = Sending { format, rows, stage: Stage::First(first), _taken_by: taken_by };
    Ok(head.response(Body::from_stream(body.pieces())))
}

/// What is told before the rows.
#[derive(Clone, Copy, Debug)]
struct Head {
    format: Format,
    id: u64,
}

impl Head {
    fn whole(self, mut body: Vec<u8>, parts: &[Vec<u8>], ended: &Ended) -> Result<Response<Body>, ApiError> {
        let end = self.format.end(ended).map_err(|error| ApiError::internal(&error))?;
        body.reserve_exact(parts.iter().map(Vec::len).sum::<usize>() + end.len());
        for part in parts {
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&end);
        let mut response = self.response(Body::from(body));
        if let Some(limit) = ended.partial {
            response.headers_mut().insert(PARTIAL, HeaderValue::from_static(limit));
        }
        Ok(response)
    }

    fn response(self, body: Body) -> Response<Body> {
        let kind = match self.format {
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::NdJson => "application/x-ndjson",
        };
        Response::builder()
            .header(header::CONTENT_TYPE, kind)
            .header(QUERY_ID, self.id)
            .body(body)
            .expect("fixed headers and a number make a response")
    }
}

/// An answer on its way. Dropped with the connection, it stops the query.
struct Sending {
    format: Format,
    rows: RowStream<Vec<u8>>,
    stage: Stage,
    _taken_by: Option<TakenBy>,
}

enum Stage {
    /// This comes first.
    First(Vec<u8>),
    Rows,
    /// Nothing comes any more.
    Over,
    /// Nothing comes any more, and the client must not take it for the end.
    BrokenOff(SqlError),
}

impl Sending {
    fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::unfold(self, |mut sending| async move { Some((sending.next().await?, sending)) })
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Rows) {
                Stage::First(first) if !first.is_empty() => return Some(Ok(first.into())),
                Stage::First(_) | Stage::Rows => {
                    if let Some(piece) = self.rows().await {
                        return Some(Ok(piece));
                    }
                }
                Stage::Over => {
                    self.stage = Stage::Over;
                    return None;
                }
                Stage::BrokenOff(error) => {
                    self.stage = Stage::Over;
                    // The connection goes down at once; what was given to it before is sent when it asks in vain.
                    tokio::task::yield_now().await;
                    return Some(Err(io::Error::other(error)));
                }
            }
        }
    }

    /// The next piece; with `None` the stage says how it goes on.
    async fn rows(&mut self) -> Option<Bytes> {
        match self.rows.next().await {
            Some(Ok(part)) => Some(part.into()),
            Some(Err(error)) => self.break_off(error),
            None => match self.rows.ended().copied() {
                Some(ended) if ended.partial.is_none() || self.format == Format::Json => {
                    self.stage = Stage::Over;
                    match self.format.end(&ended) {
                        Ok(end) => (!end.is_empty()).then(|| end.into()),
                        Err(error) => self.break_off(SqlError::Failed { message: error.to_string() }),
                    }
                }
                // The head has gone out, and there is no other place to say it.
                Some(ended) => {
                    let limit = ended.partial.unwrap_or("rows");
                    let message = format!("the answer is partial, cut short by the limit `{limit}`");
                    self.break_off(SqlError::Limit { limit, message })
                }
                None => {
                    self.stage = Stage::Over;
                    None
                }
            },
        }
    }

    /// The last words, if the form has a place for them.
    fn break_off(&mut self, error: SqlError) -> Option<Bytes> {
        let (_, told) = ApiError::from(error.clone()).told();
        let words = self.format.broken(&told);
        self.stage = if self.format == Format::Json { Stage::Over } else { Stage::BrokenOff(error) };
        words.map(Into::into)
    }
}
