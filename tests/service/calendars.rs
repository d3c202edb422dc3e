//! Excluded dates, calendars that change under entries, and recurrence rules, by the shard's own clock.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use upbeat::domain::calendar::Calendar;
use upbeat::domain::entry::Entry;
use upbeat::domain::id::CalendarName;
use upbeat::domain::ledger::Stretch;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Error;
use upbeat::service::{CalendarChange, Select};
use upbeat::store::{CALENDAR_VERSION, CalendarAnswer, CalendarCall, Place, Planned};

use crate::bed::{Bed, dry, file, id, named, owned_by, request, words};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn name(text: &str) -> CalendarName {
    CalendarName::parse("calendar", text).unwrap()
}

/// The UTC date so many days after an instant.
fn day(at: Timestamp, days: u64) -> NaiveDate {
    at.to_utc().date_naive() + Days::new(days)
}

fn calendar(dates: &[NaiveDate]) -> Calendar {
    let dates: Vec<String> = dates.iter().map(NaiveDate::to_string).collect();
    Calendar::of_list("dates", &json!(dates)).unwrap()
}

async fn put(bed: &Bed, called: &str, dates: &[NaiveDate]) -> CalendarChange {
    bed.service.put_calendar(&request(), &name(called), &calendar(dates)).await.unwrap()
}

fn six_hourly(exclude: &Value) -> Value {
    json!({"every": "6h", "start": "2026-01-01", "exec": ["true"], "overlap": "allow", "exclude": exclude})
}

/// The entry with the dates of its calendars as they stand now.
async fn resolved(bed: &Bed, called: &str) -> Entry {
    bed.service.entry(&id(called)).await.unwrap().1
}

/// Lets time pass hour by hour, from one length to another, and does what nodes do.
async fn play(bed: &Bed, from_ms: i64, to_ms: i64) {
    let mut at = from_ms;
    while at < to_ms {
        at = (at + HOUR_MS).min(to_ms);
        bed.shift(at);
        for shard in bed.store().shards() {
            for id in bed.claim(shard).await.to_plan {
                let now = bed.now().await;
                let id = upbeat::domain::id::EntryId::parse("entry", &id).unwrap();
                assert!(!matches!(bed.store().plan(&id, now).await.unwrap(), Planned::Unreadable(_)));
            }
        }
    }
}

/// What the ledger says of fire times: how many, and their sum.
fn settled(stretches: &[Stretch]) -> (u64, u64) {
    let sum = stretches.iter().fold(0, |sum, one| (sum + one.sum) % (1 << 52));
    (stretches.iter().map(|one| one.count).sum(), sum)
}

fn expected(times: &[Timestamp]) -> (u64, u64) {
    (times.len() as u64, times.iter().fold(0, |sum, time| (sum + time.0.cast_unsigned()) % (1 << 52)))
}

fn between(entry: &Entry, after: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    entry.schedule.times_after(after).take_while(|time| *time <= to).collect()
}

#[tokio::test]
async fn an_excluded_date_has_no_fire_times_and_no_records() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    let gone = day(begun, 1);
    bed.add("a", six_hourly(&json!([gone.to_string()]))).await;
    let created = bed.definition("a").await.created;
    play(&bed, 0, 3 * DAY_MS).await;
    let stretches = bed.stretches("a").await;
    let times = between(&resolved(&bed, "a").await, created, bed.now().await);
    assert!((8..=9).contains(&times.len()) && times.iter().all(|time| day(*time, 0) != gone), "{times:?}");
    assert_eq!(settled(&stretches), expected(&times));
    assert_eq!(bed.waiting("default:exec").len(), times.len(), "each of them, and nothing else, is a run");
    bed.is_conserved();
}

#[tokio::test]
async fn entries_follow_a_calendar_that_changes_and_no_fire_time_is_lost_or_doubled() {
    let bed = Bed::with_shards(3).await;
    let begun = bed.now().await;
    put(&bed, "cal", &[day(begun, 1)]).await;
    for number in 0..6 {
        bed.add(&format!("e-{number}"), six_hourly(&json!(["cal"]))).await;
    }
    bed.add("other", six_hourly(&json!(["2026-01-01"]))).await;
    let old = resolved(&bed, "e-0").await;
    let created = bed.definition("e-0").await.created;
    play(&bed, 0, DAY_MS * 5 / 2).await;
    // Two fire times are overdue when the calendar changes: they end by the old dates.
    bed.shift(DAY_MS * 5 / 2 + 12 * HOUR_MS + 60_000);
    let changed = put(&bed, "cal", &[day(begun, 3), day(begun, 4)]).await;
    assert_eq!((changed.change, changed.revision, changed.entries.len()), ("changed", 2, 6));
    let change_at = bed.now().await;
    play(&bed, DAY_MS * 3 + HOUR_MS, DAY_MS * 6).await;
    let new = resolved(&bed, "e-0").await;
    let mut times = between(&old, created, change_at);
    times.extend(between(&new, change_at, bed.now().await));
    let free = |time: &Timestamp| ![day(begun, 3), day(begun, 4)].contains(&day(*time, 0)) || *time <= change_at;
    assert!(times.iter().all(free) && times.iter().any(|time| day(*time, 0) >= day(begun, 5)), "{times:?}");
    for number in 0..6 {
        let called = format!("e-{number}");
        let stretches = bed.stretches(&called).await;
        assert_eq!(settled(&stretches), expected(&times), "{called}: {stretches:?}");
        let of_old = stretches.iter().filter(|one| one.revision == 1).map(|one| one.count).sum::<u64>();
        assert_eq!(of_old, between(&old, created, change_at).len() as u64, "what was overdue is of the old revision");
        let definition = bed.definition(&called).await;
        assert_eq!((definition.revision, definition.calendars["cal"]), (2, 2));
        assert_eq!(definition.reason.as_deref(), Some("calendar cal is at revision 2"));
    }
    assert_eq!(bed.definition("other").await.revision, 1);
    bed.is_conserved();
}

#[tokio::test]
async fn a_node_that_plans_further_takes_the_dates_as_they_stand() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    put(&bed, "cal", &[day(begun, 40)]).await;
    bed.add("a", six_hourly(&json!("cal"))).await;
    // As if whoever changed the calendar had died before the entries followed.
    let stands = bed.store().all_calendars().await.unwrap().0.remove(&name("cal")).unwrap();
    let new = upbeat::domain::calendar::StoredCalendar {
        v: CALENDAR_VERSION,
        revision: 2,
        dates: calendar(&[day(begun, 9)]),
        ..stands
    };
    let called = name("cal");
    let (actor, reason) = ("ana", None);
    let call =
        CalendarCall { request: "r", content: "c", name: &called, revision: 1, calendar: Some(&new), actor, reason };
    assert_eq!(bed.store().put_calendar(&call).await.unwrap(), CalendarAnswer::Done { revision: 2, is_new: false });
    let created = bed.definition("a").await.created;
    play(&bed, 0, 12 * DAY_MS).await;
    let times = between(&resolved(&bed, "a").await, created, bed.now().await);
    assert!(times.iter().all(|time| day(*time, 0) != day(begun, 9)));
    assert_eq!(settled(&bed.stretches("a").await), expected(&times), "the list of the first dates had long run dry");
    // Asked for once more, it stands as it is asked for, and who did not follow does.
    let again = bed.service.put_calendar(&request(), &called, &calendar(&[day(begun, 9)])).await.unwrap();
    assert_eq!((again.change, again.revision, again.entries.len()), ("unchanged", 2, 1));
    assert_eq!(bed.definition("a").await.calendars["cal"], 2);
    let again = bed.service.put_calendar(&request(), &called, &calendar(&[day(begun, 9)])).await.unwrap();
    assert_eq!(again.entries, []);
}

#[tokio::test]
async fn a_paused_entry_follows_and_stays_paused_and_a_finished_one_comes_back() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    put(&bed, "cal", &[day(begun, 1), day(begun, 2)]).await;
    let at = Timestamp(begun.0 + DAY_MS).to_rfc3339();
    let added = bed.add("once", json!({"at": at, "exec": ["true"], "exclude": ["cal"]})).await;
    assert_eq!(added.warnings[0], format!("once: at {at} lies on a date that is excluded: it is stored finished"));
    assert_eq!(bed.store().entry(&id("once")).await.unwrap().unwrap().place, Some(Place::Finished));
    bed.add("paused", six_hourly(&json!(["cal"]))).await;
    bed.pause("paused").await;
    put(&bed, "cal", &[day(begun, 2)]).await;
    let stored = bed.store().entry(&id("once")).await.unwrap().unwrap();
    assert_eq!((stored.place, stored.next_fire_at()), (Some(Place::Due), Some(Timestamp(begun.0 + DAY_MS))));
    let stored = bed.store().entry(&id("paused")).await.unwrap().unwrap();
    assert_eq!((stored.place, stored.definition.unwrap().calendars["cal"]), (Some(Place::Paused), 2));
    bed.shift(2 * DAY_MS);
    bed.resume("paused").await;
    let entry = resolved(&bed, "paused").await;
    let next = bed.store().entry(&id("paused")).await.unwrap().unwrap().next_fire_at().unwrap();
    assert_eq!(entry.schedule.next_after(bed.now().await), Some(next));
    bed.is_conserved();
}

#[tokio::test]
async fn an_unknown_calendar_is_refused_with_those_that_exist() {
    let bed = Bed::new().await;
    let refused = bed.try_add("a", six_hourly(&json!(["holidays"]))).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid(problem) if problem.field.as_deref() == Some("exclude")), "{refused}");
    assert!(refused.problem().hint.as_deref().unwrap().contains("upbeat calendars put holidays"));
    put(&bed, "hollidays", &[day(bed.now().await, 1)]).await;
    let refused = bed.try_add("a", six_hourly(&json!(["holidays"]))).await.unwrap_err();
    assert_eq!(refused.problem().hint.as_deref(), Some("did you mean hollidays?"));
    bed.add("a", six_hourly(&json!(["hollidays"]))).await;
    let fields = json!({"exclude": ["x"]});
    let refused = bed.service.set(&request(), &id("a"), crate::bed::object(fields), &[]).await.unwrap_err();
    assert!(refused.to_string().contains("no calendar is called x"), "{refused}");
    assert_eq!(bed.definition("a").await.revision, 1);
    let text =
        "[entries.b]\nevery = '1h'\nexec = ['true']\nexclude = ['x']\n[entries.c]\nevery = '1h'\nexec = ['true']\n";
    let refused = bed.service.apply(&request(), file(text), owned_by("o")).await.unwrap_err();
    assert_eq!(refused.problem().field.as_deref(), Some("entries.b.exclude"));
    assert!(bed.store().entry(&id("c")).await.unwrap().is_none(), "nothing was written");
}

#[tokio::test]
async fn a_calendar_that_entries_name_stays_until_none_does() {
    let bed = Bed::with_shards(2).await;
    put(&bed, "cal", &[day(bed.now().await, 1)]).await;
    for number in 0..7 {
        bed.add(&format!("e-{number}"), six_hourly(&json!(["cal"]))).await;
    }
    let refused = bed.service.remove_calendar(&request(), &name("cal")).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict(_)), "{refused}");
    assert!(refused.to_string().contains("cal is excluded by e-0, e-1, e-2, e-3, e-4 and 2 more"), "{refused}");
    for number in 0..7 {
        bed.service
            .set(&request(), &id(&format!("e-{number}")), Default::default(), &["exclude".into()])
            .await
            .unwrap();
    }
    let asked = named("rm-1");
    assert_eq!(bed.service.remove_calendar(&dry(), &name("cal")).await.unwrap().change, "removed");
    assert_eq!(bed.service.calendars().await.unwrap().len(), 1, "it was a dry run");
    for _ in 0..2 {
        let removed = bed.service.remove_calendar(&asked, &name("cal")).await.unwrap();
        assert_eq!((removed.change, removed.revision), ("removed", 1), "also asked again");
    }
    let gone = bed.service.remove_calendar(&request(), &name("cal")).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone}");
    assert!(matches!(bed.service.calendar(&name("cal")).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn the_same_request_writes_a_calendar_once_and_another_content_is_refused() {
    let bed = Bed::new().await;
    let days = [day(bed.now().await, 1), day(bed.now().await, 2)];
    let asked = named("put-1");
    for _ in 0..2 {
        let put = bed.service.put_calendar(&asked, &name("cal"), &calendar(&days[..1])).await.unwrap();
        assert_eq!((put.change, put.revision), ("added", 1));
    }
    let other = bed.service.put_calendar(&asked, &name("cal"), &calendar(&days)).await.unwrap_err();
    assert!(other.to_string().contains("put-1 was used for another request"), "{other}");
    let dry = bed.service.put_calendar(&dry(), &name("cal"), &calendar(&days)).await.unwrap();
    assert_eq!((dry.change, dry.revision), ("changed", 2));
    let view = &bed.service.calendars().await.unwrap()[0];
    assert_eq!((view.revision, view.dates, view.actor.as_str()), (1, 1, "ana"));
}

#[tokio::test]
async fn an_entry_whose_calendar_is_gone_waits_and_loses_nothing() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    put(&bed, "cal", &[day(begun, 2)]).await;
    bed.add("a", six_hourly(&json!(["cal"]))).await;
    let created = bed.definition("a").await.created;
    bed.redis.cli(&["DEL", &bed.key(0, "calendars")]);
    bed.shift(7 * DAY_MS);
    bed.claim(0).await;
    assert_eq!(bed.count("ZCARD", 0, "parked"), 1);
    let planned = bed.store().plan(&id("a"), bed.now().await).await.unwrap();
    assert!(
        matches!(&planned, Planned::Unreadable(why) if why.to_string().contains("no calendar is called cal")),
        "{planned:?}"
    );
    put(&bed, "cal", &[day(begun, 2)]).await;
    play(&bed, 7 * DAY_MS, 7 * DAY_MS + 2 * HOUR_MS).await;
    let times = between(&resolved(&bed, "a").await, created, bed.now().await);
    assert_eq!(settled(&bed.stretches("a").await), expected(&times));
    bed.is_conserved();
}

#[tokio::test]
async fn a_file_brings_its_calendars_and_export_gives_them_back() {
    let bed = Bed::new().await;
    let tomorrow = day(bed.now().await, 1);
    let text = format!(
        "[calendars.\"cn.holidays\"]\ndates = [\"{tomorrow}\"]\n\n[entries.a]\nevery = '6h'\nexec = ['true']\nexclude = ['cn.holidays']\n"
    );
    let asked = bed.service.apply(&dry(), file(&text), owned_by("o")).await.unwrap();
    assert_eq!((words(&asked), asked.calendars[0].change), (vec!["added"], "added"));
    assert!(
        bed.service.calendars().await.unwrap().is_empty()
            && bed.service.list(&Default::default()).await.unwrap().is_empty()
    );
    let done = bed.service.apply(&request(), file(&text), owned_by("o")).await.unwrap();
    assert_eq!((words(&done), done.calendars[0].change), (vec!["added"], "added"));
    assert_eq!(bed.definition("a").await.calendars["cn.holidays"], 1);
    let again = bed.service.apply(&request(), file(&text), owned_by("o")).await.unwrap();
    assert_eq!((words(&again), again.calendars[0].change), (vec!["unchanged"], "unchanged"));
    let exported = bed.service.export(&Select::Ids(vec![id("a")])).await.unwrap().file;
    assert_eq!(file(&exported.to_toml()), exported);
    let again = bed.service.apply(&request(), file(&exported.to_toml()), owned_by("o")).await.unwrap();
    assert_eq!((words(&again), again.calendars[0].change), (vec!["unchanged"], "unchanged"));
    let json = exported.to_json().to_string();
    assert_eq!(upbeat::domain::file::ScheduleFile::parse("a.json", &json).unwrap(), exported);
}

#[tokio::test]
async fn a_rule_begins_when_its_entry_is_created_and_keeps_that_when_it_changes() {
    let bed = Bed::new().await;
    bed.add(
        "a",
        json!({"rrule": "FREQ=HOURLY;INTERVAL=5", "tz": "Europe/Berlin", "exec": ["true"], "overlap": "allow"}),
    )
    .await;
    let first = bed.definition("a").await;
    let anchor = first.entry["anchor"].as_str().unwrap().to_owned();
    let begun = Timestamp::parse("anchor", &anchor, None).unwrap();
    // The anchor is the shard's time when the entry was made, cut to a second; `created` is that of the step that wrote it.
    assert!(
        begun.0 % 1000 == 0 && (0..60_000).contains(&(first.created.0 - begun.0)),
        "{anchor} {}",
        first.created.to_rfc3339()
    );
    let next = bed.store().entry(&id("a")).await.unwrap().unwrap().next_fire_at();
    assert_eq!(next, Some(Timestamp(begun.0 + 5 * HOUR_MS)));
    play(&bed, 0, 3 * DAY_MS).await;
    let times = between(&resolved(&bed, "a").await, first.created, bed.now().await);
    assert_eq!(times.len(), 14);
    assert_eq!(settled(&bed.stretches("a").await), expected(&times));
    bed.set("a", json!({"rrule": "FREQ=DAILY;INTERVAL=2"})).await;
    assert_eq!(bed.definition("a").await.entry["anchor"], json!(anchor));
    bed.set("a", json!({"start": "2027-01-01T09:00"})).await;
    assert_eq!(bed.definition("a").await.entry.get("anchor"), None);
    let berlin = Timestamp::parse("at", "2027-01-01T08:00:00Z", None).unwrap();
    assert_eq!(bed.store().entry(&id("a")).await.unwrap().unwrap().next_fire_at(), Some(berlin), "DTSTART is start");
    bed.set("a", json!({"every": "1h"})).await;
    assert_eq!(bed.definition("a").await.entry.get("anchor"), None, "start still says where it begins");
    bed.is_conserved();
}

#[tokio::test]
async fn a_rule_that_has_ended_leaves_its_entry_finished() {
    let bed = Bed::new().await;
    let rule = json!({"rrule": "FREQ=HOURLY;COUNT=3", "exec": ["true"], "overlap": "allow"});
    let added = bed.add("a", rule).await;
    assert!(!added.warnings.iter().any(|warning| warning.contains("finished")), "{:?}", added.warnings);
    play(&bed, 0, 4 * HOUR_MS).await;
    assert_eq!(bed.store().entry(&id("a")).await.unwrap().unwrap().place, Some(Place::Finished));
    assert_eq!(settled(&bed.stretches("a").await).0, 2, "the first of the three was the beginning itself");
}

#[tokio::test]
async fn of_an_entry_with_a_limit_no_more_times_are_shown_than_are_left() {
    let bed = Bed::new().await;
    bed.add("a", six_hourly(&json!([]))).await;
    let mut entry = resolved(&bed, "a").await;
    let begun = bed.now().await;
    let upcoming = async |entry: &Entry| bed.service.upcoming(&id("a"), entry, begun, 5).await.unwrap().len();
    assert_eq!(upcoming(&entry).await, 5);
    entry.max_fires = Some(3);
    assert_eq!(upcoming(&entry).await, 3);
    bed.redis.cli(&["HSET", &bed.key(0, "fires"), "a", "2"]);
    assert_eq!((bed.store().fires_of(&id("a")).await.unwrap(), upcoming(&entry).await), (2, 1));
    bed.redis.cli(&["HSET", &bed.key(0, "fires"), "a", "4"]);
    assert_eq!(upcoming(&entry).await, 0);
}

#[tokio::test]
async fn an_entry_that_is_added_while_its_calendar_changes_follows_it() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    put(&bed, "cal", &[day(begun, 1)]).await;
    for round in 0..40 {
        let called = format!("e-{round}");
        let new = calendar(&[day(begun, 2 + round)]);
        let (asked, wanted) = (request(), name("cal"));
        let change = async {
            // Each round begins at another place of the other's way.
            for _ in 0..round % 8 {
                bed.now().await;
            }
            bed.service.put_calendar(&asked, &wanted, &new).await.unwrap()
        };
        let (_, changed) = tokio::join!(bed.add(&called, six_hourly(&json!(["cal"]))), change);
        assert_eq!(bed.definition(&called).await.calendars["cal"], changed.revision, "round {round}");
    }
}

#[tokio::test]
async fn a_calendar_can_be_written_while_an_entry_misses_another_one() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    for called in ["cal", "lost"] {
        put(&bed, called, &[day(begun, 1)]).await;
    }
    bed.add("both", six_hourly(&json!(["cal", "lost"]))).await;
    bed.add("one", six_hourly(&json!(["cal"]))).await;
    bed.redis.cli(&["HDEL", &bed.key(0, "calendars"), "lost"]);
    let changed = put(&bed, "cal", &[day(begun, 2)]).await;
    assert_eq!(changed.entries.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["one"]);
    let listed = bed.service.list(&Default::default()).await.unwrap();
    assert!(listed[0].status == "broken" && listed[0].warnings[0].contains("no calendar is called lost"), "{listed:?}");
    put(&bed, "lost", &[day(begun, 3)]).await;
    put(&bed, "cal", &[day(begun, 2)]).await;
    assert_eq!(bed.definition("both").await.calendars["cal"], 2);
}

#[tokio::test]
async fn plans_that_other_zone_data_asks_for_leave_the_dates_of_calendars_out_too() {
    let bed = Bed::new().await;
    let begun = bed.now().await;
    put(&bed, "cal", &[day(begun, 1)]).await;
    bed.add(
        "a",
        json!({"cron": "0 */6 * * *", "tz": "Europe/Berlin", "exec": ["true"], "overlap": "allow", "exclude": ["cal"]}),
    )
    .await;
    let created = bed.definition("a").await.created;
    let planned = bed.store().plan_anew(&id("a"), bed.now().await).await.unwrap();
    assert!(matches!(planned, Planned::Written | Planned::Unchanged), "{planned:?}");
    assert_eq!(bed.store().walk_zones(0, || begun).await.unwrap().planned, 0, "the fire times stay");
    play(&bed, 0, 4 * DAY_MS).await;
    let entry = resolved(&bed, "a").await;
    let times = between(&entry, created, bed.now().await);
    let gone = |time: &Timestamp| entry.schedule.zone.to_local(*time).date() == day(begun, 1);
    assert!(times.len() >= 11 && !times.iter().any(gone), "{times:?}");
    assert_eq!(settled(&bed.stretches("a").await), expected(&times));
}
