//! The instants.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use upbeat::domain::entry::Entry;
use upbeat::domain::zone::Zone;

use crate::corpus::{self, Line, Walked};
use crate::debian;
use crate::oracle::{Clock, Job};

/// Minutes since 1970.
fn minute(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second() / 60
}

/// Days around changes of the clocks, by an hour and by half of one, on both halves of the earth, and a leap day.
fn windows() -> Vec<(&'static str, i64, i64)> {
    [
        ("Europe/Berlin", "2027-03-27T22:00:00Z", "2027-03-28T04:00:00Z"),
        ("Europe/Berlin", "2027-10-30T21:00:00Z", "2027-10-31T04:00:00Z"),
        ("America/New_York", "2027-11-07T04:00:00Z", "2027-11-07T09:00:00Z"),
        ("Australia/Lord_Howe", "2027-04-03T13:00:00Z", "2027-04-03T18:00:00Z"),
        ("Australia/Lord_Howe", "2027-10-02T13:00:00Z", "2027-10-02T18:00:00Z"),
        ("UTC", "2028-02-28T22:00:00Z", "2028-03-01T13:00:00Z"),
    ]
    .map(|(zone, from, until)| (zone, minute(from), minute(until)))
    .to_vec()
}

/// Lines made of a seed: the forms that cron takes, in all combinations.
fn drawn(seed: u64, count: usize) -> Vec<Line> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut word = |low: u32, high: u32| -> String {
        let mut item = || {
            let (a, b) = (random.u32(low..=high), random.u32(low..=high));
            match random.u32(0..8) {
                0..2 => "*".to_owned(),
                2 => format!("*/{}", random.u32(1..=high + 2)),
                3 => format!("{}-{}", a.min(b), a.max(b)),
                4 => format!("{}-{}/{}", a.min(b), a.max(b), random.u32(1..9)),
                _ => a.to_string(),
            }
        };
        match item() {
            first if first.len() % 2 == 1 => first,
            first => format!("{first},{}", item()),
        }
    };
    let line = |at: usize| {
        let words = [word(0, 59), word(0, 23), word(1, 31), word(1, 12), word(0, 7)].join(" ");
        Line::of(format!("drawn_{at}"), format!("{words} command"))
    };
    (0..count).map(line).collect()
}

/// A line, with what the manual and the import make of it.
struct Read {
    line: Line,
    job: Option<Job>,
    entry: Option<Entry>,
    is_called_unreadable: bool,
}

fn read(lines: Vec<Line>) -> Vec<Read> {
    let read = |line: Line| {
        let (entry, is_called_unreadable) = line.imported();
        Read { job: Job::read(&line.text), entry: entry.ok(), is_called_unreadable, line }
    };
    lines.into_iter().map(read).collect()
}

/// Compares cron, the manual and the import over a stretch of time; returns what differs.
fn differences(reads: &[Read], zone: &str, from: i64, until: i64) -> Vec<String> {
    let lines: Vec<&Line> = reads.iter().map(|read| &read.line).collect();
    let did = debian::run(&lines, zone, from, until);
    let (clock, zone) = (Clock::of(zone, from, until), Zone::parse("zone", zone).unwrap());
    let (mut walked, mut manual) = (Walked::default(), BTreeMap::new());
    let mut differences = Vec::new();
    for Read { line, job, entry, is_called_unreadable } in reads {
        let ran: Vec<i64> = did.ran.get(&line.name).map(|ran| ran.iter().copied().collect()).unwrap_or_default();
        let is_unread = did.unread.contains(&line.name);
        let mut differ = |whose: &str, theirs: &[i64]| {
            let other = theirs.iter().find(|at| !ran.contains(at)).or(ran.iter().find(|at| !theirs.contains(at)));
            let at = other.map(|at| jiff::Timestamp::from_second(at * 60).unwrap());
            let (theirs, ran) = (theirs.len(), ran.len());
            differences.push(format!("{} {:?}: {whose}: {theirs} times, cron {ran}, {at:?}", line.name, line.text));
        };
        if let Some(job) = job.as_ref().filter(|_| !is_unread) {
            let words: Vec<&str> = line.text.split_ascii_whitespace().take(5).collect();
            let times = manual.entry(words.join(" ")).or_insert_with(|| job.between(&clock));
            if *times != ran {
                differ("the manual", times);
            }
        }
        if let Some(entry) = entry {
            let times = walked.between(entry, &zone, from, until);
            if is_unread || times != ran {
                differ("the entry", times);
            }
        }
        if *is_called_unreadable && !is_unread {
            differ("called unreadable", &[]);
        }
    }
    differences
}

fn none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn every_line_fires_when_debians_cron_fires_it_or_is_listed() {
    if !debian::is_here() {
        return;
    }
    let mut lines = corpus::of_debian();
    lines.extend(drawn(20_261_121, 150));
    let lines = read(lines);
    for (zone, from, until) in windows() {
        none(&differences(&lines, zone, from, until));
    }
}

#[test]
#[ignore = "minutes: scripts/crontabs runs it"]
fn every_line_fires_when_debians_cron_fires_it_all_year_in_many_zones() {
    assert!(debian::is_here());
    let days: i64 = std::env::var("CRONTABS_DAYS").map_or(365, |days| days.parse().unwrap());
    let seed: u64 = std::env::var("CRONTABS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let from = minute("2027-03-01T00:00:00Z");
    let mut lines = corpus::of_debian();
    lines.extend(drawn(seed, 500));
    let lines = read(lines);
    for zone in [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Africa/Cairo",
        "Asia/Shanghai",
        "Antarctica/Troll",
    ] {
        // A month at a time, for the memory's sake.
        for day in (0..days).step_by(30) {
            none(&differences(&lines, zone, from + day * 1440, from + days.min(day + 30) * 1440));
        }
        println!("{zone}: {} lines, {days} days, no difference", lines.len());
    }
}

#[test]
fn over_decades_every_line_fires_as_the_manual_says() {
    let mut lines = corpus::of_debian();
    lines.extend(drawn(7, 150));
    let lines = read(lines);
    for from in ["2026-12-30T00:00:00Z", "2028-02-20T00:00:00Z", "2095-12-25T00:00:00Z"].map(minute) {
        let mut walked = Walked::default();
        for Read { line, job, entry, .. } in &lines {
            let (Some(entry), Some(job)) = (entry, job) else { continue };
            let wanted = job.first(from / 1440, 40);
            let until = wanted.last().map_or(from + 1440, |last| last + 1);
            assert_eq!(walked.between(entry, &Zone::utc(), from, until), wanted, "{} {:?}", line.name, line.text);
        }
    }
}

#[test]
fn what_is_not_carried_over_is_listed_with_the_reason() {
    let lines = corpus::lines();
    assert!(lines.len() >= 500, "{}", lines.len());
    let mut listed = String::new();
    for line in &lines {
        if let (Err(refused), _) = line.imported() {
            assert!(!refused.reason.is_empty());
            let hint = refused.hint.map(|hint| format!("\n    {hint}")).unwrap_or_default();
            writeln!(listed, "{}: {}\n  {}{hint}", line.name, line.text.trim(), refused.reason).unwrap();
        }
    }
    insta::assert_snapshot!(listed);
}
