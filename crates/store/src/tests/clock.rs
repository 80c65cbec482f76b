//! A clock that is set back or forward by a day: nothing is lost, doubled, or refused for it.

use std::sync::Mutex;

use hindsight_model::Clock;

use super::*;

/// A machine's clock as an administrator or a time server may treat it: time passes on both readings, a step moves
/// only one.
#[derive(Debug)]
struct SteppedClock {
    /// The time shown, and the time that passed.
    shown: Mutex<(Timestamp, Timestamp)>,
}

impl SteppedClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { shown: Mutex::new((now(), now())) })
    }

    fn pass(&self, time: Duration) {
        let mut shown = self.shown.lock().unwrap();
        *shown = (shown.0 + time, shown.1 + time);
    }

    fn step_hours(&self, hours: i64) {
        let mut shown = self.shown.lock().unwrap();
        shown.0 += jiff::SignedDuration::from_hours(hours);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        self.shown.lock().unwrap().0
    }

    fn steady(&self) -> Timestamp {
        self.shown.lock().unwrap().1
    }
}

async fn open_on(clock: &Arc<SteppedClock>, options: StoreOptions) -> Store {
    Store::open(options, Arc::clone(clock) as Arc<dyn Clock>).await.unwrap()
}

const DAY: i64 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_recognised_across_a_step_and_forgotten_when_its_time_has_passed() {
    for hours in [-DAY, DAY] {
        let dir = tempfile::tempdir().unwrap();
        let clock = SteppedClock::new();
        let store = open_on(&clock, options(dir.path())).await;
        send(&store, Signal::Traces, span(1)).await;
        clock.step_hours(hours);
        clock.pass(Duration::from_secs(599));
        assert!(send(&store, Signal::Traces, span(1)).await.duplicate, "{hours} h");
        send(&store, Signal::Traces, span(2)).await;
        clock.pass(Duration::from_secs(2));
        assert!(!send(&store, Signal::Traces, span(1)).await.duplicate, "{hours} h: ten minutes are over");
        assert!(send(&store, Signal::Traces, span(2)).await.duplicate, "{hours} h");
        store.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_recognised_after_a_restart_on_a_clock_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SteppedClock::new();
    let store = open_on(&clock, options(dir.path())).await;
    send(&store, Signal::Traces, span(1)).await;
    store.shutdown().await.unwrap();
    let day_before = now() - Duration::from_hours(24);
    let clock = Arc::new(SteppedClock { shown: Mutex::new((day_before, day_before)) });
    let store = open_on(&clock, options(dir.path())).await;
    // The new process knows of no step, and learns the time while it runs.
    clock.step_hours(DAY);
    assert!(send(&store, Signal::Traces, span(1)).await.duplicate);
    assert_eq!(span_numbers(&store).await, [1]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_whose_clock_is_right_are_not_refused_after_ours_is_set_wrong_or_right() {
    for hours in [-DAY, DAY] {
        let dir = tempfile::tempdir().unwrap();
        let clock = SteppedClock::new();
        let store = open_on(&clock, options(dir.path())).await;
        send(&store, Signal::Traces, span(1)).await;
        clock.step_hours(hours);
        // Span 2 has the time from before the step: right if the step was wrong.
        assert_eq!(send(&store, Signal::Traces, span(2)).await.decoded.rejected, 0, "{hours} h");
        let stepped = log_at(clock.now());
        assert_eq!(send(&store, Signal::Logs, stepped).await.decoded.rejected, 0, "{hours} h");
        drop(store);
        // The records hold the window that they were let in by, so a replay refuses none of them.
        let again = open(options(dir.path())).await;
        assert_eq!(span_numbers(&again).await, [1, 2], "{hours} h");
        assert_eq!(rows(&again, Table::Logs), 1, "{hours} h");
        again.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_data_that_are_kept_are_let_in_after_the_clock_jumps_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SteppedClock::new();
    let store = open_on(&clock, options(dir.path())).await;
    clock.step_hours(DAY);
    let old = log_at(now() - Duration::from_hours(30 * 24 - 1));
    assert_eq!(send(&store, Signal::Logs, old).await.decoded.rejected, 0);
    let older = log_at(now() - Duration::from_hours(30 * 24 + 1));
    assert_eq!(send(&store, Signal::Logs, older).await.decoded.rejected, 1, "the window itself still holds");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_sealed_by_age_although_the_clock_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SteppedClock::new();
    let seal_age = Duration::from_millis(300);
    let store = open_on(&clock, StoreOptions { seal_age, ..options(dir.path()) }).await;
    send(&store, Signal::Traces, span(1)).await;
    clock.step_hours(-DAY);
    let sealed = async {
        while store.stats().seals_total == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sealed).await.unwrap();
    send(&store, Signal::Traces, span(2)).await;
    store.seal().await.unwrap();
    assert_eq!(span_numbers(&store).await, [1, 2]);
    store.shutdown().await.unwrap();
    let store = open(options(dir.path())).await;
    assert_eq!(span_numbers(&store).await, [1, 2]);
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_without_a_time_get_the_time_shown_when_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SteppedClock::new();
    let store = open_on(&clock, options(dir.path())).await;
    let timeless = |body: &str| {
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{body}"}}}}]}}]}}]}}"#)
            .into_bytes()
    };
    send(&store, Signal::Logs, timeless("before")).await;
    clock.step_hours(-DAY);
    send(&store, Signal::Logs, timeless("after")).await;
    store.seal().await.unwrap();
    let snapshot = store.snapshot(&Tenant::default());
    let dates: Vec<String> =
        snapshot.table(Table::Logs).blocks.iter().map(|block| block.date.to_string()).collect();
    assert_eq!(dates, ["2026-05-03", "2026-05-04"]);
    store.shutdown().await.unwrap();
}
