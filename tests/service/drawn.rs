//! Entries drawn by lot: all kinds of schedules, actions and texts, none of which fires within the test.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::bed::object;

/// Texts that are hard to quote.
const TEXTS: &[&str] = &[
    "plain",
    "two\nlines\nand a ' and a \"",
    "'''",
    "ends with '",
    "\\backslash\\ \t tab",
    "日報 · ü",
    "# not a comment = [x]",
    "\n begins and ends with a line break\n",
    "\u{7f}\r\n",
];

pub const CALENDARS: &[&str] = &["cn-holidays", "eu"];

pub fn text(rng: &mut Rng) -> String {
    TEXTS[rng.usize(..TEXTS.len())].to_owned()
}

fn schedule(rng: &mut Rng, has_calendars: bool) -> Value {
    let mut fields = match rng.u8(..9) {
        0 => json!({"cron": format!("{} {} * * *", rng.u8(..60), rng.u8(..24)), "tz": "Europe/Berlin"}),
        1 => {
            json!({"cron": ["0 9 * * mon-fri", "30 2 1 * *"], "tz": "Asia/Shanghai", "dst": {"gap": "skip", "fold": "both"}})
        }
        2 => json!({"cron": "H H * * *"}),
        3 => json!({"every": format!("{}d", rng.u8(1..9)), "start": "2026-01-01T00:00:00Z"}),
        4 => json!({"every": "36h", "anchor": "2026-03-01T07:30:00Z"}),
        5 => {
            json!({"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0", "anchor": "2026-01-01T00:00:00Z", "tz": "Europe/Berlin"})
        }
        6 => json!({"at": if rng.bool() { "2020-01-01T00:00:00Z" } else { "2031-06-01T09:00:00+08:00" }}),
        7 => {
            json!({"cron": "0 3 * * *", "start": "2026-01-01", "end": "2040-01-01", "max_fires": rng.u16(1..9), "spread": "10m"})
        }
        _ => json!({"cron": "0 12 * * *", "exclude": ["2030-01-01"], "tz": "America/New_York"}),
    };
    if has_calendars && fields.get("at").is_none() && rng.u8(..3) == 0 {
        fields["exclude"] = json!([CALENDARS[rng.usize(..CALENDARS.len())], "2029-12-24"]);
    }
    fields
}

fn action(rng: &mut Rng) -> Value {
    match rng.u8(..7) {
        0 => json!({"exec": ["sh", "-c", format!("echo {}", text(rng))], "env": {"A": text(rng)}, "cwd": "/tmp"}),
        1 => json!({"shell": format!("true {}", text(rng).replace('\u{7f}', "")), "timeout": "10m"}),
        2 => json!({"http": {"method": "POST", "url": "https://a.example/x", "ok": ["200-299", 404]}}),
        3 => {
            json!({"http": "https://a.example/y", "retry": {"max_attempts": 3, "jitter": 0.1234567890123, "delay": "1m30s"}})
        }
        4 => json!({"list": "out", "payload": text(rng)}),
        5 => {
            json!({"stream": {"key": "s", "trim": true}, "payload": {"z": 1, "a": [null, 18_446_744_073_709_551_615_u64, 0.1, 1e300]}})
        }
        _ => {
            json!({"exec": ["true"], "overlap": "allow", "max_running": 3, "catch_up": {"mode": "all", "max_runs": 5, "per_minute": 7}})
        }
    }
}

/// A valid entry, perhaps with `paused`.
pub fn fields(rng: &mut Rng, has_calendars: bool) -> Map<String, Value> {
    let mut fields = object(schedule(rng, has_calendars));
    fields.extend(object(action(rng)));
    if rng.u8(..3) == 0 {
        fields.insert("note".to_owned(), json!(text(rng)));
        fields.insert("labels".to_owned(), json!({"team": "a", "b.c": "d \" e"}));
    }
    if rng.u8(..4) == 0 {
        fields.insert("queue".to_owned(), json!("reports"));
        fields.insert("keep_runs".to_owned(), json!(rng.u8(..9)));
    }
    if rng.u8(..6) == 0 {
        fields.insert("paused".to_owned(), json!(true));
    }
    fields
}

/// An id of one of the kinds that there are.
pub fn id(rng: &mut Rng, most: usize) -> String {
    let number = rng.usize(..most);
    match number % 4 {
        0 => format!("e{number}"),
        1 => format!("billing.close-{number}"),
        2 => format!("日報:{number}"),
        _ => format!("A_{number}+x"),
    }
}
