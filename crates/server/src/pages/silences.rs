//! Silences on pages: a plain form, the list of those in force, and what an instance says about them.

use std::sync::Arc;

use axum::Form;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use hindsight_model::{Labels, Matcher, Silence, SilenceId, SilenceState, Tenant};
use hindsight_notify::{Matchers, parse_matcher};
use hindsight_postmortem::chart::shorten;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::alert_words::{Moment, moment};
use super::frame::{PageError, see_other};
use super::range::Range;
use crate::api::silences::{Call, add_silence, expire_silence};
use crate::app::App;

/// Silences listed on a page.
const LISTED_MAX: usize = 100;
/// Characters of a comment or of matchers that are printed.
const TEXT_CHARS_MAX: usize = 400;
/// The hour at which a silence until tomorrow ends.
const MORNING_HOUR: i8 = 9;

/// What the form offers.
const LENGTHS: [(&str, &str); 4] =
    [("1h", "1 hour"), ("4h", "4 hours"), ("tomorrow", "until tomorrow, 09:00"), ("7d", "a week")];

/// The part of an alert page's address that is about silences.
#[derive(Debug, Default)]
pub(crate) struct PanelQuery {
    /// Fingerprint of the instance that the form is filled in for.
    pub(crate) silence: Option<String>,
    /// The silence that was just made.
    pub(crate) silenced: Option<String>,
    /// The silence that was just ended.
    pub(crate) expired: Option<String>,
}

/// The form and the list, ready to print.
pub(crate) struct Panel {
    pub(crate) said: Option<String>,
    pub(crate) matchers: String,
    pub(crate) is_filled: bool,
    pub(crate) back: String,
    pub(crate) zone: String,
    pub(crate) lengths: [(&'static str, &'static str); 4],
    pub(crate) lasting: Vec<SilenceRow>,
    pub(crate) hidden: usize,
}

pub(crate) struct SilenceRow {
    pub(crate) id: String,
    pub(crate) matchers: String,
    pub(crate) is_active: bool,
    pub(crate) from: Moment,
    pub(crate) until: Moment,
    pub(crate) author: String,
    pub(crate) comment: String,
}

/// The silences that are not over, ready to be held against alerts.
pub(crate) struct Silences {
    lasting: Vec<(Silence, Matchers)>,
    /// The silence that was just ended, if the address names one.
    ended: Option<Silence>,
}

impl Silences {
    pub(crate) async fn read(app: &App, query: &PanelQuery, now: Timestamp) -> Result<Self, PageError> {
        let lasting = app.state.lasting_silences(&Tenant::default(), now).await?;
        let ended = match query.expired.as_deref().and_then(|id| id.parse::<SilenceId>().ok()) {
            Some(id) => app.state.silences(&Tenant::default()).await?.into_iter().find(|one| one.id == id),
            None => None,
        };
        Ok(Self::new(lasting, ended))
    }

    /// Nothing is silent.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(Vec::new(), None)
    }

    fn new(lasting: Vec<Silence>, ended: Option<Silence>) -> Self {
        // They were checked when they were made; one that another version wrote may not compile any more.
        let compiled = lasting.into_iter().filter_map(|silence| {
            let matchers = Matchers::new(&silence.asked.matchers).ok()?;
            Some((silence, matchers))
        });
        Self { lasting: compiled.collect(), ended }
    }

    /// `until 18:00:00 UTC (SIL-3)` for an instance that is silent now.
    pub(crate) fn until(
        &self,
        alert: &str,
        labels: &Labels,
        now: Timestamp,
        range: &Range,
    ) -> Option<String> {
        let labels = named(alert, labels);
        let active = self.lasting.iter().filter(|(silence, matchers)| {
            silence.state(now) == SilenceState::Active && matchers.matches(&labels)
        });
        let (last, _) = active.max_by_key(|(silence, _)| silence.asked.ends_at)?;
        Some(format!("until {} ({})", moment(last.asked.ends_at, now, range).text, last.id))
    }

    /// The form, filled in for the instance that the address names, and the silences that concern `instances`: all
    /// of them where that is `None`. `alert` fills the form where no instance is named.
    pub(crate) fn panel(
        &self,
        query: &PanelQuery,
        path: &str,
        alert: Option<&str>,
        instances: &[(&str, &Labels)],
        range: &Range,
        now: Timestamp,
    ) -> Panel {
        let instance = query
            .silence
            .as_deref()
            .and_then(|wanted| instances.iter().find(|(alert, labels)| fingerprint(alert, labels) == wanted));
        let matchers = match (instance, alert) {
            (Some((alert, labels)), _) => matcher_lines(&named(alert, labels)),
            (None, Some(alert)) => matcher_lines(&named(alert, &Labels::new())),
            (None, None) => String::new(),
        };
        let concerns = |matchers: &Matchers| {
            alert.is_none_or(|alert| {
                let rule = matchers.matches(&named(alert, &Labels::new()));
                rule || instances.iter().any(|(alert, labels)| matchers.matches(&named(alert, labels)))
            })
        };
        let mut listed: Vec<&Silence> = self
            .lasting
            .iter()
            .filter(|(_, matchers)| concerns(matchers))
            .map(|(silence, _)| silence)
            .collect();
        listed.sort_by_key(|silence| (silence.asked.ends_at, silence.id));
        Panel {
            said: self.said(query, now, range),
            matchers,
            is_filled: instance.is_some(),
            back: format!("{path}?{}", range.kept()),
            zone: range.tz.iana_name().unwrap_or("UTC").to_owned(),
            lengths: LENGTHS,
            hidden: listed.len().saturating_sub(LISTED_MAX),
            lasting: listed.into_iter().take(LISTED_MAX).map(|silence| row(silence, now, range)).collect(),
        }
    }

    /// What was done a moment ago. The address only names the silence; the words come from what is stored.
    fn said(&self, query: &PanelQuery, now: Timestamp, range: &Range) -> Option<String> {
        if let Some(ended) = &self.ended
            && ended.state(now) == SilenceState::Expired
        {
            return Some(format!("{} is over: alerts that it matched are told again.", ended.id));
        }
        let id = query.silenced.as_deref()?.parse::<SilenceId>().ok()?;
        let (made, _) = self.lasting.iter().find(|(silence, _)| silence.id == id)?;
        let until = moment(made.asked.ends_at, now, range);
        Some(format!(
            "{} is in force until {}: {}.",
            made.id,
            until.text,
            matchers_text(&made.asked.matchers)
        ))
    }
}

fn row(silence: &Silence, now: Timestamp, range: &Range) -> SilenceRow {
    let asked = &silence.asked;
    SilenceRow {
        id: silence.id.to_string(),
        matchers: matchers_text(&asked.matchers),
        is_active: silence.state(now) == SilenceState::Active,
        from: moment(asked.starts_at, now, range),
        until: moment(asked.ends_at, now, range),
        author: shorten(&asked.author, TEXT_CHARS_MAX),
        comment: shorten(&asked.comment, TEXT_CHARS_MAX),
    }
}

fn matchers_text(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    shorten(&texts.join(", "), TEXT_CHARS_MAX)
}

/// The labels as matchers see them: with the alert's name among them.
fn named(alert: &str, labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.insert("alertname".to_owned(), alert.to_owned());
    labels
}

/// A matcher a line, as [`parse_matcher`] reads them.
fn matcher_lines(labels: &Labels) -> String {
    let quoted = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let line = |(name, value): (&String, &String)| format!("{name}=\"{}\"", quoted(value));
    labels.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Names an instance in an address, whatever its labels are.
fn fingerprint(alert: &str, labels: &Labels) -> String {
    let text = serde_json::to_string(&(alert, labels)).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..8])
}

/// The same page with the form filled in for this instance.
pub(crate) fn link(path: &str, alert: &str, labels: &Labels, range: &Range) -> String {
    format!("{path}?silence={}&{}#silence", fingerprint(alert, labels), range.kept())
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct SilenceForm {
    matchers: String,
    length: String,
    author: String,
    comment: String,
    #[serde(default)]
    tz: String,
    #[serde(default)]
    back: String,
}

/// Makes a silence and goes back to the page that asked for it.
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Form(form): Form<SilenceForm>,
) -> Result<Response<Body>, PageError> {
    let now = app.clock.now();
    let call = call(&form, now).map_err(|problem| refused(&problem))?;
    let silence = add_silence(&app, call, now).await.map_err(PageError::from_api)?;
    Ok(see_other(&back(&form.back, "silenced", silence.id)))
}

#[derive(Debug, Deserialize)]
pub(crate) struct ExpireForm {
    author: String,
    #[serde(default)]
    back: String,
}

/// Ends a silence and goes back.
pub(crate) async fn expire(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(form): Form<ExpireForm>,
) -> Result<Response<Body>, PageError> {
    let hint = "/alerts lists the silences in force.";
    let id: SilenceId = id.parse().map_err(|error| PageError::not_found(format!("{error}."), hint))?;
    let silence =
        expire_silence(&app, id, &form.author, app.clock.now()).await.map_err(PageError::from_api)?;
    Ok(see_other(&back(&form.back, "expired", silence.id)))
}

fn refused(problem: &str) -> PageError {
    PageError::bad_request(format!("Nothing was silenced: {problem}."))
        .with_hint("Go back: the form still holds what you wrote.")
}

/// What the API would have been sent.
fn call(form: &SilenceForm, now: Timestamp) -> Result<Call, String> {
    let lines = form.matchers.lines().map(str::trim).filter(|line| !line.is_empty());
    let matchers: Result<Vec<Matcher>, String> =
        lines.map(|line| parse_matcher(line).map_err(words)).collect();
    Ok(Call {
        matchers: matchers?,
        starts_at: None,
        ends_at: end(&form.length, &form.tz, now)?,
        created_by: form.author.trim().to_owned(),
        comment: form.comment.trim().to_owned(),
    })
}

fn end(length: &str, zone: &str, now: Timestamp) -> Result<Timestamp, String> {
    let after = |hours: i64| now.checked_add(SignedDuration::from_hours(hours)).map_err(words);
    match length {
        "1h" => after(1),
        "4h" => after(4),
        "7d" => after(7 * 24),
        "tomorrow" => {
            let zone = if zone.is_empty() { Ok(TimeZone::UTC) } else { TimeZone::get(zone) };
            let zone = zone.map_err(|_| "the time zone is not known".to_owned())?;
            let tomorrow = now.to_zoned(zone.clone()).date().checked_add(1.day()).map_err(words)?;
            let morning = tomorrow.at(MORNING_HOUR, 0, 0, 0).to_zoned(zone).map_err(words)?;
            Ok(morning.timestamp())
        }
        _ => Err("choose one of the lengths of the form".to_owned()),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Where to go: a page about alerts, whatever the form says.
fn back(wanted: &str, done: &str, id: SilenceId) -> String {
    let (path, query) = wanted.split_once('?').unwrap_or((wanted, ""));
    let is_ours = ["/alerts", "/slos"]
        .iter()
        .any(|page| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let is_plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    let (path, query) = if is_ours && is_plain { (path, query) } else { ("/alerts", "") };
    let joined = if query.is_empty() { String::new() } else { format!("{query}&") };
    format!("{path}?{joined}{done}={id}#silences")
}

#[cfg(test)]
mod tests {
    use hindsight_model::NewSilence;

    use super::super::range::RangeQuery;
    use super::*;

    fn now() -> Timestamp {
        "2026-05-04T22:00:00Z".parse().unwrap()
    }

    fn range() -> Range {
        Range::parse(&RangeQuery::default(), now()).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn silences(lines: &str) -> Silences {
        let form = SilenceForm {
            matchers: lines.to_owned(),
            length: "1h".to_owned(),
            author: "ana".to_owned(),
            comment: "deploy".to_owned(),
            tz: String::new(),
            back: String::new(),
        };
        let call = call(&form, now()).unwrap();
        let asked = NewSilence {
            tenant: Tenant::default(),
            matchers: call.matchers,
            starts_at: now(),
            ends_at: call.ends_at,
            author: call.created_by,
            comment: call.comment,
        };
        let silence = Silence { id: SilenceId(3), asked, created_at: now(), expired: None };
        Silences::new(vec![silence], None)
    }

    #[test]
    fn the_form_filled_in_for_an_instance_silences_that_instance() {
        for value in ["main", r#"a "quoted" \ value"#, "two\nlines", "<script>", "עברית 🙈"] {
            let main = labels(&[("pool", value), ("service_name", "checkout")]);
            let empty = Silences::new(Vec::new(), None);
            let query = PanelQuery { silence: Some(fingerprint("A", &main)), ..PanelQuery::default() };
            let panel = empty.panel(&query, "/alerts", None, &[("A", &main)], &range(), now());
            let made = silences(&panel.matchers);
            let until = made.until("A", &main, now(), &range());
            assert_eq!(until.as_deref(), Some("until 23:00:00 UTC (SIL-3)"), "{value}");
            assert_eq!(made.until("B", &main, now(), &range()), None, "{value}");
            let other = labels(&[("pool", "spare"), ("service_name", "checkout")]);
            assert_eq!(made.until("A", &other, now(), &range()), None, "{value}");
        }
    }

    #[test]
    fn tomorrow_morning_is_the_readers_own() {
        let end = |zone: &str| end("tomorrow", zone, now()).unwrap().to_string();
        assert_eq!(end(""), "2026-05-05T09:00:00Z");
        assert_eq!(end("Europe/Vienna"), "2026-05-06T07:00:00Z", "there it is the fifth already");
        assert!(super::end("forever", "", now()).is_err());
    }

    #[test]
    fn the_way_back_never_leaves_the_alert_pages() {
        let id = SilenceId(3);
        assert_eq!(
            back("/alerts/g/A?from=3h", "silenced", id),
            "/alerts/g/A?from=3h&silenced=SIL-3#silences"
        );
        for elsewhere in
            ["https://evil.example", "//evil.example", "/alerts\r\nSet-Cookie: a=b", "/alertsx", "", "/sql"]
        {
            assert_eq!(back(elsewhere, "expired", id), "/alerts?expired=SIL-3#silences", "{elsewhere}");
        }
    }
}
