//! What a revision owed against the stretches that name it.

use crate::domain::audit::chain::Held;
use crate::domain::audit::{Found, NAMED_MAX, Unclear};
use crate::domain::ledger::{Span, Stretch};
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;

/// Fire times of a hull that are looked through for a row of those that are missing.
const LOOKED_THROUGH: u64 = 200_000;

/// Stretches whose hulls overlap, as merging leaves them.
struct Cluster<'a> {
    first: Timestamp,
    last: Timestamp,
    stretches: &'a [Stretch],
}

/// Compares, from `since` on, and adds to `found`. A stretch that begins before is compared whole.
pub(super) fn compare(held: &Held<'_>, stretches: &[Stretch], since: Timestamp, found: &mut Found) {
    let mut mine = stretches.to_vec();
    mine.sort_by_key(|stretch| (stretch.first, stretch.last));
    let as_written = Held { times: held.times.as_written(), ..held.clone() };
    let mut one = Found { covered_from: since, ..Found::default() };
    run(&as_written, &mine, since, &mut one);
    if !one.is_clean() && held.times.later.is_some() {
        let mut other = Found { covered_from: since, ..Found::default() };
        run(held, &mine, since, &mut other);
        if other.is_clean() {
            one = other;
        }
    }
    add(found, one);
}

fn run(held: &Held<'_>, mine: &[Stretch], since: Timestamp, found: &mut Found) {
    let mut at = held.begin.max(since);
    let mut rest = mine;
    while let Some(first) = rest.first() {
        let mut last = first.last;
        let mut size = 1;
        while let Some(next) = rest.get(size).filter(|next| next.first <= last) {
            last = last.max(next.last);
            size += 1;
        }
        let (stretches, behind) = rest.split_at(size);
        rest = behind;
        let cluster = Cluster { first: first.first, last, stretches };
        if cluster.last < since {
            continue;
        }
        gap(held, at, Timestamp(cluster.first.0 - 1).min(held.till), found);
        hull(held, &cluster, since, found);
        at = at.max(Timestamp(cluster.last.0 + 1));
    }
    gap(held, at, held.till, found);
}

fn add(found: &mut Found, one: Found) {
    found.covered_from = found.covered_from.min(one.covered_from);
    found.expected += one.expected;
    found.missing += one.missing;
    found.extra += one.extra;
    for (outcome, count) in one.outcomes {
        *found.outcomes.entry(outcome).or_default() += count;
    }
    name(&mut found.missing_times, one.missing_times);
    name(&mut found.extra_times, one.extra_times);
    found.unclear.extend(one.unclear);
    found.unclear.truncate(NAMED_MAX);
}

fn name(named: &mut Vec<Timestamp>, times: impl IntoIterator<Item = Timestamp>) {
    let room = NAMED_MAX.saturating_sub(named.len());
    named.extend(times.into_iter().take(room));
}

/// What was owed between two stretches is on nobody's record.
fn gap(held: &Held<'_>, from: Timestamp, to: Timestamp, found: &mut Found) {
    let owed = held.times.span(from, to);
    if owed.count == 0 {
        return;
    }
    found.expected += owed.count;
    found.missing += owed.count;
    let next = |time: &Timestamp| held.times.next_after(*time);
    let first = held.times.next_after(Timestamp(from.0 - 1));
    name(&mut found.missing_times, std::iter::successors(first, next).take_while(|time| *time <= to));
}

fn hull(held: &Held<'_>, cluster: &Cluster<'_>, since: Timestamp, found: &mut Found) {
    let (from, to) = (cluster.first.max(held.begin), cluster.last.min(held.till));
    let owed = held.times.span(from, to);
    let recorded = cluster.stretches.iter().fold(Span::default(), |all, one| all.and(span_of(one)));
    let first = cluster.stretches[0];
    let is_one = cluster.stretches.iter().all(|one| (one.outcome, one.reason) == (first.outcome, first.reason));
    let is_right = (owed.count, owed.sum) == (recorded.count, recorded.sum);
    if is_right && is_one && cluster.first < since {
        // What is before was not asked for.
        let count = held.times.span(since.max(from), to).count;
        found.expected += count;
        *found.outcomes.entry((first.outcome, first.reason)).or_default() += count;
        return;
    }
    // What a mixed stretch says of its parts is not known: it counts whole.
    found.covered_from = found.covered_from.min(cluster.first);
    for one in cluster.stretches {
        *found.outcomes.entry((one.outcome, one.reason)).or_default() += one.count;
    }
    found.expected += owed.count;
    if !is_right {
        differ(held, cluster, (owed, recorded), found);
    }
}

/// Tells as exactly as count and sum allow which fire times of a hull are missing or too many.
fn differ(held: &Held<'_>, cluster: &Cluster<'_>, (owed, recorded): (Span, Span), found: &mut Found) {
    let (from, to) = (cluster.first, cluster.last);
    let is_within = |time: &Timestamp| *time >= from && *time <= to;
    let less = (1 << 52) + owed.sum;
    let short = Timestamp(((less - recorded.sum) % (1 << 52)).cast_signed());
    let over = Timestamp((((1 << 52) + recorded.sum - owed.sum) % (1 << 52)).cast_signed());
    if recorded.count < owed.count {
        let missing = owed.count - recorded.count;
        found.missing += missing;
        match row(held, (from, to), (missing, short.0.cast_unsigned()), owed.count) {
            Some(times) => name(&mut found.missing_times, times),
            None => found.unclear.push(Unclear { from, to, missing, extra: 0 }),
        }
        return;
    }
    let extra = (recorded.count - owed.count).max(1);
    let missing = extra - (recorded.count - owed.count);
    found.missing += missing;
    found.extra += extra;
    take_off(found, cluster.stretches, extra, (extra == 1).then_some(over));
    match extra {
        1 if missing == 0 && is_within(&over) => name(&mut found.extra_times, [over]),
        2 if recorded.count == 2 && owed.count == 0 => name(&mut found.extra_times, [from, to]),
        _ => found.unclear.push(Unclear { from, to, missing, extra }),
    }
}

/// A stretch of a revision that never held.
pub(super) fn too_many(stretch: &Stretch, since: Timestamp, found: &mut Found) {
    found.extra += stretch.count;
    let (from, to) = (stretch.first.max(since), stretch.last);
    match stretch.count {
        0 => {}
        1 => name(&mut found.extra_times, [stretch.first]),
        2 => name(&mut found.extra_times, [stretch.first, stretch.last]),
        extra => found.unclear.push(Unclear { from, to, missing: 0, extra }),
    }
}

/// What is too many has no outcome: from the stretch that stands for nothing else, else from the first ones.
fn take_off(found: &mut Found, stretches: &[Stretch], extra: u64, time: Option<Timestamp>) {
    let mut left = extra;
    let alone = stretches.iter().filter(|one| one.count == 1 && Some(one.first) == time);
    let fired = stretches.iter().filter(|one| one.outcome == State::Succeeded);
    for one in alone.chain(fired).chain(stretches) {
        let count = found.outcomes.entry((one.outcome, one.reason)).or_default();
        let taken = left.min(*count).min(one.count);
        *count -= taken;
        left -= taken;
    }
}

/// The fire times in a row whose number and sum are missing from a hull, if there is one such row.
fn row(
    held: &Held<'_>,
    (from, to): (Timestamp, Timestamp),
    (count, sum): (u64, u64),
    owed: u64,
) -> Option<Vec<Timestamp>> {
    if owed > LOOKED_THROUGH {
        return None;
    }
    let first = held.times.next_after(Timestamp(from.0.max(held.begin.0) - 1));
    let times: Vec<Timestamp> = std::iter::successors(first, |time| held.times.next_after(*time))
        .take_while(|time| *time <= to.min(held.till))
        .collect();
    let size = usize::try_from(count).ok()?;
    let total = |row: &[Timestamp]| row.iter().fold(0, |sum, time| (sum + time.0.cast_unsigned()) % (1 << 52));
    let mut here = total(times.get(..size)?);
    let mut found = None;
    for at in 0..=times.len() - size {
        if here == sum {
            if found.is_some() {
                return None;
            }
            found = Some(at);
        }
        let next = times.get(at + size).map_or(0, |time| time.0.cast_unsigned());
        here = ((1 << 52) + here - times[at].0.cast_unsigned() % (1 << 52) + next) % (1 << 52);
    }
    found.map(|at| times[at..at + size].to_vec())
}

fn span_of(stretch: &Stretch) -> Span {
    Span { ends: Some((stretch.first, stretch.last)), count: stretch.count, sum: stretch.sum }
}
