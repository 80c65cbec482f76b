//! How many faults were found, how many incidents were of a fault, and where the true service stood.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long after a fault an incident may be opened and still be of it.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// One fault of a label.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Fault {
    pub(super) service: String,
    #[serde(default)]
    pub(super) fault_type: String,
    pub(super) injected_at: Timestamp,
    pub(super) ends_at: Timestamp,
}

/// One incident that was opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) at: Timestamp,
    /// Best first.
    pub(super) services: Vec<String>,
}

/// How one fault came out.
#[derive(Clone, Debug)]
struct Row {
    case: String,
    fault: Fault,
    /// Seconds from its start to the incident, and the place of its service.
    found: Option<(i64, Option<usize>)>,
}

/// All faults of all cases beside all incidents.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    rows: Vec<Row>,
    opened: usize,
    /// Case and time of incidents without a fault.
    false_alarms: Vec<(String, Timestamp)>,
}

impl Tally {
    /// An incident is of a fault when it was opened between the fault's start and five minutes after its end. Of
    /// several the first counts; the others are no false alarms.
    pub(super) fn add(&mut self, case: &str, faults: Vec<Fault>, opened: &[Opened]) {
        let is_of = |fault: &Fault, at: Timestamp| {
            let end = fault.ends_at.saturating_add(LATE).unwrap_or(fault.ends_at);
            at >= fault.injected_at && at <= end
        };
        self.opened += opened.len();
        for incident in opened {
            if !faults.iter().any(|fault| is_of(fault, incident.at)) {
                self.false_alarms.push((case.to_owned(), incident.at));
            }
        }
        for fault in faults {
            let found = opened.iter().find(|incident| is_of(&fault, incident.at)).map(|incident| {
                let place = incident.services.iter().position(|service| *service == fault.service);
                (incident.at.duration_since(fault.injected_at).as_secs(), place.map(|place| place + 1))
            });
            self.rows.push(Row { case: case.to_owned(), fault, found });
        }
    }

    fn found(&self) -> usize {
        self.rows.iter().filter(|row| row.found.is_some()).count()
    }

    fn within(&self, places: usize) -> usize {
        let is_within = |row: &&Row| row.found.and_then(|f| f.1).is_some_and(|place| place <= places);
        self.rows.iter().filter(is_within).count()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of incidents")]
    fn shares(&self) -> (f64, f64) {
        let share = |of: usize, all: usize| if all == 0 { 1.0 } else { of as f64 / all as f64 };
        (share(self.opened - self.false_alarms.len(), self.opened), share(self.found(), self.rows.len()))
    }

    pub(super) fn to_json(&self) -> Value {
        let (precision, recall) = self.shares();
        let row = |row: &Row| {
            json!({
                "case": row.case,
                "fault_type": row.fault.fault_type,
                "service": row.fault.service,
                "injected_at": row.fault.injected_at.to_string(),
                "found": row.found.is_some(),
                "after_s": row.found.map(|found| found.0),
                "rank": row.found.and_then(|found| found.1),
            })
        };
        let alarm = |(case, at): &(String, Timestamp)| json!({"case": case, "opened_at": at.to_string()});
        json!({
            "faults": self.rows.len(),
            "found": self.found(),
            "opened": self.opened,
            "precision": precision,
            "recall": recall,
            "first": self.within(1),
            "first_three": self.within(3),
            "first_five": self.within(5),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "false_alarms": self.false_alarms.iter().map(alarm).collect::<Vec<_>>(),
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let told = match row.found {
                Some((after, Some(place))) => format!("found after {after} s, service in place {place}"),
                Some((after, None)) => format!("found after {after} s, service not named"),
                None => "missed".to_owned(),
            };
            let _ = writeln!(
                text,
                "{:<28} {:<18} {:<28} {told}",
                row.case, row.fault.fault_type, row.fault.service
            );
        }
        for (case, at) in &self.false_alarms {
            let _ = writeln!(text, "{case:<28} false alarm at {at}");
        }
        let (precision, recall) = self.shares();
        let _ = write!(
            text,
            "{} of {} faults found, {} incidents opened; precision {precision:.2}, recall {recall:.2}; service first {}, \
             in three {}, in five {}",
            self.found(),
            self.rows.len(),
            self.opened,
            self.within(1),
            self.within(3),
            self.within(5)
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-05-05T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn an_incident_within_or_soon_after_a_fault_is_of_it() {
        let fault = |from: &str, to: &str| Fault {
            service: "cart".to_owned(),
            fault_type: String::new(),
            injected_at: at(from),
            ends_at: at(to),
        };
        let opened = |time: &str, services: &[&str]| Opened {
            at: at(time),
            services: services.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut tally = Tally::default();
        let incidents = [
            opened("09:59", &["cart"]),
            opened("10:02", &["web", "cart"]),
            opened("10:14", &["cart"]),
            opened("10:16", &["cart"]),
        ];
        tally.add("day", vec![fault("10:00", "10:10"), fault("12:00", "12:10")], &incidents);
        assert_eq!(tally.rows[0].found, Some((120, Some(2))));
        assert!(tally.rows[1].found.is_none());
        assert_eq!(tally.false_alarms.len(), 2, "before, and six minutes after");
        let (precision, recall) = tally.shares();
        assert!((precision - 0.5).abs() < 1e-9 && (recall - 0.5).abs() < 1e-9);
        assert_eq!((tally.within(1), tally.within(3)), (0, 1));
    }
}
