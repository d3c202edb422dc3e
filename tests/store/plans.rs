//! Packed plans: what Rust packs, scripts read, and what versions before have left in Redis.

use serde_json::{Value, json};
use upbeat::domain::plan::PLAN_VERSION;
use upbeat::domain::plan::packed::{Extras, Packed, Times};
use upbeat::domain::record::scheduled_run_id;
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::Place;

use super::model::Dice;
use crate::support::entries::id;
use crate::support::hand::{Hand, World};
use crate::support::redis::RedisServer;
use crate::support::resp::Reply;

const HOUR: i64 = 3_600_000;
const SUFFIX: &str = "abc-8def-0123456789ab";
const LISTS: [&str; 6] = ["", "default:exec", "default:shell", "default:http", "reports:exec", "q:sql"];

/// What the scripts' own functions say of a plan, asked at each of some instants.
const ASK: &str = concat!(
    "local now, LOW = 0, 2\n",
    include_str!("../../src/lua/parts/words.lua"),
    "\n",
    include_str!("../../src/lua/parts/plan.lua"),
    "
    local text = string.gsub(ARGV[1], '..', function(hex) return string.char(tonumber(hex, 16)) end)
    local function hex(text) return (string.gsub(text, '.', function(c) return string.format('%02x', byte(c)) end)) end
    local function flat(fire_at)
      local form, rules, code, suffix, revision, base = unpack_text(USUAL, text)
      local shape = shape_of(text, rules, code)
      local at = shape[S_AT]
      if at > PLAN_REST then base = unpack_text('>I6', text, at) end
      local t, is_low = next_after(text, form, at, base, shape[S_STOP], fire_at)
      return t == nil and 'over' or not t and 'look' or string.format('%.0f %s', t, tostring(is_low))
    end
    local p, why = read_plan(text)
    if not p then return { why } end
    local answers = {}
    for i = 2, #ARGV do
      local t, left = time_after(p, tonumber(ARGV[i]))
      answers[i * 2 - 3] = t and string.format('%.0f %d', t, left) or left
      answers[i * 2 - 2] = byte(text) == VERSION and flat(tonumber(ARGV[i])) or ''
    end
    return { 'plan', table.concat({ p[P_SUFFIX], p[P_BIRTH], p[P_REVISION], p[P_OVERLAP], p[P_CATCH_UP], p[P_LIST], hex(p[P_TAIL]),
      p[P_MAX_RUNS], p[P_PER_MINUTE], p[P_STOP], p[P_DELAY], p[P_MAX_FIRES], p[P_MAX_RUNNING], p[P_START_WITHIN], p[P_KEEP],
      tostring(p[P_IS_FINAL]), tostring(p[P_IS_DIRECT]), tostring(p[P_NEEDS_MARKS]),
      not p[P_IS_ARITHMETIC] and p[P_PHASE] > 0 and list_end(p) or 0 }, ' '), answers }
    "
);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn be(number: i64, bytes: usize) -> Vec<u8> {
    number.to_be_bytes()[8 - bytes..].to_vec()
}

/// As version 4 packed it: 6 bytes of the first time, the others as distances from it in minutes, seconds, or as they are.
fn packed_4(plan: &Packed) -> Vec<u8> {
    let (kind, first, others, since) = match &plan.times {
        Times::Arithmetic { phase, period } => (1, *phase, vec![*period], 0),
        Times::Listed(listed) if listed.is_empty() => (3, 0, Vec::new(), 0),
        Times::Listed(listed) => (2, listed[0], listed[1..].to_vec(), listed[0]),
    };
    let units = [(2, 60_000), (3, 1_000)];
    let fits = |(bytes, unit): &(usize, i64)| {
        others.iter().all(|ms| (ms - since) % unit == 0 && (1..1 << (8 * bytes)).contains(&((ms - since) / unit)))
    };
    let unit = units.iter().position(fits).unwrap_or(2);
    let is_wide = plan.extras != Extras::default();
    let code = LISTS[..4].iter().position(|name| *name == plan.list);
    let mut text = vec![4, kind | (unit as u8 * 4) | (plan.catch_up * 16) | (u8::from(plan.is_final) * 128)];
    text.extend([plan.flags | (plan.overlap * 16) | (u8::from(is_wide) * 128), code.map_or(0, |code| code as u8 + 1)]);
    text.extend(format!("-8{}", plan.suffix).as_bytes());
    text.extend([plan.birth.to_be_bytes(), plan.revision.to_be_bytes()].concat());
    if is_wide {
        let it = plan.extras;
        text.extend([be(it.max_runs.into(), 2), be(it.per_minute.into(), 2), be(it.stop, 6), be(it.delay, 6)].concat());
        text.extend([be(it.max_fires.into(), 4), be(it.max_running.into(), 2)].concat());
        text.extend([be(it.start_within, 6), be(it.keep.into(), 2)].concat());
    }
    if code.is_none() {
        text.push(plan.list.len() as u8);
        text.extend(plan.list.as_bytes());
    }
    text.extend(be(first, 6));
    for ms in &others {
        text.extend(units.get(unit).map_or(be(*ms, 6), |(bytes, unit)| be((ms - since) / unit, *bytes)));
    }
    text
}

/// As version 3 packed it: all of it, and each time in 6 bytes.
fn packed_3(plan: &Packed) -> Vec<u8> {
    let it = plan.extras;
    let (kind, phase, period, listed) = match &plan.times {
        Times::Arithmetic { phase, period } => (1, *phase, *period, &[][..]),
        Times::Listed(listed) => (2, listed.len() as i64, 0, &listed[..]),
    };
    let mut text = vec![3, kind | (u8::from(plan.is_final) * 128), plan.overlap, plan.catch_up];
    text.extend([be(it.max_runs.into(), 2), be(it.per_minute.into(), 2), be(0, 4), be(it.stop, 6)].concat());
    text.extend([be(phase, 6), be(period, 6), be(it.delay, 6), be(it.max_fires.into(), 4)].concat());
    text.extend(be(it.max_running.into(), 2));
    text.extend(format!("-8{}", plan.suffix).as_bytes());
    text.extend([plan.birth.to_be_bytes(), plan.revision.to_be_bytes()].concat());
    text.extend([be(it.start_within, 6), be(it.keep.into(), 2)].concat());
    text.extend([plan.flags, plan.list.len() as u8]);
    text.extend(plan.list.as_bytes());
    listed.iter().for_each(|time| text.extend(be(*time, 6)));
    text
}

fn drawn_list(dice: &mut Dice) -> Times {
    const STEPS: [&[i64]; 9] = [
        &[24 * HOUR],
        // Beside a change of clocks, by an hour or by half of one.
        &[24 * HOUR, 23 * HOUR, 25 * HOUR],
        &[24 * HOUR, 24 * HOUR - HOUR / 2],
        &[24 * HOUR, 72 * HOUR, 168 * HOUR, 169 * HOUR],
        &[255 * HOUR, HOUR],
        &[255 * HOUR, 256 * HOUR],
        &[60_000, 600_000],
        &[1_000, 59_000],
        &[1, 999, 45 * 24 * HOUR],
    ];
    let firsts = [1_795_300_020_000, 1_795_300_021_000, 1_795_300_021_500, 0xffff_ffff * 1_000, 0x1_0000_0000 * 1_000];
    let (steps, count) = (STEPS[dice.below(9) as usize], dice.below(20));
    let mut time = firsts[dice.below(5) as usize];
    let mut listed = Vec::new();
    for _ in 0..count {
        listed.push(time);
        time += steps[dice.below(steps.len() as u64) as usize];
    }
    Times::Listed(listed)
}

fn drawn(dice: &mut Dice) -> Packed<'static> {
    let period = [1, 1_500, 60_000, HOUR, 24 * HOUR, 200 * 24 * HOUR][dice.below(6) as usize];
    let phase = 1_795_300_000_000 + dice.below(100_000_000) as i64;
    let times = if dice.below(4) == 0 { Times::Arithmetic { phase, period } } else { drawn_list(dice) };
    let stop = if matches!(times, Times::Arithmetic { .. }) { phase + 5 * period } else { 0 };
    let odd =
        Extras { max_runs: 1, per_minute: 2, stop, delay: 4, max_fires: 5, max_running: 6, start_within: 7, keep: 8 };
    let overlap = dice.below(5) as u8;
    let is_final = match &times {
        // Only a list that ends is so short.
        Times::Listed(listed) => listed.len() < 8 || dice.below(2) == 0,
        Times::Arithmetic { .. } => false,
    };
    Packed {
        catch_up: dice.below(3) as u8,
        overlap,
        flags: if overlap == 0 { dice.below(16) as u8 } else { 6 },
        list: LISTS[dice.below(6) as usize],
        suffix: SUFFIX,
        birth: dice.below(1 << 32) as u32,
        revision: dice.below(1 << 32) as u32,
        extras: if dice.below(3) == 0 { odd } else { Extras::default() },
        times,
        is_final,
    }
}

/// What `time_after` says at an instant, and what the flat way says.
fn expected(plan: &Packed, t: i64) -> (String, String) {
    match &plan.times {
        Times::Arithmetic { phase, period } => {
            let next = if t < *phase { *phase } else { phase + ((t - phase) / period + 1) * period };
            let is_over = plan.extras.stop > 0 && next >= plan.extras.stop;
            let found = if is_over { "over".to_owned() } else { format!("{next} 1000") };
            (found, if is_over || t < *phase { "look".to_owned() } else { format!("{next} false") })
        }
        Times::Listed(listed) => match listed.iter().position(|time| *time > t) {
            Some(place) => {
                let left = listed.len() - place - 1;
                let is_low = !plan.is_final && left <= 2;
                (
                    format!("{} {}", listed[place], if plan.is_final { 1_000 } else { left }),
                    format!("{} {is_low}", listed[place]),
                )
            }
            None if plan.is_final => ("over".to_owned(), if listed.is_empty() { "look" } else { "over" }.to_owned()),
            None => ("dry".to_owned(), "look".to_owned()),
        },
    }
}

fn said(plan: &Packed) -> String {
    let it = plan.extras;
    let mut tail = [plan.birth.to_be_bytes(), plan.revision.to_be_bytes()].concat();
    tail.extend([be(it.start_within, 6), be(it.keep.into(), 2)].concat());
    tail.extend([plan.flags, plan.list.len() as u8]);
    tail.extend(plan.list.as_bytes());
    let end = match &plan.times {
        Times::Listed(listed) => listed.last().copied().unwrap_or(0),
        Times::Arithmetic { .. } => 0,
    };
    format!(
        "{SUFFIX} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {end}",
        plan.birth,
        plan.revision,
        plan.overlap,
        plan.catch_up,
        plan.list,
        hex(&tail),
        it.max_runs,
        it.per_minute,
        it.stop,
        it.delay,
        it.max_fires,
        it.max_running,
        it.start_within,
        it.keep,
        plan.is_final,
        plan.flags % 2 == 1,
        plan.flags & 2 == 2,
    )
}

#[test]
fn scripts_read_plans_of_every_version_as_rust_does() {
    let redis = RedisServer::fresh();
    let mut client = redis.client().unwrap();
    let sha = redis.cli(&["SCRIPT", "LOAD", ASK]);
    let mut dice = Dice(7);
    for _ in 0..400 {
        let plan = drawn(&mut dice);
        let instants: Vec<i64> = match &plan.times {
            Times::Arithmetic { phase, period } => {
                [-1, 0, 1, period - 1, 4 * period - 1, 4 * period].map(|ms| phase + ms).into()
            }
            Times::Listed(listed) if listed.is_empty() => vec![1_795_300_000_000],
            Times::Listed(listed) => listed.iter().flat_map(|time| [time - 1, *time]).collect(),
        };
        for packed in [plan.pack(), packed_4(&plan), packed_3(&plan)] {
            let version = packed[0];
            assert_eq!(Packed::read(&packed).as_ref(), Some(&plan), "version {version}");
            let (text, words) = (hex(&packed), instants.iter().map(i64::to_string).collect::<Vec<_>>());
            let mut command = vec!["EVALSHA", &sha, "0", &text];
            command.extend(words.iter().map(String::as_str));
            let reply = client.ask(&command).unwrap();
            let [word, fields, answers] = reply.list() else { panic!("version {version}: {reply:?} of {plan:?}") };
            assert_eq!(word.text(), "plan");
            let number = |text: &str| text.parse::<f64>().map_or(text.to_owned(), |number| format!("{number:.0}"));
            let fields: Vec<String> = fields.text().split(' ').map(number).collect();
            let wanted: Vec<String> = said(&plan).split(' ').map(number).collect();
            assert_eq!(fields, wanted, "version {version}, {plan:?}");
            for (t, pair) in instants.iter().zip(answers.list().chunks(2)) {
                let (found, flat) = expected(&plan, *t);
                assert_eq!(pair[0].text(), found, "version {version}, after {t}: {plan:?}");
                let is_flat = version == PLAN_VERSION;
                assert_eq!(pair[1].text(), if is_flat { flat } else { String::new() }, "flat, after {t}: {plan:?}");
            }
        }
    }
}

#[test]
fn damaged_plans_of_every_version_raise_nothing() {
    let redis = RedisServer::fresh();
    let mut client = redis.client().unwrap();
    let sha = redis.cli(&["SCRIPT", "LOAD", ASK]);
    let mut dice = Dice(11);
    for _ in 0..60 {
        let plan = drawn(&mut dice);
        for mut packed in [plan.pack(), packed_4(&plan), packed_3(&plan)] {
            match dice.below(3) {
                0 => packed.truncate(dice.below(packed.len() as u64) as usize),
                1 => packed[1] = dice.below(256) as u8,
                _ => packed.extend([1, 2, 3]),
            }
            let reply = client.ask(&["EVALSHA", &sha, "0", &hex(&packed), "1795300000000"]).unwrap();
            assert!(matches!(&reply, Reply::List(_)), "{reply:?} of {plan:?}");
            if packed.len() < 41 {
                assert_eq!(reply.list()[0].text(), "damaged", "{plan:?}");
            }
        }
    }
}

/// Puts what an older program would have written in place of an entry's plan.
async fn planned_before(world: &World, name: &str, pack: fn(&Packed) -> Vec<u8>) {
    let stored = world.store.entry(&id(name)).await.unwrap().unwrap();
    let text = hex(&pack(&Packed::read(&stored.plan).unwrap()));
    let write = "local plan = string.gsub(ARGV[2], '..', function(hex) return string.char(tonumber(hex, 16)) end)
        return redis.call('HSET', KEYS[1], ARGV[1], plan)";
    world.redis.ask(&["EVAL", write, "1", &world.key("plans"), name, &text]);
}

#[tokio::test]
async fn entries_that_a_version_before_planned_fire_as_before() {
    let schedules = [
        ("period", json!({"every": "1h", "shell": "true"})),
        ("marked", json!({"every": "1h", "shell": "true", "overlap": "allow"})),
        ("message", json!({"every": "1h", "list": "out"})),
        ("listed", json!({"cron": "0 0-23 * * *", "tz": "America/New_York", "shell": "true"})),
        (
            "special",
            json!({"cron": "0 0-23 * * *", "tz": "America/New_York", "shell": "true", "overlap": "buffer_one"}),
        ),
        (
            "queued",
            json!({"cron": "0 0-23 * * *", "tz": "America/New_York", "exec": ["a"], "queue": "other", "keep_runs": 7}),
        ),
    ];
    let packs: [fn(&Packed) -> Vec<u8>; 3] = [|plan| plan.pack(), packed_4, packed_3];
    let named: Vec<(String, Value)> = (3..6)
        .flat_map(|version| schedules.iter().map(move |(name, entry)| (format!("{name}-{version}"), entry.clone())))
        .collect();
    let world =
        World::with(&named.iter().map(|(name, entry)| (name.as_str(), entry.clone())).collect::<Vec<_>>()).await;
    for (name, _) in &named {
        let version: usize = name[name.len() - 1..].parse().unwrap();
        planned_before(&world, name, packs[5 - version]).await;
    }
    let mut hand = Hand::new(&world.store, 'a');
    let mut fired = Vec::new();
    for _ in 0..3 {
        let mut next = Vec::new();
        for (name, _) in &named {
            let stored = world.store.entry(&id(name)).await.unwrap().unwrap();
            assert_eq!(stored.place, Some(Place::Due), "{name}");
            next.push(stored.cursor());
        }
        let now = world.store.now(0).await.unwrap();
        // A claim settles what has come: alone, where one of them is due, else all in one batch.
        let till = next.iter().max().unwrap().0 - now.0;
        for at in next.iter().map(|next| next.0 - now.0).filter(|ms| *ms < till - 5_000).take(1) {
            world.pass(at);
            hand.settle(0).await;
            hand.work_off(0).await;
        }
        let now = world.store.now(0).await.unwrap();
        world.pass(next.iter().max().unwrap().0 - now.0);
        hand.settle(0).await;
        hand.work_off(0).await;
        for ((name, _), at) in named.iter().zip(next) {
            fired.push((name, at));
        }
    }
    for (name, at) in fired {
        let stored = world.store.entry(&id(name)).await.unwrap().unwrap();
        let birth = stored.definition.as_ref().unwrap().birth;
        let run_id = scheduled_run_id(world.store.namespace(), &id(name), birth, Timestamp(at.0));
        let ended = world.ended(name).await;
        assert!(ended.iter().any(|run| run.run_id == run_id && run.fire_at == at), "{name}: {at:?} in {ended:?}");
    }
    world.assert_conserved();
}
