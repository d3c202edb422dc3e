//! Each trap, and that an ordinary file has none.

use super::*;
use crate::domain::file::ScheduleFile;

/// The notes about a file on the morning of Sat 21 Nov 2026, as `code field: message`.
fn said(toml: &str) -> Vec<String> {
    let file = ScheduleFile::parse("x.toml", toml).unwrap_or_else(|errors| panic!("{errors:?}"));
    let now = Timestamp::parse("now", "2026-11-21T08:00:00Z", None).unwrap();
    let entries: Vec<&FileEntry> = file.entries.iter().collect();
    let all = notes(&file.entries, now).into_iter().chain(together(&entries, now));
    all.map(|note| format!("{} {}: {}", note.code, note.field, note.message)).collect()
}

/// The one note about an entry `a` with these lines.
fn of(lines: &str) -> Option<String> {
    let has_one = ["exec", "list", "celery"].iter().any(|kind| lines.contains(kind));
    let action = if has_one { "" } else { "shell = 'x'\n" };
    let mut said = said(&format!("[entries.a]\n{action}{lines}\n"));
    assert!(said.len() < 2, "{said:?}");
    said.pop()
}

#[test]
fn what_never_fires_is_told_and_nothing_else_about_it() {
    for (lines, note) in [
        (
            "at = '2026-01-01T00:00:00Z'",
            "never_fires entries.a.at: at 2026-01-01T00:00:00.000Z has passed: it never fires again",
        ),
        (
            "cron = '*/7 2 * * *'\nend = '2026-01-01'",
            "never_fires entries.a.cron: no fire time is left before its end: it never fires again",
        ),
        (
            "cron = '0 9 24 12 *'\nend = '2027-01-01'\nexclude = ['2026-12-24']",
            "never_fires entries.a.cron: no fire time is left before its end: it never fires again",
        ),
        (
            "rrule = 'FREQ=DAILY;COUNT=3'\nstart = '2026-01-01'\ntimeout = '3d'",
            "never_fires entries.a.rrule: no fire time is left: it never fires again",
        ),
    ] {
        assert_eq!(of(lines).as_deref(), Some(note), "{lines}");
    }
}

#[test]
fn fire_times_that_a_change_of_the_clocks_touches_are_told_with_the_day() {
    let notes = said("[entries.a]\nshell = 'x'\ncron = '30 2 * * *'\ntz = 'Europe/Berlin'\n");
    let clocks = "clock_change entries.a.cron: clocks in Europe/Berlin go";
    assert_eq!(
        notes,
        [
            format!("{clocks} forward on 2027-03-28 02:00 -> 03:00: the run of 02:30 comes at 03:00"),
            format!("{clocks} back on 2027-10-31 03:00 -> 02:00: 02:30 comes twice and runs the first time only"),
        ]
    );
    let follows = of("cron = '0 */2 * * *'\ntz = 'Europe/Berlin'\nend = '2027-05-01'").unwrap();
    assert!(follows.ends_with("no run at 02:00, which the clock leaves out"), "{follows}");
    let days = of("every = '1d'\ntz = 'Europe/Berlin'").unwrap();
    assert_eq!(
        days,
        "elapsed_time entries.a.every: counts elapsed time: from 2027-03-28 on it fires later by the clocks of Europe/Berlin, which change then"
    );
    for fine in [
        "cron = '30 2 * * *'\ntz = 'Europe/Berlin'\ndst = { gap = 'skip' }",
        "cron = '30 4 * * *'\ntz = 'Europe/Berlin'",
        "cron = '30 2 * * *'\ntz = 'Asia/Shanghai'",
        "every = '1d'\ntz = 'Asia/Shanghai'",
        "every = '1d'",
        "every = '6h'\ntz = 'Europe/Berlin'",
    ] {
        assert_eq!(of(fine), None, "{fine}");
    }
}

#[test]
fn traps_of_cron_words_are_told() {
    for (cron, note) in [
        ("*/7 * * * *", "uneven_step entries.a.cron: */7 starts over with each hour: minute 56 is followed by 0"),
        ("*/90 * * * *", "uneven_step entries.a.cron: */90 is minute 0 and no other"),
        ("0 */5 * * *", "uneven_step entries.a.cron: */5 starts over at midnight: hour 20 is followed by 0"),
        (
            "0 9 13 * fri",
            "either_day entries.a.cron: fires on day 13 of the month and on each fri too: one of the two is enough",
        ),
    ] {
        assert_eq!(of(&format!("cron = '{cron}'")).as_deref(), Some(note), "{cron}");
    }
    assert!(of("cron = '0 0 9 * * 1-5'").unwrap().starts_with("week_day_number entries.a.cron: six fields"));
}

#[test]
fn an_entry_without_a_zone_among_others_that_have_one_is_told() {
    let with = |id: &str, zone: &str| format!("[entries.{id}]\ncron = '0 9 * * *'\nshell = 'x'\ntz = '{zone}'\n");
    let without = "[entries.c]\ncron = '0 9 * * *'\nshell = 'x'\n[entries.d]\ncron = '5 * * * *'\nshell = 'x'\n[entries.e]\nevery = '1h'\nshell = 'x'\n";
    let text = format!("{}{}{without}", with("a", "Asia/Shanghai"), with("b", "Asia/Shanghai"));
    assert_eq!(
        said(&text),
        ["no_zone entries.c.cron: has no tz, so its times are UTC; 2 other entries have Asia/Shanghai"]
    );
    assert_eq!(said(&format!("{}{without}", with("a", "UTC"))), <[&str; 0]>::default());
    assert_eq!(said(without), <[&str; 0]>::default());
}

#[test]
fn limits_that_contradict_each_other_are_told() {
    for (lines, note) in [
        (
            "every = '1h'\noverlap = 'allow'",
            "no_limit entries.a.overlap: runs that hang pile up: overlap = \"allow\" without a timeout",
        ),
        (
            "cron = '*/5 * * * *'\ntimeout = '10m'",
            "long_timeout entries.a.timeout: a run may take 10 min and the next one comes after 5 min: it is skipped then",
        ),
        (
            "every = '5m'\nstart_within = '1h'",
            "long_start_within entries.a.start_within: a run may start 1 h late and the next one comes after 5 min",
        ),
        (
            "every = '1d'\nretry = { max_attempts = 5, delay = '5m', within = '20m' }",
            "retry_too_long entries.a.retry.within: 3 of 5 attempts begin within 20 min, however soon each fails",
        ),
        (
            "every = '1d'\nexec = ['a', '|', 'b']",
            "no_shell entries.a.exec: \"|\" is an argument of a: exec has no shell",
        ),
        (
            "every = '1d'\nexec = ['backup --full']",
            "one_word entries.a.exec: \"backup --full\" is one word, the name of a program with blanks",
        ),
        (
            "every = '1h'\ncelery = 'app.report'\nqueue = 'reports'",
            "celery_queue entries.a.queue: it says where runs of upbeat wait, and this message is sent at once; Celery's queue is named in celery",
        ),
    ] {
        assert_eq!(of(lines).as_deref(), Some(note), "{lines}");
    }
    for fine in [
        "every = '1h'\noverlap = 'allow'\ntimeout = '10m'",
        "every = '1h'\nlist = 'k'",
        "every = '1h'\nqueue = 'q'\ncelery = { task = 't', track = true }",
        "every = '10m'\ntimeout = '10m'\nstart_within = '10m'",
        "every = '5m'\ntimeout = '10m'\noverlap = 'buffer_one'",
        "every = '1d'\nretry = { max_attempts = 5, delay = '1m', within = '15m' }",
        "every = '1d'\nexec = ['sh', '-c', 'a | b']",
    ] {
        assert_eq!(of(fine), None, "{fine}");
    }
}

fn many(count: usize, lines: impl Fn(usize) -> String) -> String {
    (0..count).map(|at| format!("[entries.e{at:02}]\nshell = 'x'\n{}\n", lines(at))).collect()
}

#[test]
fn many_entries_at_one_minute_are_told_with_the_worst_one() {
    let nightly = |at: usize| format!("cron = '{} 0 * * *'\ntz = 'Asia/Shanghai'", if at < 11 { 0 } else { at });
    assert_eq!(
        said(&many(20, nightly)),
        [
            "same_minute entries.e00.cron: 11 entries fire at the same minute (00:00 Asia/Shanghai); spread = \"5m\" or H would help"
        ]
    );
    let monday = |at: usize| match at % 2 {
        0 => "cron = '0 9 * * mon'".to_owned(),
        _ => "rrule = 'FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0'\nstart = '2026-01-05T00:00:00Z'".to_owned(),
    };
    let told = said(&many(10, monday));
    assert!(told[0].contains("10 entries fire at the same minute (Mon 23 Nov 09:00 UTC)"), "{told:?}");
    let told = said(&many(12, |_| "every = '1h'".to_owned()));
    assert!(told[0].contains("12 entries with every = \"1h\" count from one instant"), "{told:?}");
}

#[test]
fn nine_entries_or_spread_ones_or_those_of_every_minute_are_no_crowd() {
    let none: [&str; 0] = [];
    assert_eq!(said(&many(9, |_| "cron = '@daily'".to_owned())), none);
    assert_eq!(said(&many(20, |_| "cron = 'H H * * *'".to_owned())), none);
    assert_eq!(said(&many(20, |_| "cron = '@daily'\nspread = '5m'".to_owned())), none);
    assert_eq!(said(&many(20, |_| "cron = '* * * * *'".to_owned())), none);
    assert_eq!(said(&many(20, |_| "every = '10s'".to_owned())), none);
}

#[test]
fn others_at_a_minute_are_named_with_it() {
    let text = many(11, |_| "cron = '@daily'".to_owned())
        + &many(10, |_| "cron = '0 9 * * *'".to_owned()).replace("[entries.e", "[entries.f");
    let file = ScheduleFile::parse("x.toml", &text).unwrap();
    let entries: Vec<&FileEntry> = file.entries.iter().collect();
    let found = together(&entries, Timestamp::parse("now", "2026-11-21T08:00:00Z", None).unwrap());
    assert_eq!(found[0].hint.as_deref(), Some("e00, e01, e02 and 8 more; also 10 at 09:00"));
    assert_eq!(found[0].ids.len(), 11);
}

#[test]
fn an_ordinary_file_has_no_note() {
    let text = r#"
[defaults]
tz = "Europe/Berlin"
timeout = "10m"
labels = { team = "growth" }

[entries.daily-report]
cron = "0 9 * * mon-fri"
exec = ["send-report", "--daily"]
start_within = "1h"
retry = { max_attempts = 3, delay = "10s", within = "2h" }

[entries.backup]
cron = "30 4 * * *"
exec = ["./backup.sh", "--full"]
timeout = "2h"

[entries.poll]
cron = "*/15 * * * *"
http = "GET https://a.example/poll"

[entries.tick]
every = "10s"
list = "app:ticks"

[entries.month]
cron = "0 5 1 * *"
shell = "close-books | mail -s done ops"
overlap = "allow"
"#;
    assert_eq!(said(text), <[&str; 0]>::default());
}
