//! The audit after a long random life: people change their minds, nobody claims for hours, and it comes out 0 and 0.

use serde_json::{Value, json};
use upbeat::domain::calendar::Calendar;
use upbeat::domain::id::CalendarName;
use upbeat::domain::ledger::STRETCH_LEN;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::{Error, Result};
use upbeat::service::{AddOptions, BackfillRange, Said};

use crate::audits::{audit, clean, fields, write_ledger};
use crate::bed::{Bed, entry, id, new, object, request};
use crate::pauses::settle;

/// xorshift64*: the same seed walks the same way.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize].clone()
    }
}

struct Walk {
    bed: Bed,
    dice: Dice,
    shift_ms: i64,
}

/// Schedules of every kind.
fn kinds(now: Timestamp) -> Vec<(&'static str, Value)> {
    let at = |ms: i64| Timestamp((now.0 + ms) / 1000 * 1000).to_rfc3339();
    vec![
        ("arithmetic", json!({"every": "1m"})),
        ("backlog", json!({"every": "30s", "catch_up": "all"})),
        ("listed", json!({"cron": ["*/7 * * * *", "2 * * * *"], "tz": "Europe/Berlin"})),
        ("dense", json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin", "catch_up": "none"})),
        ("spread", json!({"every": "2m", "spread": "100s"})),
        ("spread_listed", json!({"cron": ["*/3 * * * *", "*/6 * * * *"], "spread": "2m"})),
        ("rule", json!({"rrule": "FREQ=MINUTELY;INTERVAL=3;BYHOUR=0,1,2,4,5,7,8,9,11,13,15,17,19,20,21,23"})),
        ("limited", json!({"every": "3m", "max_fires": 40})),
        ("limited_listed", json!({"cron": ["*/4 * * * *", "*/5 * * * *"], "max_fires": 60, "spread": "30s"})),
        ("bounded", json!({"every": "1m", "start": at(1_800_000), "end": at(20_000_000)})),
        ("once", json!({"at": at(5_000_000)})),
        ("excluding", json!({"cron": "*/15 * * * *", "exclude": ["cal"], "tz": "Asia/Shanghai"})),
        ("within", json!({"every": "45s", "start_within": "2m"})),
    ]
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let bed = Bed::new().await;
        // Not all of them begin in the same second of a minute.
        let mut walk = Self { bed, dice: Dice(seed * 7_919 + 1), shift_ms: 0 };
        walk.calendar().await.unwrap();
        let now = walk.bed.now().await;
        for (name, when) in kinds(now) {
            walk.bed.add(name, fields(when)).await;
        }
        walk
    }

    fn name(&mut self) -> &'static str {
        let names: Vec<&'static str> = kinds(Timestamp(0)).iter().map(|(name, _)| *name).collect();
        self.dice.one_of(&names)
    }

    async fn pass(&mut self) {
        let ms = self.dice.one_of(&[137, 1_400, 20_000, 61_000, 190_000, 700_000, 4_000_000]);
        self.shift_ms += ms + self.dice.roll(1_000) as i64;
        self.bed.shift(self.shift_ms);
    }

    async fn ago(&mut self) -> Said {
        let now = self.bed.now().await;
        Said::from(Timestamp(now.0 - 1_000 * self.dice.roll(4_000) as i64))
    }

    async fn calendar(&mut self) -> Result<()> {
        let now = self.bed.now().await;
        let days = (0..4).filter(|_| self.dice.roll(2) == 0).map(|day| Timestamp(now.0 + (day - 1) * 86_400_000));
        let mut dates: Vec<String> = days.map(|day| day.to_rfc3339()[..10].to_owned()).collect();
        dates.push("2100-01-01".to_owned());
        let calendar = Calendar::of_list("dates", &json!(dates)).unwrap();
        let name = CalendarName::parse("name", "cal").unwrap();
        self.bed.service.put_calendar(&request(), &name, &calendar).await.map(drop)
    }

    async fn set(&mut self, name: &str) -> Result<()> {
        let dice = &mut self.dice;
        let changes = [
            json!({"note": format!("{}", dice.roll(1_000))}),
            json!({"catch_up": dice.one_of(&["none", "latest", "all"])}),
            json!({"spread": dice.one_of(&["0s", "5s", "20s", "44s"])}),
            json!({"max_fires": 20 + dice.roll(80)}),
            json!({"tz": dice.one_of(&["UTC", "Asia/Kolkata", "Europe/Berlin"])}),
            json!({"exclude": ["cal"]}),
            json!({"every": dice.one_of(&["1m", "90s", "10m"])}),
        ];
        let change = dice.one_of(&changes);
        println!("  {change}");
        self.bed.service.set(&request(), &id(name), object(change), &[]).await.map(drop)
    }

    async fn add(&mut self, name: &str) -> Result<()> {
        let now = self.bed.now().await;
        let when = kinds(now).into_iter().find(|(kind, _)| *kind == name).unwrap().1;
        let from = if self.dice.roll(2) == 0 { Some(self.ago().await) } else { None };
        let options = AddOptions { from, ..new() };
        self.bed.service.add(&request(), id(name), entry(fields(when)), options).await.map(drop)
    }

    async fn step(&mut self) -> Result<()> {
        let name = self.name();
        let ids = [id(name)];
        let service = self.bed.service.clone();
        let verb = self.dice.roll(13);
        println!("{} {name} {verb}", self.bed.now().await.to_rfc3339());
        match verb {
            0..=1 => self.set(name).await,
            2 => service.pause(&request(), &ids).await.map(drop),
            3 => {
                let until = Timestamp(self.bed.now().await.0 + 1_000 * self.dice.roll(3_000) as i64 + 1);
                service.pause_until(&request(), &ids, &Said::from(until)).await.map(drop)
            }
            4 => service.resume(&request(), &ids).await.map(drop),
            5 => {
                let from = self.ago().await;
                service.resume_from(&request(), &ids, &from).await.map(drop)
            }
            6 => service.skip(&request(), &ids[0], None, false).await.map(drop),
            7 => {
                let (from, to) = (self.ago().await, self.ago().await);
                let range = BackfillRange { from, to, is_again: false };
                service.backfill(&request(), &ids[0], &range).await.map(drop)
            }
            8 => service.remove(&request(), &ids).await.map(drop),
            9..=10 => self.add(name).await,
            11 => self.calendar().await,
            _ => {
                // What an eviction takes of its place is rebuilt from what is settled.
                let places = ["due", "parked", "paused"];
                places.iter().for_each(|place| drop(self.bed.redis.cli(&["ZREM", &self.bed.key(0, place), name])));
                self.bed.store().rebuild(0).await.map(drop)
            }
        }
    }
}

/// And it can say no: whatever stretch is lost is noticed.
async fn notices_each_loss(walk: &mut Walk) {
    for (name, _) in kinds(Timestamp(0)) {
        let whole = walk.bed.store().ledger(0, &id(name)).await.unwrap();
        let count = whole.len() / STRETCH_LEN;
        if count == 0 {
            continue;
        }
        let at = 1 + walk.dice.roll(count as u64) as usize * STRETCH_LEN;
        let lost = u64::from(u32::from_be_bytes(whole[at + 12..at + 16].try_into().unwrap()));
        let mut cut = whole.clone();
        cut.drain(at..at + STRETCH_LEN);
        write_ledger(&walk.bed, name, &cut);
        let view = audit(&walk.bed).await;
        assert_eq!((view.numbers.missing, view.numbers.extra), (lost, 0), "{name}: {view:#?}");
        write_ledger(&walk.bed, name, &whole);
    }
}

#[tokio::test]
async fn after_any_life_nothing_is_missing_and_nothing_too_many() {
    // Others by hand: UPBEAT_WALK=100
    let first: u64 = std::env::var("UPBEAT_WALK").ok().and_then(|first| first.parse().ok()).unwrap_or(1);
    for seed in first..first + 3 {
        let mut walk = Walk::new(seed).await;
        for step in 0..40 {
            walk.pass().await;
            if walk.dice.roll(3) > 0 {
                settle(&walk.bed).await;
            }
            match walk.step().await {
                Ok(()) => println!("  done"),
                Err(Error::Invalid(_) | Error::Conflict(_) | Error::NotFound(_)) => {}
                Err(why) => panic!("seed {seed} step {step}: {why}"),
            }
            if step % 10 == 9 {
                println!("seed {seed} step {step}");
                let view = audit(&walk.bed).await;
                for entry in &view.entries {
                    println!(
                        "{:#?} {:#?}",
                        walk.bed.stretches(&entry.id).await,
                        walk.bed.redis.cli(&["HGETALL", &walk.bed.key(0, "revisions")]).replace('\0', "/")
                    );
                    println!("{}", walk.bed.redis.cli(&["HGET", &walk.bed.key(0, "entries"), &entry.id]));
                }
                clean(&view);
            }
        }
        settle(&walk.bed).await;
        let view = audit(&walk.bed).await;
        assert!(clean(&view) > 500, "{view:?}");
        notices_each_loss(&mut walk).await;
        // Forty days later, without the one that has half a million fire times in them.
        let _ = walk.bed.service.remove(&request(), &[id("dense")]).await;
        for days in (1..=41).step_by(5) {
            walk.bed.shift(walk.shift_ms + days * 86_400_000);
            settle(&walk.bed).await;
            if days < 36 {
                continue;
            }
            let before = clean(&audit(&walk.bed).await);
            walk.bed.store().age(0).await.unwrap();
            assert!(clean(&audit(&walk.bed).await).abs_diff(before) <= 2, "seed {seed}");
        }
    }
}
