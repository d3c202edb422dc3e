//! The file of the contract itself is applied, without what is not built yet; and that is refused by its name.

use serde_json::{Map, Value};
use upbeat::domain::file::ScheduleFile;

use crate::support::redis::RedisServer;
use crate::user_of;

const DESIGN: &str = include_str!("../data/design.toml");
const LATER: &str = "not in this version yet";

fn document() -> Map<String, Value> {
    let document: toml::Table = DESIGN.parse().unwrap();
    match serde_json::to_value(document).unwrap() {
        Value::Object(document) => document,
        other => panic!("{other}"),
    }
}

/// Takes out what a complaint names, `entries.load-done.after`; without its schedule an entry goes whole.
fn strip(document: &mut Map<String, Value>, field: &str) {
    let words: Vec<&str> = field.split('.').collect();
    let words = if words.last() == Some(&"after") { &words[..words.len() - 1] } else { &words[..] };
    let (last, path) = words.split_last().unwrap();
    let mut table = document;
    for word in path {
        table = table.get_mut(*word).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{field}"));
    }
    assert!(table.remove(*last).is_some(), "{field} stands in the file");
}

#[test]
fn the_file_of_the_contract_is_applied_without_what_is_refused_by_name() {
    let mut document = document();
    let mut refused = Vec::new();
    while let Err(errors) = ScheduleFile::parse("design.json", &Value::Object(document.clone()).to_string()) {
        for error in errors {
            let problem = error.problem();
            assert_eq!(problem.message, LATER, "{error}: all of the contract is known");
            let field = problem.field.clone().unwrap();
            strip(&mut document, &field);
            refused.push(field);
        }
    }
    // What the command line says of the very file: the same, each with its line.
    let server = RedisServer::fresh();
    let user = user_of(&server).namespace("prod");
    let holidays = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20270101\nEND:VEVENT\nEND:VCALENDAR\n";
    user.file("cn-holidays.ics", holidays);
    user.file("design.toml", DESIGN);
    if !refused.is_empty() {
        let told = user.run(&["apply", "-f", "design.toml"]).expect_code(2).stderr;
        for field in &refused {
            let line = told.lines().find(|line| line.contains(&format!(" {field}: {LATER}")));
            assert!(line.is_some_and(|line| line.starts_with("error: design.toml:")), "{field} in\n{told}");
        }
        assert_eq!(user.json(&["ls"]), serde_json::json!([]), "nothing was written");
    }
    user.file("design.json", &Value::Object(document.clone()).to_string());
    let planned = user.json(&["plan", "-f", "design.json"]);
    let done = user.json(&["apply", "-f", "design.json"]);
    let entries = document["entries"].as_object().unwrap();
    assert_eq!(done["changes"].as_array().unwrap().len(), entries.len());
    assert!(done["changes"].as_array().unwrap().iter().all(|one| one["change"] == "added"), "{done}");
    assert_eq!(planned["changes"][0]["next_after"], done["changes"][0]["next_after"]);
    let shown = user.json(&["show", "daily-report"]);
    assert_eq!(shown["owner"], "growth");
    assert_eq!(shown["labels"], serde_json::json!({"team": "growth", "tier": "gold"}));
    for (field, value) in entries["daily-report"].as_object().unwrap() {
        if !["labels", "paused"].contains(&field.as_str()) {
            assert_eq!(&shown["entry"][field], value, "{field}");
        }
    }
    assert_eq!(user.json(&["calendars", "show", "cn-holidays"])["all_dates"], serde_json::json!(["2027-01-01"]));
    let again = user.json(&["apply", "-f", "design.json"]);
    assert!(again["changes"].as_array().unwrap().iter().all(|one| one["change"] == "unchanged"), "{again}");
    user.run(&["-n", "other", "apply", "-f", "design.json"]).expect_code(2);
}
