//! Which alerts go to whom, and how they are grouped on the way. Pure, and decided once at start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hindsight_model::{Labels, Matcher, parse_duration};

use crate::alert::{ALERT_NAME, Alert};
use crate::config::{InhibitConfig, NotifyConfig, RouteConfig};
use crate::error::{Error, Result};
use crate::matcher::{MatcherError, Matchers, parse_matcher};
use crate::mute::Inhibition;
use crate::mute_time::{MUTE_TIMES_MAX, MuteTime};
use crate::receiver::Receiver;

/// Most routes.
pub const ROUTES_MAX: usize = 256;
/// Most inhibition rules.
pub const INHIBITIONS_MAX: usize = 64;
/// Most labels that make a group, or have to agree for an inhibition.
pub const GROUP_BY_MAX: usize = 16;
/// How alerts are grouped unless the configuration says otherwise: one notification for each alert rule and service.
pub const GROUP_BY_DEFAULT: [&str; 2] = [ALERT_NAME, "service_name"];
/// How long a new group waits for more alerts unless the configuration says otherwise.
pub const GROUP_WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// How long a group that was told waits before it tells what changed, unless the configuration says otherwise.
pub const GROUP_INTERVAL_DEFAULT: Duration = Duration::from_secs(300);
/// How long until alerts that go on are told again unless the configuration says otherwise.
pub const REPEAT_INTERVAL_DEFAULT: Duration = Duration::from_secs(4 * 3_600);
/// Longest of these.
pub const GROUP_TIME_MAX: Duration = Duration::from_secs(366 * 86_400);

/// When a group speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// From the first event of a group to its first notification.
    pub group_wait: Duration,
    /// Between two notifications of a group at least.
    pub group_interval: Duration,
    /// Until alerts that go on are told again.
    pub repeat_interval: Duration,
}

/// Labels by which a route groups.
#[derive(Clone, Debug, PartialEq, Eq)]
enum GroupBy {
    Labels(BTreeSet<String>),
    All,
}

/// One way for alerts to a receiver.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its matchers as text: stays the same when other routes come and go.
    pub(crate) id: String,
    pub(crate) receiver: String,
    pub(crate) timings: Timings,
    pub(crate) mute: Vec<String>,
    matchers: Matchers,
    goes_on: bool,
    group_by: GroupBy,
}

impl Route {
    /// The labels that make an alert's group.
    pub(crate) fn group_labels(&self, alert: &Alert) -> Labels {
        match &self.group_by {
            GroupBy::All => alert.labels.clone(),
            GroupBy::Labels(names) => {
                let value =
                    |name: &String| (name.clone(), alert.labels.get(name).cloned().unwrap_or_default());
                names.iter().map(value).collect()
            }
        }
    }

    /// Whether this route would still make a group of these labels.
    pub(crate) fn groups_as(&self, group_labels: &Labels) -> bool {
        match &self.group_by {
            GroupBy::All => true,
            GroupBy::Labels(names) => names.iter().eq(group_labels.keys()),
        }
    }

    /// The group's name, unique at its receiver: the route, then the labels the group is made by.
    pub(crate) fn group_key(&self, group_labels: &Labels) -> String {
        let pairs: Vec<String> =
            group_labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}:{{{}}}", self.id, pairs.join(", "))
    }
}

/// The whole of `[notify]`, checked.
#[derive(Clone, Debug)]
pub struct Routing {
    routes: Vec<Route>,
    /// Where an alert goes that no route took.
    fallback: Vec<Route>,
    inhibitions: Vec<Inhibition>,
    mute_times: BTreeMap<String, MuteTime>,
}

impl Routing {
    /// Checks `[notify]` against the receivers there are.
    ///
    /// # Errors
    /// [`Error::Routing`] for the first thing that makes no sense.
    pub fn new(config: &NotifyConfig, receivers: &[Receiver]) -> Result<Self> {
        at_most("notify.routes", config.routes.len(), ROUTES_MAX)?;
        at_most("notify.inhibit", config.inhibit.len(), INHIBITIONS_MAX)?;
        at_most("notify.mute_times", config.mute_times.len(), MUTE_TIMES_MAX)?;
        let base = Base::new(config, receivers)?;
        let mut mute_times = BTreeMap::new();
        for (place, time) in numbered("notify.mute_times", &config.mute_times) {
            let checked = MuteTime::new(time).map_err(|problem| wrong(&place, problem))?;
            if mute_times.insert(time.name.clone(), checked).is_some() {
                return Err(wrong(&place, format!("the name `{}` is used twice", time.name)));
            }
        }
        let mut routes: Vec<Route> = Vec::with_capacity(config.routes.len());
        for (place, route) in numbered("notify.routes", &config.routes) {
            let mut route = base.route(&place, route, &mute_times)?;
            let same = routes.iter().filter(|other| other.matchers.text() == route.matchers.text()).count();
            if same > 0 {
                route.id = format!("{}#{}", route.id, same + 1);
            }
            routes.push(route);
        }
        let inhibitions = numbered("notify.inhibit", &config.inhibit)
            .map(|(place, rule)| inhibition(&place, rule))
            .collect::<Result<_>>()?;
        let fallback = match &config.receiver {
            Some(name) => vec![base.plain(base.receiver("notify.receiver", name)?)],
            None if routes.is_empty() => receivers.iter().map(|receiver| base.plain(receiver)).collect(),
            None => {
                let problem =
                    "with [[notify.routes]] it has to name the receiver of alerts that no route takes";
                return Err(wrong("notify.receiver", problem));
            }
        };
        Ok(Self { routes, fallback, inhibitions, mute_times })
    }

    /// The routes that take an alert with these labels, `alertname` among them.
    pub(crate) fn takers(&self, labels: &Labels) -> Vec<&Route> {
        let mut takers = Vec::new();
        for route in self.routes.iter().filter(|route| route.matchers.matches(labels)) {
            takers.push(route);
            if !route.goes_on {
                return takers;
            }
        }
        if takers.is_empty() { self.fallback.iter().collect() } else { takers }
    }

    /// The route with this id to this receiver, unless the configuration has another by now.
    pub(crate) fn route(&self, id: &str, receiver: &str) -> Option<&Route> {
        let mut all = self.routes.iter().chain(&self.fallback);
        all.find(|route| route.id == id && route.receiver == receiver)
    }

    pub(crate) fn inhibitions(&self) -> &[Inhibition] {
        &self.inhibitions
    }

    /// The mute times of a route, by name.
    pub(crate) fn mute_times<'a>(&'a self, route: &'a Route) -> Vec<(&'a str, &'a MuteTime)> {
        let found = |name: &'a String| Some((name.as_str(), self.mute_times.get(name)?));
        route.mute.iter().filter_map(found).collect()
    }
}

/// What routes inherit.
struct Base<'a> {
    receivers: &'a [Receiver],
    group_by: GroupBy,
    timings: Timings,
}

impl<'a> Base<'a> {
    fn new(config: &NotifyConfig, receivers: &'a [Receiver]) -> Result<Self> {
        let default = GROUP_BY_DEFAULT.map(str::to_owned).into();
        let timings = Timings {
            group_wait: GROUP_WAIT_DEFAULT,
            group_interval: GROUP_INTERVAL_DEFAULT,
            repeat_interval: REPEAT_INTERVAL_DEFAULT,
        };
        let [wait, interval, repeat] =
            [&config.group_wait, &config.group_interval, &config.repeat_interval].map(Option::as_deref);
        Ok(Self {
            receivers,
            group_by: match &config.group_by {
                Some(names) => group_by("notify", names)?,
                None => GroupBy::Labels(default),
            },
            timings: changed("notify", timings, wait, interval, repeat)?,
        })
    }

    fn receiver(&self, place: &str, name: &str) -> Result<&'a Receiver> {
        self.receivers.iter().find(|receiver| receiver.name() == name).ok_or_else(|| {
            let names: Vec<&str> = self.receivers.iter().map(Receiver::name).collect();
            let problem = match names.is_empty() {
                true => format!("there is no receiver `{name}`; add a [[receivers]] table"),
                false => format!("there is no receiver `{name}`; there are {}", names.join(", ")),
            };
            wrong(place, problem)
        })
    }

    /// The route that takes everything.
    fn plain(&self, receiver: &Receiver) -> Route {
        let matchers = Matchers::new(&[]).expect("no matcher is wrong when there is none");
        Route {
            id: "{}".to_owned(),
            receiver: receiver.name().to_owned(),
            timings: receiver.timings(self.timings),
            mute: Vec::new(),
            matchers,
            goes_on: false,
            group_by: self.group_by.clone(),
        }
    }

    fn route(&self, place: &str, route: &RouteConfig, times: &BTreeMap<String, MuteTime>) -> Result<Route> {
        let matchers = matchers(&route.equals, &route.matchers)
            .and_then(|matchers| Matchers::new(&matchers))
            .map_err(|error| wrong(place, error.to_string()))?;
        if let Some(name) = route.mute.iter().find(|name| !times.contains_key(*name)) {
            let problem = format!("there is no mute time `{name}`; add a [[notify.mute_times]] table");
            return Err(wrong(place, problem));
        }
        let receiver = self.receiver(place, &route.receiver)?;
        let [wait, interval, repeat] =
            [&route.group_wait, &route.group_interval, &route.repeat_interval].map(Option::as_deref);
        Ok(Route {
            id: format!("{{{}}}", matchers.text()),
            timings: receiver.timings(changed(place, self.timings, wait, interval, repeat)?),
            mute: route.mute.clone(),
            goes_on: route.goes_on,
            group_by: match &route.group_by {
                Some(names) => group_by(place, names)?,
                None => self.group_by.clone(),
            },
            ..self.plain(receiver)
        }
        .with(matchers))
    }
}

impl Route {
    fn with(self, matchers: Matchers) -> Self {
        Self { matchers, ..self }
    }
}

fn changed(
    place: &str,
    base: Timings,
    wait: Option<&str>,
    interval: Option<&str>,
    repeat: Option<&str>,
) -> Result<Timings> {
    let read = |key: &str, text: Option<&str>, base: Duration| {
        let Some(text) = text else { return Ok(base) };
        let time = parse_duration(text).map_err(|error| wrong(place, format!("{key}: {error}")))?;
        if time > GROUP_TIME_MAX {
            return Err(wrong(place, format!("{key} is longer than 366 days")));
        }
        Ok(time)
    };
    let timings = Timings {
        group_wait: read("group_wait", wait, base.group_wait)?,
        group_interval: read("group_interval", interval, base.group_interval)?,
        repeat_interval: read("repeat_interval", repeat, base.repeat_interval)?,
    };
    if timings.repeat_interval.is_zero() {
        return Err(wrong(place, "repeat_interval of 0 would never stop telling; give 4h"));
    }
    Ok(timings)
}

fn group_by(place: &str, names: &[String]) -> Result<GroupBy> {
    if names == ["..."] {
        return Ok(GroupBy::All);
    }
    at_most(place, names.len(), GROUP_BY_MAX)?;
    if names.iter().any(|name| name.is_empty() || name == "...") {
        let problem = "group_by holds names of labels, or \"...\" alone for all of them";
        return Err(wrong(place, problem));
    }
    Ok(GroupBy::Labels(names.iter().cloned().collect()))
}

fn inhibition(place: &str, rule: &InhibitConfig) -> Result<Inhibition> {
    let side = |side: &str, equals, texts: &[String]| {
        matchers(equals, texts)
            .and_then(|matchers| Matchers::selective(&matchers))
            .map_err(|error| wrong(place, format!("{side}: {error}")))
    };
    at_most(place, rule.equal.len(), GROUP_BY_MAX)?;
    Ok(Inhibition {
        source: side("source", &rule.source, &rule.source_matchers)?,
        target: side("target", &rule.target, &rule.target_matchers)?,
        equal: rule.equal.clone(),
    })
}

fn matchers(
    equals: &BTreeMap<String, String>,
    texts: &[String],
) -> std::result::Result<Vec<Matcher>, MatcherError> {
    let exact = equals.iter().map(|(name, value)| {
        Ok(Matcher { name: name.clone(), value: value.clone(), is_regex: false, is_equal: true })
    });
    exact.chain(texts.iter().map(|text| parse_matcher(text))).collect()
}

/// Each with its place, counted from 1 as people do.
fn numbered<'a, T>(key: &'a str, list: &'a [T]) -> impl Iterator<Item = (String, &'a T)> {
    list.iter().enumerate().map(move |(index, item)| (format!("{key}, table {}", index + 1), item))
}

fn at_most(place: &str, count: usize, limit: usize) -> Result<()> {
    if count > limit {
        return Err(wrong(place, format!("there are {count}; at most {limit} are taken")));
    }
    Ok(())
}

fn wrong(place: &str, problem: impl Into<String>) -> Error {
    Error::Routing { place: place.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests;
