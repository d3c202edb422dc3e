//! The lines, and what becomes of each when it is imported.

use std::collections::HashMap;

use upbeat::domain::entry::Entry;
use upbeat::domain::import::Refused;
use upbeat::domain::import::crontab::{Crontab, CrontabRules, Dialect, import_crontabs};
use upbeat::domain::timestamp::Timestamp;
use upbeat::domain::zone::Zone;

/// One line of the collection.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its file and number, as cron may call a crontab: `debian_user_17`.
    pub name: String,
    pub text: String,
    pub dialect: Dialect,
    pub is_system: bool,
}

const FILES: [(&str, &str); 8] = [
    ("debian.system", include_str!("../data/crontabs/debian.system")),
    ("debian.user", include_str!("../data/crontabs/debian.user")),
    ("odd.user", include_str!("../data/crontabs/odd.user")),
    ("ci.user", include_str!("../data/crontabs/ci.user")),
    ("cronie.user", include_str!("../data/crontabs/cronie.user")),
    ("freebsd.user", include_str!("../data/crontabs/freebsd.user")),
    ("freebsd.system", include_str!("../data/crontabs/freebsd.system")),
    ("openbsd.user", include_str!("../data/crontabs/openbsd.user")),
];

/// All lines that are neither empty, nor comments, nor variables.
pub fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (file, text) in FILES {
        let (dialect, kind) = file.split_once('.').unwrap();
        let is_job = |line: &str| {
            let line = line.trim();
            let is_variable = line.split_once('=').is_some_and(|(name, _)| name.chars().all(char::is_uppercase));
            !line.is_empty() && !line.starts_with('#') && !is_variable
        };
        for (at, text) in text.lines().enumerate().filter(|(_, line)| is_job(line)) {
            lines.push(Line {
                name: format!("{dialect}_{kind}_{}", at + 1),
                text: text.to_owned(),
                dialect: Dialect::parse("file", dialect).unwrap_or_default(),
                is_system: kind == "system",
            });
        }
    }
    lines
}

/// The lines of Debian's dialect.
pub fn of_debian() -> Vec<Line> {
    lines().into_iter().filter(|line| line.dialect == Dialect::Debian).collect()
}

impl Line {
    /// A line of a user's crontab in Debian's dialect.
    pub fn of(name: String, text: String) -> Self {
        Self { name, text, dialect: Dialect::Debian, is_system: false }
    }

    /// What it becomes in UTC: an entry, or a reason; and whether it is said that cron reads nothing of such a file.
    pub fn imported(&self) -> (Result<Entry, Refused>, bool) {
        let text = format!("{}\n", self.text);
        let crontab = Crontab { name: None, text: &text, is_system: self.is_system, prefix: None };
        let rules = CrontabRules { tz: Some("UTC".to_owned()), dialect: Some(self.dialect), ..CrontabRules::default() };
        let mut import = import_crontabs(&[crontab], &rules);
        assert_eq!(import.file.entries.len() + import.refused.len(), 1, "{}: {}", self.name, self.text);
        let is_unread = import.notes.iter().any(|note| note.contains("reads nothing of this file because of line 1"));
        match import.file.entries.pop() {
            Some(only) => (Ok(only.entry), is_unread),
            None => (Err(import.refused.remove(0)), is_unread),
        }
    }
}

/// Fire times in minutes since 1970; those of one schedule are walked once.
#[derive(Default)]
pub struct Walked(HashMap<String, Vec<i64>>);

impl Walked {
    /// Those of an entry, read in a zone, from one minute up to another.
    pub fn between(&mut self, entry: &Entry, zone: &Zone, from: i64, until: i64) -> &[i64] {
        let key = format!("{} {from} {until}", entry.schedule_json());
        self.0.entry(key).or_insert_with(|| {
            let mut schedule = entry.schedule.clone();
            schedule.zone = zone.clone();
            let times = schedule.times_after(Timestamp(from * 60_000 - 1)).map(|at| at.ms() / 60_000);
            times.take_while(|minute| *minute < until).collect()
        })
    }
}
