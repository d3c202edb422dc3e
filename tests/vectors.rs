//! The reference fire times and refusals of cron expressions, as in `tests/data`.

#![allow(clippy::unwrap_used)]

use upbeat::domain::cron::Cron;
use upbeat::domain::schedule::{Schedule, When};
use upbeat::domain::timestamp::Timestamp;
use upbeat::domain::zone::{Dst, Zone};

#[derive(serde::Deserialize)]
struct Valid {
    expr: String,
    tz: String,
    from: String,
    next: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Invalid {
    expr: String,
    tz: String,
    reason: String,
}

fn lines<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse("vector", text, None).unwrap()
}

fn schedule(expression: &str, zone: &str) -> upbeat::error::Result<Schedule> {
    let zone = Zone::parse("tz", zone)?;
    let cron = Cron::parse("cron", expression)?;
    let dst = Dst::default();
    Ok(Schedule {
        when: When::Cron(vec![cron]),
        zone,
        start: None,
        end: None,
        anchor: None,
        dst,
        exclude: Default::default(),
    })
}

#[test]
fn every_reference_fire_time_is_met() {
    let vectors: Vec<Valid> = lines(include_str!("data/cron.jsonl"));
    assert_eq!(vectors.len(), 360);
    for vector in vectors {
        let schedule = schedule(&vector.expr, &vector.tz).unwrap();
        let wanted: Vec<Timestamp> = vector.next.iter().map(|next| instant(next)).collect();
        let times: Vec<Timestamp> = schedule.times_after(instant(&vector.from)).take(wanted.len()).collect();
        let shown = |times: &[Timestamp]| times.iter().map(|at| at.to_rfc3339()).collect::<Vec<_>>();
        assert_eq!(shown(&times), shown(&wanted), "{} in {} from {}", vector.expr, vector.tz, vector.from);
        assert!(!schedule.describe().is_empty());
    }
}

#[test]
fn every_reference_refusal_names_the_field_and_says_why() {
    let vectors: Vec<Invalid> = lines(include_str!("data/cron-invalid.jsonl"));
    assert_eq!(vectors.len(), 101);
    for vector in vectors {
        let error =
            schedule(&vector.expr, &vector.tz).expect_err(&format!("{:?} is accepted: {}", vector.expr, vector.reason));
        let problem = error.problem();
        assert_eq!(error.code(), "invalid", "{:?}", vector.expr);
        assert!(matches!(problem.field.as_deref(), Some("cron" | "tz")), "{:?}: {error}", vector.expr);
        assert!(!problem.message.is_empty() && problem.value.is_some(), "{:?}: {error}", vector.expr);
    }
}
