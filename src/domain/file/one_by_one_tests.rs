//! Entry by entry a JSON file is what it is as a whole.

use super::*;

fn entry(n: usize) -> String {
    format!("\"e{n}\": {{\"every\": \"{n}s\", \"exec\": [\"a\"], \"payload\": 1.50}}")
}

fn read_one_by_one(text: &str) -> Option<ScheduleFile<PackedEntry>> {
    read(text, PackedEntry::with_entry, &|_| ())
}

#[test]
fn entry_by_entry_it_is_what_it_is_as_a_whole() {
    let entries: Vec<String> = (1..40).map(entry).collect();
    let entries = entries.join(",");
    for text in [
        format!("{{\"owner\": \"x\", \"entries\": {{{entries}}}, \"defaults\": {{\"tz\": \"Asia/Tokyo\"}}}}"),
        format!("{{\"entries\": {{{entries}}}, \"queues\": {{\"q\": {{\"max_running\": 1}}}}}}"),
        "{\"owner\": \"x\"}".to_owned(),
    ] {
        assert_eq!(read_one_by_one(&text), Some(ScheduleFile::parse("x.json", &text).expect("it is valid").packed()));
    }
}

#[test]
fn where_anything_is_wrong_it_is_read_whole() {
    let entries: Vec<String> = (1..40).map(entry).collect();
    let entries = entries.join(",");
    for text in [
        format!("{{\"entries\": {{{entries}, {}}}}}", entry(3)),
        format!("{{\"entries\": {{{entries}}}, \"entries\": {{}}}}"),
        format!("{{\"entries\": {{{entries}, \"bad\": {{\"every\": 5, \"exec\": \"x\"}}}}}}"),
        format!("{{\"entries\": {{{entries}, \"b\": {{\"note\": \"x\", \"note\": \"x\"}}}}}}"),
        format!("{{\"entries\": {{{entries}, \"b\": 7}}}}"),
        format!("{{\"entries\": {{{entries}}}, \"owner\": 7}}"),
        format!("{{\"entries\": {{{entries}}}, \"queues\": {{\"q\": {{}}, \"q\": {{}}}}}}"),
        format!("{{\"entries\": {{{entries}}}}} x"),
        "{\"entries\": 3}".to_owned(),
        "[]".to_owned(),
        "{\"owner\": \"a\", \"owner\": \"b\"}".to_owned(),
    ] {
        assert_eq!(read_one_by_one(&text), None, "{text}");
        assert!(ScheduleFile::parse("x.json", &text).is_err(), "{text}");
    }
}
