//! Whether a connection has something to do, and until when it may take to do it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bodies that lie ready up to this size are not watched: they are handed to the connection in one go.
const READY_BYTES: u64 = 128 << 10;

/// What one connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Answers that are being made.
    answering: usize,
    /// Whether there ever was one.
    begun: bool,
    /// When the connection was made or the last answer, or piece of one, was ready.
    idle_since: Instant,
    /// When the answer that is being sent must have been taken.
    taken_by: Option<Instant>,
}

/// How long a connection may do nothing: before its first request, and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
}

/// The server has something to do for this connection.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new() -> Self {
        let state = State { answering: 0, begun: false, idle_since: Instant::now(), taken_by: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn begin(this: &Arc<Self>) -> Busy {
        let mut state = this.lock();
        state.answering += 1;
        state.begun = true;
        Busy(Arc::clone(this))
    }

    /// When it is time to end the connection, unless something happens before.
    pub(super) fn deadline(&self, patience: Patience) -> Instant {
        let state = self.lock();
        let idle = match (state.answering, state.begun) {
            (0, false) => state.idle_since + patience.header,
            (0, true) => state.idle_since + patience.idle,
            _ => Instant::now() + patience.idle,
        };
        state.taken_by.map_or(idle, |taken_by| taken_by.min(idle))
    }

    /// Resolves when the deadline may have come nearer.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.answering -= 1;
        state.idle_since = Instant::now();
    }
}

/// A connection that carries one answer at a time, in a request's extensions: its handler may say until when the client
/// has to take the answer. Requests that share a connection with others do not have it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange(Arc<Activity>);

/// The bound on an answer, as long as it is being sent.
#[derive(Debug)]
pub(crate) struct TakenBy(Arc<Activity>);

impl Exchange {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        Self(Arc::clone(activity))
    }

    /// The connection is ended at `at` if the client has not taken the answer; the answer's body has to hold what is
    /// returned.
    pub(crate) fn taken_by(&self, at: Instant) -> TakenBy {
        self.0.lock().taken_by = Some(at);
        self.0.changed.notify_one();
        TakenBy(Arc::clone(&self.0))
    }
}

impl Drop for TakenBy {
    fn drop(&mut self) {
        self.0.lock().taken_by = None;
    }
}

/// A body that is made while it is sent: the connection is busy while it waits for us, and idle from when it last got a
/// piece, so that a client who stops reading is noticed, and one who waits for a slow answer is not cut off.
pub(super) fn watched(body: Body, activity: &Arc<Activity>) -> Body {
    if body.size_hint().exact().is_some_and(|bytes| bytes <= READY_BYTES) {
        return body;
    }
    Body::new(Watched { body, activity: Arc::clone(activity), busy: None })
}

struct Watched {
    body: Body,
    activity: Arc<Activity>,
    busy: Option<Busy>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if polled.is_pending() {
            this.busy.get_or_insert_with(|| Activity::begin(&this.activity));
            return Poll::Pending;
        }
        // Even when it did not have to wait, it got a piece just now.
        drop(this.busy.take().unwrap_or_else(|| Activity::begin(&this.activity)));
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const PATIENCE: Patience = Patience { header: Duration::from_secs(10), idle: Duration::from_secs(300) };

    /// Whether the connection may stay for `span` from some moment after `start`.
    fn stays(activity: &Activity, start: Instant, span: Duration) -> bool {
        let until = activity.deadline(PATIENCE);
        (start + span..=Instant::now() + span).contains(&until)
    }

    #[tokio::test]
    async fn a_connection_is_idle_from_its_last_piece_and_never_while_it_waits_for_us() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new());
        assert!(stays(&activity, start, PATIENCE.header));
        let (sender, pieces) = tokio::sync::mpsc::channel::<Result<&str, BoxError>>(1);
        let stream = tokio_stream::wrappers::ReceiverStream::new(pieces);
        let mut body = watched(Body::from_stream(stream), &activity);
        sender.send(Ok("one")).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        let taken = Instant::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(activity.deadline(PATIENCE) <= taken + PATIENCE.idle, "it does not ask for more");
        tokio::time::timeout(Duration::from_millis(20), body.frame()).await.unwrap_err();
        let asked = Instant::now();
        assert!(stays(&activity, asked, PATIENCE.idle), "it waits for us");
        sender.send(Ok("two")).await.unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(stays(&activity, asked, PATIENCE.idle));
    }

    #[tokio::test]
    async fn an_answer_that_must_be_taken_bounds_the_connection_until_it_is() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new());
        let busy = Activity::begin(&activity);
        let taken_by = Exchange::new(&activity).taken_by(start + Duration::from_secs(5));
        activity.changed().await;
        assert_eq!(activity.deadline(PATIENCE), start + Duration::from_secs(5));
        drop(taken_by);
        assert!(stays(&activity, start, PATIENCE.idle));
        drop(busy);
    }
}
