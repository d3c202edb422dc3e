//! Which dates a file stands for, and what is refused.

use super::*;

fn dates(name: &str, file: &str) -> String {
    let calendar = Calendar::read(name, file).unwrap();
    calendar.dates().iter().map(NaiveDate::to_string).collect::<Vec<_>>().join(" ")
}

fn ical(event: &str) -> String {
    let event = event.trim().lines().collect::<Vec<_>>().join("\r\n");
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

fn refusal(name: &str, file: &str) -> String {
    let error = Calendar::read(name, file).unwrap_err();
    let line = error.problem().place.as_ref().and_then(|place| place.line).unwrap_or(0);
    format!("{line}: {error}; {}", error.problem().hint.clone().unwrap_or_default())
}

#[test]
fn a_list_may_be_lines_json_or_toml() {
    let wanted = "2026-12-25 2027-01-01";
    assert_eq!(dates("-", "# holidays\n2027-01-01  # new year\r\n\n2026-12-25\n2027-01-01\n"), wanted);
    assert_eq!(dates("-", "[\"2026-12-25\", \"2027-01-01\"]"), wanted);
    assert_eq!(dates("a.json", "{\"dates\": [\"2026-12-25\", \"2027-01-01\"]}"), wanted);
    assert_eq!(dates("a.toml", "# x\ndates = [2026-12-25, \"2027-01-01\"]"), wanted);
    assert_eq!(dates("-", "dates = [\"2026-12-25\", \"2027-01-01\"]"), wanted);
}

#[test]
fn an_all_day_event_lasts_up_to_the_day_before_its_end() {
    assert_eq!(
        dates("a.ics", &ical("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227")),
        "2026-12-24 2026-12-25 2026-12-26"
    );
    assert_eq!(dates("a.ics", &ical("DTSTART;VALUE=DATE:20261224\nSUMMARY:Eve, and\n : more")), "2026-12-24");
    assert_eq!(dates("a.ics", &ical("DTSTART:20261224\nDURATION:P2D")), "2026-12-24 2026-12-25");
}

#[test]
fn an_event_with_times_counts_with_each_date_that_it_touches() {
    let timed =
        |end: &str| ical(&format!("DTSTART;TZID=Europe/Berlin:20261224T220000\nDTEND;TZID=Europe/Berlin:{end}"));
    assert_eq!(dates("a.ics", &timed("20261225T010000")), "2026-12-24 2026-12-25");
    assert_eq!(dates("a.ics", &timed("20261225T000000")), "2026-12-24", "it ended at midnight");
    assert_eq!(dates("a.ics", &ical("DTSTART:20261224T235959Z")), "2026-12-24");
}

#[test]
fn repeated_events_count_with_all_their_dates_but_those_taken_out() {
    let yearly =
        "DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE;VALUE=DATE:20271225\nRDATE;VALUE=DATE:20270704";
    assert_eq!(dates("a.ics", &ical(yearly)), "2026-12-25 2027-07-04 2028-12-25");
    let meeting =
        "DTSTART;TZID=America/New_York:20270301T230000\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;UNTIL=20270309T040000Z";
    assert_eq!(dates("a.ics", &ical(meeting)), "2027-03-01 2027-03-02 2027-03-08 2027-03-09");
    let endless = dates("a.ics", &ical("DTSTART:20270101\nRRULE:FREQ=YEARLY"));
    assert!(endless.ends_with("2100-01-01") && endless.split(' ').count() == 74);
    assert_eq!(
        dates("a.ics", &ical("DTSTART:20261224\nEND:VEVENT\nBEGIN:VEVENT\nDTSTART:20261231\nSTATUS:CANCELLED")),
        "2026-12-24"
    );
    let alarm = "DTSTART:20261224\nBEGIN:VALARM\nDTSTART:20261231\nDURATION:PT15M\nEND:VALARM";
    assert_eq!(dates("a.ics", &ical(alarm)), "2026-12-24", "an alarm is no event");
}

#[test]
fn what_is_no_calendar_is_refused_by_its_line() {
    for (file, words) in [
        ("2026-12-25\n25.12.2026", "2: \"25.12.2026\" is no date"),
        ("2026-02-30", "1: \"2026-02-30\" is no date"),
        ("# nothing", "holds no dates"),
        ("[\"2026-12-25\", 7]", "7 is not a text"),
        ("{\"dates\": \"x\"}", "is no list of dates"),
        (&ical("SUMMARY:x"), "3: the event has no DTSTART"),
        (&ical("DTSTART:2026-12-25"), "4: DTSTART: \"2026-12-25\" is no date"),
        (&ical("DTSTART:20261225\nDTEND:20261224"), "5: DTEND is before DTSTART"),
        (&ical("DTSTART:20261225\nDURATION:1 day"), "5: DURATION"),
        (&ical("DTSTART:20261225\nRRULE:FREQ=DAYLY"), "5: RRULE: FREQ: DAYLY is not one of"),
        (&ical("DTSTART:20261225\nRECURRENCE-ID:20261225"), "5: RECURRENCE-ID"),
        (&ical("DTSTART:20261225\nRRULE:FREQ=DAILY"), "more than 10000 dates; end rules without end with UNTIL"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\n", "END:VEVENT is missing"),
        ("BEGIN:VCALENDAR\nEND:VEVENT\n", "2: END:VEVENT has no BEGIN"),
        ("BEGIN:VCALENDAR\nrubbish\n", "2: \"rubbish\" is not NAME:VALUE"),
    ] {
        assert!(refusal("a", file).contains(words), "{file}: {}", refusal("a", file));
    }
    let many: String = (0..2_000_000).map(|_| 'x').collect();
    assert!(refusal("a", &many).contains("are the most"));
}

#[test]
fn an_unknown_name_is_answered_with_the_names_that_exist() {
    let mut calendars = Calendars::default();
    let name = |text: &str| CalendarName::parse("name", text).unwrap();
    let hint = |calendars: &Calendars| calendars.unknown("exclude", &name("holidys")).problem().hint.clone().unwrap();
    assert!(hint(&calendars).contains("upbeat calendars put holidys"));
    let dates = Calendar::read("-", "2026-12-25").unwrap();
    let stored = StoredCalendar { v: 1, revision: 1, at: Timestamp(0), actor: "a".into(), reason: None, dates };
    let text = serde_json::to_string(&stored).unwrap();
    assert_eq!(serde_json::from_str::<StoredCalendar>(&text).unwrap(), stored);
    calendars.0.insert(name("xyz"), stored.clone());
    assert!(hint(&calendars).contains("there are xyz"));
    calendars.0.insert(name("holidays"), stored);
    assert_eq!(hint(&calendars), "did you mean holidays?");
}
