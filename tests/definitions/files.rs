//! Schedule files.

use upbeat::domain::file::{Places, ScheduleFile};
use upbeat::domain::policy::Overlap;
use upbeat::domain::span::Span;

use crate::{complaints, file};

/// The file of the contract without the parts that come later.
const EXAMPLE: &str = r#"
owner     = "growth"
namespace = "prod"

[defaults]
tz     = "Asia/Shanghai"
labels = { team = "growth" }

[entries.daily-report]
cron      = "0 9 * * mon-fri"
start     = "2026-12-01"
end       = "2027-12-01"
exec      = ["send-report", "--daily"]
env       = { REPORT_DB = "secret:REPORT_DB" }
cwd       = "/srv/reports"
payload   = { region = "cn" }
queue        = "reports"
timeout      = "10m"
overlap      = "skip"
catch_up     = "latest"
start_within = "1h"
delivery     = "at_least_once"
priority     = "normal"
keep_runs    = 100
labels       = { tier = "gold" }
note         = "owner: growth on-call"
paused       = false

[entries."reports.done"]
every = "1h"
http  = { method = "POST", url = "https://hooks.example.org/done", headers = { Authorization = "secret:HOOK" }, ok = ["200-299"] }
"#;

#[test]
fn the_file_of_the_contract_is_read() {
    let file = file(EXAMPLE);
    assert_eq!(file.owner.as_ref().unwrap().as_str(), "growth");
    assert_eq!(file.namespace.as_ref().unwrap().as_str(), "prod");
    let [daily, done] = &file.entries[..] else { panic!() };
    assert_eq!(daily.id.as_str(), "daily-report");
    assert_eq!(daily.entry.schedule.zone.name(), "Asia/Shanghai");
    assert_eq!(daily.entry.schedule.start.unwrap().to_rfc3339(), "2026-11-30T16:00:00.000Z");
    assert_eq!(daily.entry.labels.len(), 2);
    assert_eq!(done.id.as_str(), "reports.done");
    assert_eq!(done.entry.labels["team"], "growth");
    assert!(!daily.is_paused);
}

#[test]
fn all_complaints_come_at_once_each_under_its_field() {
    let text = r#"
[entries.a]
evry = "5m"
shell = "x"
timeout = 5
[entries.b]
every = "5m"
tz = "Berlin"
[entries."a b"]
every = "5m"
shell = "x"
[queues.x]
max_running = "5"
[alerts.x]
on = []
"#;
    let complaints = complaints("jobs.toml", text);
    let find = |start: &str| {
        complaints.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{complaints:?}"))
    };
    assert_eq!(find("entries.a.evry"), "entries.a.evry: unknown field");
    assert_eq!(find("entries.a.timeout"), "entries.a.timeout: 5 has no unit; write \"5s\"");
    assert!(find("entries.b.tz").contains("Berlin"));
    assert!(find("entries.b: ").starts_with("entries.b: no action: exactly one of exec, shell"));
    assert!(find("entries.a b").contains("a blank"));
    assert!(find("queues.x.max_running").contains("a whole number from 1 to 10000"));
    assert_eq!(find("alerts"), "alerts: not in this version yet");
    assert_eq!(complaints.len(), 7, "{complaints:?}");
}

#[test]
fn syntax_is_refused_with_its_line() {
    assert!(complaints("jobs.toml", "[entries.a]\nevery = 5m\n")[0].starts_with("jobs.toml:2: not TOML: "));
    assert!(complaints("jobs.toml", "[entries.a]\nevery = '5m'\n[entries.a]\n")[0].starts_with("jobs.toml:3: "));
    assert_eq!(complaints("jobs.toml", "[entries.a]\na = \n[entries.a]\n").len(), 2);
    assert!(complaints("jobs.json", "{\"entries\": {\n\"a\": {},\n\"a\": {}}}")[0].contains("jobs.json:3"));
    assert!(complaints("-", "{\"entries\": ")[0].starts_with("-:1: not JSON"));
    assert_eq!(complaints("jobs.json", "[]"), ["jobs.json: the document is not an object"]);
    assert!(complaints("jobs.toml", "{}")[0].starts_with("jobs.toml:1: not TOML"));
    assert!(ScheduleFile::parse("-", " {\"entries\": {\"a\": {\"every\": \"5m\", \"shell\": \"x\"}}}").is_ok());
}

#[test]
fn lines_of_complaints_can_be_found() {
    let line_of = |text: &str, field: &str| Places::of("jobs.toml", text).line(field, None);
    assert_eq!(line_of(EXAMPLE, "entries.daily-report.timeout"), Some(18));
    assert_eq!(line_of(EXAMPLE, "entries.reports.done.http.method"), Some(31));
    assert_eq!(line_of(EXAMPLE, "entries.daily-report.nothing"), Some(9));
    assert_eq!(line_of(EXAMPLE, "defaults.tz"), Some(6));
    assert_eq!(line_of(EXAMPLE, "nothing"), None);
}

#[test]
fn an_id_with_a_dot_that_is_not_quoted_is_noticed() {
    let text = "[entries.billing.close-month]\nevery = '5m'\nshell = 'x'\n";
    let errors = ScheduleFile::parse("jobs.toml", text).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].to_string().starts_with("entries.billing: unknown field \"close-month\""));
    let hint = errors[0].problem().hint.as_deref().unwrap();
    assert_eq!(hint, "an id with a dot is quoted: [entries.\"billing.close-month\"]");
}

#[test]
fn what_stands_in_the_wrong_place_is_refused() {
    assert_eq!(complaints("a.toml", "[entry.a]\n")[0], "entry: unknown section");
    let errors = ScheduleFile::parse("a.toml", "[nightly]\nevery = '5m'\nshell = 'x'\n").unwrap_err();
    assert_eq!(errors[0].problem().hint.as_deref(), Some("an entry stands under entries: [entries.nightly]"));
    assert!(complaints("a.toml", "tz = 'UTC'")[0].starts_with("tz: unknown section"));
    assert!(complaints("a.toml", "[[entries]]\nid = 'a'\n")[0].starts_with("entries: "));
    assert!(complaints("a.toml", "[entries]\na = 5\n")[0].starts_with("entries.a: 5 is not a table"));
    assert!(complaints("a.toml", "owner = 'A B'")[0].starts_with("owner: "));
    assert!(complaints("a.toml", "namespace = 5")[0].starts_with("namespace: "));
    assert_eq!(complaints("a.toml", "[calendars.x]\ndates = []\n"), ["calendars.x.dates: holds no dates"]);
}

#[test]
fn an_empty_file_has_no_entries() {
    assert_eq!(file("").entries, []);
    assert!(ScheduleFile::parse("a.json", "{}").unwrap().entries.is_empty());
}

#[test]
fn defaults_stand_under_each_entry() {
    let file = file(
        "[defaults]\ntz = 'Europe/Berlin'\nqueue = 'q'\noverlap = 'skip'\ntimeout = '5m'\nkeep_runs = 7\npaused = true\n\
         labels = { a = '1', b = '2' }\n\
         [entries.x]\nat = '2026-12-01T09:00'\nshell = 'x'\nlabels = { b = '3' }\npaused = false\n\
         [entries.y]\nevery = '5m'\nlist = 'k'\nqueue = 'own'\n",
    );
    let [x, y] = &file.entries[..] else { panic!() };
    assert_eq!(x.entry.timeout, Some(Span(300_000)));
    assert_eq!(x.entry.fields()["labels"], serde_json::json!({"a": "1", "b": "3"}));
    assert_eq!((x.is_paused, y.is_paused), (false, true));
    assert_eq!((y.entry.overlap, y.entry.timeout, y.entry.queue.as_str()), (Overlap::Allow, None, "own"));
    assert_eq!(y.entry.keep_runs, 7);
}

#[test]
fn wrong_defaults_are_refused_once_and_in_their_place() {
    let text = "[defaults]\ntz = 'Berlin'\nconcurrency_key = 'a'\nexec = ['x']\ntimout = '5m'\nkeep_runs = -1\n\
                [entries.x]\nat = '2026-12-01T09:00'\nshell = 'x'\n[entries.y]\nevery = '5m'\nshell = 'x'\n";
    let mut fields: Vec<String> = ScheduleFile::parse("a.toml", text)
        .unwrap_err()
        .iter()
        .map(|error| error.problem().field.clone().unwrap())
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        ["defaults.concurrency_key", "defaults.exec", "defaults.keep_runs", "defaults.timout", "defaults.tz"]
    );
}

#[test]
fn the_owner_comes_from_the_name_of_the_file() {
    for (stem, owner) in [("Growth Team", "growth-team"), ("ops", "ops"), ("", "-"), ("日报", "--"), ("a/b", "a-b")] {
        assert_eq!(ScheduleFile::owner_from_name(stem).as_str(), owner);
    }
    assert_eq!(ScheduleFile::owner_from_name(&"x".repeat(100)).as_str().len(), 64);
}

#[test]
fn the_order_of_the_file_is_kept() {
    let file = file(
        "[entries.b]\nevery = '5m'\nshell = 'x'\npayload = { z = 1, a = { y = 1, b = 2 } }\n[entries.a]\nevery = '5m'\nshell = 'x'\n",
    );
    assert_eq!(file.entries[0].id.as_str(), "b");
    assert_eq!(file.entries[0].entry.payload_bytes().unwrap(), br#"{"z":1,"a":{"y":1,"b":2}}"#);
}

#[test]
fn a_file_is_written_as_a_person_would() {
    let text = "owner = \"growth\"\n\
        \n[entries.a]\ncron = \"0 9 * * *\"\ntz = \"UTC\"\nexec = [\"sh\", \"-c\", 'echo \"hi\"']\nenv = { A = \"b\" }\nkeep_runs = 5\n\
        \n[entries.\"b.c\"]\nevery = \"5m\"\nshell = '''\nfirst\n  second'''\npayload_json = '{\"x\":null}'\npaused = true\n";
    assert_eq!(file(text).to_toml(), text);
}

#[test]
fn retry_and_delivery_can_be_defaults() {
    let text = "[defaults]\nretry = { max_attempts = 5, delay = '1m' }\n\
                [entries.a]\nevery = '5m'\nshell = 'x'\nretry = { max_attempts = 2 }\n\
                [entries.b]\nevery = '5m'\nlist = 'k'\n\
                [entries.c]\nevery = '5m'\nshell = 'x'\ndelivery = 'at_most_once'\n";
    let file = file(text);
    let [a, b, c] = &file.entries[..] else { panic!() };
    let retry = a.entry.retry.as_ref().unwrap();
    assert_eq!((retry.max_attempts, retry.delay.0), (2, 60_000));
    assert_eq!((&b.entry.retry, &c.entry.retry), (&None, &None), "where it can't hold");
    let both = "[defaults]\nretry = {}\ndelivery = 'at_most_once'\n[entries.a]\nevery = '5m'\nshell = 'x'\n";
    assert!(complaints("a.toml", both)[0].starts_with("defaults.delivery: at_most_once makes one attempt"));
    let own = "[defaults]\ndelivery = 'at_most_once'\n[entries.a]\nevery = '5m'\nshell = 'x'\nretry = {}\n";
    assert!(complaints("a.toml", own)[0].starts_with("entries.a.delivery: at_most_once makes one attempt"));
}
