//! Runs in the words that people read.

use std::collections::{BTreeSet, HashMap};

use crate::cli::output::{Cell, printable, table};
use crate::cli::times::{Wall, took};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::Result;
use crate::service::{RunView, Service};

/// Shows runs, each in the zone of its entry.
pub struct Words {
    zones: HashMap<String, Zone>,
    now: Timestamp,
    has_entry: bool,
}

impl Words {
    /// For these runs; `has_entry` adds a column for the entry.
    pub async fn of(service: &Service, runs: &[RunView], has_entry: bool) -> Result<Self> {
        let ids: BTreeSet<String> = runs.iter().map(|run| run.entry_id.clone()).collect();
        let (zones, now) = tokio::try_join!(service.zones(&ids), service.store().now(0))?;
        Ok(Self { zones, now, has_entry })
    }

    /// The clock on the wall of a run's entry.
    pub fn wall(&self, run: &RunView) -> Wall {
        Wall { zone: self.zones.get(&run.entry_id).cloned().unwrap_or_else(Zone::utc), now: self.now }
    }

    /// All of them under one head.
    pub fn table(&self, runs: &[RunView]) -> String {
        let mut head = vec!["FIRE TIME", "STATE", "NODE", "ATTEMPT", "TOOK", "LATE", ""];
        if self.has_entry {
            head.insert(1, "ENTRY");
        }
        table(&head, runs.iter().map(|run| self.row(run)))
    }

    /// The rows of runs that follow under a head that was printed before; its first line is left out.
    pub fn rows(&self, runs: &[RunView]) -> String {
        let text = self.table(runs);
        text.split_once('\n').map_or(String::new(), |(_, rows)| rows.to_owned())
    }

    fn row(&self, run: &RunView) -> Vec<Cell> {
        let wall = self.wall(run);
        let fire_time = match run.fires {
            1 => wall.at(run.fire_at.0),
            fires => format!("{} to {} ({fires})", wall.without_zone(run.fire_at.0), wall.at(run.last_fire_at.0)),
        };
        let late = run.started_at.map(|started| took((started.0.0 - run.due_at.0.0).max(0)));
        let mut row = vec![
            Cell::from(fire_time),
            Cell::state(run.state),
            run.node.clone().unwrap_or_default().into(),
            if run.attempt == 0 { String::new() } else { run.attempt.to_string() }.into(),
            run.duration_ms.map(took).unwrap_or_default().into(),
            late.unwrap_or_default().into(),
            match run.stuck {
                true => Cell::state(format!("stuck: upbeat why {}", run.entry_id)),
                false => remark(run, &wall).into(),
            },
        ];
        if self.has_entry {
            row.insert(1, run.entry_id.clone().into());
        }
        row
    }
}

/// `overlap: the run of 12:14:05 UTC was still active`.
fn remark(run: &RunView, wall: &Wall) -> String {
    let message = run.message.as_deref().map(|message| wall.localised(message));
    match (run.reason, message) {
        (Some(reason), Some(message)) => format!("{reason}: {}", printable(&message)),
        (reason, message) => {
            message.map(|message| printable(&message)).or_else(|| reason.map(str::to_owned)).unwrap_or_default()
        }
    }
}

/// One line on what became of a run: `succeeded in 2.0 s on dev-1`, `failed after 3 s on web-2: exit 12`.
pub fn outcome(run: &RunView, wall: &Wall) -> String {
    let mut text = if run.stuck { format!("{}, stuck", run.state) } else { run.state.to_owned() };
    if let Some(ms) = run.duration_ms.filter(|_| run.attempt > 0) {
        text.push_str(&format!(" {} {}", if run.state == "succeeded" { "in" } else { "after" }, took(ms)));
    }
    if let Some(node) = &run.node {
        text.push_str(&format!(" on {node}"));
    }
    let code = run.exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}"));
    let remark = Some(remark(run, wall)).filter(|remark| !remark.is_empty() && run.state != "succeeded");
    match remark.or(code) {
        Some(why) => format!("{text}: {why}"),
        None => text,
    }
}

/// `disk@2026-11-20T12:07:50.000Z`, which names the run on the command line too.
pub fn name(run: &RunView) -> String {
    format!("{}@{}", run.entry_id, run.fire_at.0.to_rfc3339())
}

/// `50 of 1,204 shown, --limit 0 for all`.
pub fn shown(shown: usize, found: usize, is_all: bool) -> Option<String> {
    let more = if is_all { "" } else { "more than " };
    (shown < found || !is_all)
        .then(|| format!("{} of {more}{} shown, --limit 0 for all", grouped(shown), grouped(found)))
}

/// `1,204`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_off_silently() {
        assert_eq!(shown(50, 1204, true).as_deref(), Some("50 of 1,204 shown, --limit 0 for all"));
        assert_eq!(shown(50, 312, false).as_deref(), Some("50 of more than 312 shown, --limit 0 for all"));
        assert_eq!(shown(3, 3, true), None);
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
