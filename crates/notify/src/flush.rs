//! A group's turn to speak, decided: pure, with Alertmanager's semantics.
//!
//! A group's first turn comes `group_wait` after its first event, the next ones every `group_interval`. In its turn it
//! tells all its alerts that fire and those that have ended, if one of them is news, or if they go on and
//! `repeat_interval` has passed. Alerts that are muted are left out, and told at the first turn after that if they
//! still fire; an end is told once, when its beginning was. An alert that came and went between two turns is told as
//! resolved, so that no page is lost.
//!
//! Source: Alertmanager's documentation, "Grouping", "Configuration" (`<route>`); its handling of repeats, "Notification
//! pipeline".

use std::collections::BTreeSet;
use std::time::Duration;

use hindsight_model::Labels;
use jiff::{SignedDuration, Timestamp};

use crate::alert::{Alert, Kind};
use crate::group::{Event, Group, Member};
use crate::routing::Timings;

/// Most alerts that a group remembers; further ones are recorded as dead.
pub const MEMBERS_MAX: usize = 1_000;
/// Shortest time between two turns, whatever `group_interval` says.
pub const TURN_MIN: Duration = Duration::from_secs(1);

/// What a turn needs to know.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// What came since the last one, in order, by its number.
    pub events: &'a [(i64, Event)],
    /// Episodes of its members that still fire, as the rules know it. A member that is not among them has ended, even
    /// if no event says so: its route was another when it did.
    pub active: &'a BTreeSet<String>,
    /// Why an alert is not told at an instant.
    pub muted: &'a dyn Fn(&Labels, Timestamp) -> Option<String>,
    /// When it speaks.
    pub timings: Timings,
    /// Its route is gone: it tells what it still has to tell, and ends.
    pub retired: bool,
    /// Now.
    pub now: Timestamp,
}

impl std::fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("now", &self.now).finish_non_exhaustive()
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A notification tells it, or says more than it.
    Told,
    /// It is muted, for this reason.
    Muted(String),
    /// There is nothing to tell, for this reason.
    Unsent(String),
    /// It cannot be told, for this reason.
    Dead(String),
}

/// One alert in a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Firing or resolved.
    pub kind: Kind,
    /// Its episode.
    pub episode: String,
    /// The alert.
    pub alert: Alert,
    /// Whether this was not told before.
    pub news: bool,
    /// Whether its beginning was never told: an end that also has to say that there was something.
    pub unheard: bool,
}

/// What a turn decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// The group's memory afterwards.
    pub group: Group,
    /// What is told, ordered by beginning, then by labels; nothing when empty.
    pub told: Vec<Told>,
    /// What became of each event.
    pub fates: Vec<(i64, Fate)>,
    /// The next turn; `None` when the group is empty and ends.
    pub due_at: Option<Timestamp>,
}

/// Takes a group's turn.
pub fn flush(group: Group, turn: &Turn<'_>) -> Flushed {
    let mut group = group;
    if let (true, Some((_, event))) = (group.route.is_empty(), turn.events.first()) {
        group.route.clone_from(&event.route);
        group.labels.clone_from(&event.group_labels);
    }
    let mut fates = Vec::with_capacity(turn.events.len());
    end_what_ended_elsewhere(&mut group, turn);
    let mut taken: Vec<(i64, &str)> = Vec::new();
    for (id, event) in turn.events {
        match take(&mut group, event) {
            Some(fate) => fates.push((*id, fate)),
            None => taken.push((*id, event.episode.as_str())),
        }
    }
    let reasons: Vec<Option<String>> = group
        .members
        .values()
        .map(|member| (turn.muted)(&member.alert.labels, heard_at(member, turn.now)))
        .collect();
    for (id, episode) in taken {
        let place = group.members.keys().position(|key| key == episode);
        let reason = place.and_then(|place| reasons.get(place).cloned().flatten());
        fates.push((id, reason.map_or(Fate::Told, Fate::Muted)));
    }
    let audible: Vec<bool> = reasons.iter().map(Option::is_none).collect();
    let told = speak(&group, &audible, turn);
    settle(&mut group, &audible, &told, turn);
    let due_at =
        (!group.members.is_empty()).then(|| later(turn.now, turn.timings.group_interval.max(TURN_MIN)));
    fates.sort_by_key(|(id, _)| *id);
    Flushed { group, told, fates, due_at }
}

/// Members that fire no more though no event of this group says so.
fn end_what_ended_elsewhere(group: &mut Group, turn: &Turn<'_>) {
    let ending: BTreeSet<&str> = turn.events.iter().map(|(_, event)| event.episode.as_str()).collect();
    for (episode, member) in &mut group.members {
        let silent = !turn.active.contains(episode) && !ending.contains(episode.as_str());
        if member.alert.ends_at.is_none() && silent {
            member.alert.ends_at = Some(turn.now);
        }
    }
}

/// Lets an event into the memory; its fate when that is decided already.
fn take(group: &mut Group, event: &Event) -> Option<Fate> {
    let full = group.members.len() >= MEMBERS_MAX;
    match (event.kind, group.members.get_mut(&event.episode)) {
        (Kind::Firing, Some(_)) => None,
        (Kind::Firing, None) if full => Some(Fate::Dead(format!(
            "its group holds {MEMBERS_MAX} alerts already; group by more labels, or limit the rule"
        ))),
        (Kind::Firing, None) => {
            let member = Member { alert: event.alert.clone(), told: false };
            group.members.insert(event.episode.clone(), member);
            None
        }
        (Kind::Resolved, Some(member)) => {
            member.alert.clone_from(&event.alert);
            None
        }
        (Kind::Resolved, None) => Some(Fate::Unsent("its beginning was not told here".to_owned())),
    }
}

/// The instant at which a mute decides about a member: one that ended untold was heard, or not, when it ended.
fn heard_at(member: &Member, now: Timestamp) -> Timestamp {
    match member.alert.ends_at {
        Some(ended) if !member.told => ended.min(now),
        _ => now,
    }
}

fn speak(group: &Group, audible: &[bool], turn: &Turn<'_>) -> Vec<Told> {
    let heard =
        || group.members.iter().zip(audible).filter(|(_, audible)| **audible).map(|(member, _)| member);
    let news = heard().any(|(_, member)| member.is_news());
    let repeat_due = group.told_at.is_some_and(|at| later(at, turn.timings.repeat_interval) <= turn.now);
    if !news && (!repeat_due || turn.retired) {
        return Vec::new();
    }
    let told = |(episode, member): (&String, &Member)| Told {
        kind: member.kind(),
        episode: episode.clone(),
        alert: member.alert.clone(),
        news: member.is_news(),
        unheard: !member.told,
    };
    let mut all: Vec<Told> = heard().map(told).collect();
    let place = |told: &Told| (told.alert.starts_at, told.alert.labels.clone(), told.episode.clone());
    all.sort_by_cached_key(place);
    all
}

/// Writes down who was told, and forgets what has nothing more to say.
fn settle(group: &mut Group, audible: &[bool], told: &[Told], turn: &Turn<'_>) {
    let spoke = !told.is_empty();
    let mut audible = audible.iter();
    group.members.retain(|_, member| {
        let audible = *audible.next().expect("one answer for each member");
        let ended = member.alert.ends_at.is_some();
        if audible {
            member.told |= spoke;
            return !ended && !turn.retired;
        }
        // A muted end waits until it may be told, if the beginning was; a muted beginning waits while it fires.
        (member.told || !ended) && !turn.retired
    });
    if spoke {
        group.told_count += 1;
        group.told_at = Some(turn.now);
    }
}

pub(crate) fn later(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    now.saturating_add(delay).expect("a signed duration has no calendar units")
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
