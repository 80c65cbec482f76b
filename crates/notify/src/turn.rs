//! A group's turn, acted out: what it needs is read, [`flush`] decides, and all that changes is written at once.

use std::collections::BTreeMap;

use hindsight_model::{AlertInstance, AlertState, Labels, Tenant, Transition};
use hindsight_state::{DueGroup, EventFate, GroupTurn, TURN_EVENTS_MAX};
use jiff::Timestamp;

use crate::alert::full_labels;
use crate::delivery::{Speaker, deliveries};
use crate::error::Result;
use crate::flush::{Fate, Flushed, Turn, flush};
use crate::group::{Event, Group};
use crate::mute::Mutes;
use crate::plan::plan;
use crate::routing::{REPEAT_INTERVAL_DEFAULT, Timings};
use crate::worker::{TURNS_MAX, Worker};

/// The timings of a group whose route is gone: it has no further turn.
const RETIRED: Timings = Timings {
    group_wait: std::time::Duration::ZERO,
    group_interval: std::time::Duration::ZERO,
    repeat_interval: REPEAT_INTERVAL_DEFAULT,
};

impl Worker {
    /// Gives every group its turn that is due at `now`, at most [`TURNS_MAX`], and returns how many had one. A group
    /// whose turn fails holds up no other.
    ///
    /// # Errors
    /// The last failure, when the others have had their turn.
    pub(crate) async fn take_turns(&self, now: Timestamp) -> Result<u32> {
        let groups = self.state.due_groups(now, TURNS_MAX).await?;
        let mut mutes: BTreeMap<Tenant, Mutes<'_>> = BTreeMap::new();
        let (mut turns, mut failure) = (0, None);
        for group in &groups {
            if !mutes.contains_key(&group.tenant) {
                mutes.insert(group.tenant.clone(), self.mutes(&group.tenant, now).await?);
            }
            match self.turn(group, &mutes[&group.tenant], now).await {
                // An event or another turn may have come in between: the next round looks again.
                Ok(taken) => turns += u32::from(taken),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(turns), Err)
    }

    /// Tells receivers of alerts that fire already when the way to them is new: a receiver or a route that was added,
    /// or labels that groups are now made by. For the start of the server; what was told in the same group before is
    /// not told again. Returns how many events that made.
    ///
    /// # Errors
    /// [`crate::Error::State`] when the state cannot be read or written.
    pub async fn tell_new_routes(&self, tenant: &Tenant, now: Timestamp) -> Result<u64> {
        let instances = self.state.instances(tenant).await?;
        let firing = instances
            .into_iter()
            .filter(|one| matches!(one.state, AlertState::Firing | AlertState::Recovering));
        let begun: Vec<Transition> = firing.map(|instance| begun(instance, now)).collect();
        Ok(self.state.add_events(tenant, &plan(&begun, &self.routing, now, &self.settings)).await?)
    }

    async fn mutes(&self, tenant: &Tenant, now: Timestamp) -> Result<Mutes<'_>> {
        let silences = self.state.lasting_silences(tenant, before(now)).await?;
        let inhibitions = self.routing.inhibitions();
        let firing: Vec<Labels> = match inhibitions.is_empty() {
            true => Vec::new(),
            false => {
                let firing = self.state.firing_labels(tenant).await?;
                firing.iter().map(|(alert, labels)| full_labels(alert, labels)).collect()
            }
        };
        Ok(Mutes::new(silences, inhibitions, &firing))
    }

    async fn turn(&self, due: &DueGroup, mutes: &Mutes<'_>, now: Timestamp) -> Result<bool> {
        let turn = self.decide(due, mutes, now).await?;
        Ok(self.state.commit_turn(&turn).await?)
    }

    async fn decide(&self, due: &DueGroup, mutes: &Mutes<'_>, now: Timestamp) -> Result<GroupTurn> {
        let memory = memory(due);
        // In this order: an alert that ends in between has its event read, or changes the version.
        let active = self.state.active_episodes(&due.tenant, memory.members.keys()).await?;
        let waiting = self.state.waiting_events(&due.subject).await?;
        let more = waiting.len() == usize::try_from(TURN_EVENTS_MAX).unwrap_or(usize::MAX);
        let mut events: Vec<(i64, Event)> = Vec::with_capacity(waiting.len());
        let mut fates = Vec::new();
        for event in waiting {
            match serde_json::from_str(&event.payload) {
                Ok(read) => events.push((event.id, read)),
                Err(error) => {
                    let reason = Some(format!("it cannot be read: {error}"));
                    fates.push(EventFate { id: event.id, status: "dead", reason });
                }
            }
        }
        let (route, labels) = match events.first() {
            Some((_, event)) if memory.route.is_empty() => (&event.route, &event.group_labels),
            _ => (&memory.route, &memory.labels),
        };
        let route = self.routing.route(route, &due.receiver);
        let route = route.filter(|route| route.groups_as(labels) && route.group_key(labels) == due.group_key);
        let times = route.map(|route| self.routing.mute_times(route)).unwrap_or_default();
        let Flushed { group, told, fates: decided, due_at } = flush(
            memory,
            &Turn {
                events: &events,
                active: &active,
                muted: &|labels, at| mutes.reason(labels, at, &times),
                timings: route.map_or(RETIRED, |route| route.timings),
                retired: route.is_none(),
                now,
            },
        );
        fates.extend(decided.into_iter().map(|(id, fate)| written(id, fate)));
        let speaker = Speaker {
            tenant: &due.tenant,
            receiver: &due.receiver,
            kind: self.receivers.get(&due.receiver).map(crate::Receiver::kind),
            subject: &due.subject,
            group_key: &due.group_key,
            group_labels: &group.labels,
            external_url: self.settings.external_url.trim_end_matches('/'),
            count: group.told_count,
            now,
        };
        let deliveries = deliveries(&speaker, &told);
        let next_turn = if more { Some(now) } else { due_at };
        let next = next_turn
            .map(|at| (serde_json::to_string(&group).expect("text with string keys always serialises"), at));
        let (subject, version) = (due.subject.clone(), due.version);
        Ok(GroupTurn { subject, version, next, fates, deliveries, at: now })
    }
}

/// What the group remembers. A memory that cannot be read is begun anew: its alerts are then told once more, which is
/// better than never.
fn memory(due: &DueGroup) -> Group {
    if due.memory.is_empty() {
        return Group::default();
    }
    serde_json::from_str(&due.memory).unwrap_or_else(|error| {
        let group = &due.group_key;
        tracing::error!(group, %error, "what a group of alerts remembers cannot be read; it begins anew");
        Group::default()
    })
}

fn written(id: i64, fate: Fate) -> EventFate {
    let (status, reason) = match fate {
        Fate::Told => ("told", None),
        Fate::Muted(reason) => ("muted", Some(reason)),
        Fate::Unsent(reason) => ("unsent", Some(reason)),
        Fate::Dead(reason) => {
            tracing::error!(event = id, reason, "an alert is not told");
            ("dead", Some(reason))
        }
    };
    EventFate { id, status, reason }
}

/// Silences that ended within the last day are still asked: an alert that came and went under one stays muted.
fn before(now: Timestamp) -> Timestamp {
    now.saturating_sub(jiff::SignedDuration::from_hours(24)).expect("a signed duration has no calendar units")
}

/// The step into firing of an alert that fires.
fn begun(instance: AlertInstance, now: Timestamp) -> Transition {
    Transition {
        at: now,
        tenant: instance.tenant,
        rule: instance.rule,
        alert: instance.alert,
        labels: instance.labels,
        annotations: instance.annotations,
        from: AlertState::Pending,
        to: AlertState::Firing,
        reason: "breach".to_owned(),
        value: instance.value,
        active_at: Some(instance.active_at.unwrap_or(instance.since)),
        episode: instance.episode,
        incident: None,
    }
}
