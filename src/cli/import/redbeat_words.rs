//! What a RedBeat's move is for people: a page each.

use crate::cli::output::{facts, printable, table};
use crate::service::{HandBackView, ShadowView, TakeOverView};
use crate::store::RedBeat;

/// What a take-over did.
pub(super) fn taken(view: &TakeOverView, redbeat: &RedBeat, url: &str) -> String {
    let at = view.at.map(|at| at.0.to_rfc3339()).unwrap_or_default();
    let paused = if view.paused == 0 { String::new() } else { format!(", {} are paused", view.paused) };
    let entries = view.entries;
    let head = match view.state {
        "would_take" => return format!("would take over {entries} entries that fire{paused}\n"),
        "unchanged" => return format!("was taken over at {at} already: nothing to do\n"),
        _ => format!("taken over at {at}: {entries} entries fire here{paused}\n"),
    };
    let beat = if view.had_beat { "it ends at its next tick, or waits" } else { "none held the lock" };
    let mut lines = vec![("redbeat", url.to_owned()), ("beat", beat.to_owned())];
    if redbeat.place().lock.is_none() {
        lines.push(("lock", "there is none: a beat that is started fails with WRONGTYPE".to_owned()));
    }
    lines.push(("do", "stop the beat, and keep it stopped: systemctl stop celery-beat".to_owned()));
    lines.push(("back", format!("upbeat import redbeat {url} --hand-back")));
    head + &facts(&lines)
}

/// What a hand-back did.
pub(super) fn given(view: &HandBackView) -> String {
    let (entries, fired) = (view.entries, view.fired);
    let since = view.taken_at.0.to_rfc3339();
    if view.state == "would_give" {
        return format!("would hand back {entries} entries; upbeat fired {fired} times since {since}\n");
    }
    let at = view.at.map(|at| at.0.to_rfc3339()).unwrap_or_default();
    let beat = if view.has_beat { "a beat holds the lock and fires on" } else { "nobody fires until a beat runs" };
    format!(
        "handed back at {at}: {entries} entries; upbeat fired {fired} times since {since}\n{}",
        facts(&[("beat", beat)])
    )
}

/// What a shadow saw.
pub(super) fn shadow(view: &ShadowView) -> String {
    let (from, to) = (view.from.0.to_rfc3339(), view.to.0.to_rfc3339());
    let mut text = format!("{from} to {to}: {} entries watched\n", view.watched);
    let differing: Vec<_> = view.entries.iter().filter(|one| one.differ > 0).collect();
    if !differing.is_empty() {
        let rows = differing.iter().flat_map(|one| {
            one.differences.iter().map(|found| {
                let times = if found.fires == 1 { "once".to_owned() } else { format!("{} times", found.fires) };
                vec![
                    one.name.clone(),
                    found.at.0.to_rfc3339(),
                    format!("{} alone, {times}", found.by),
                    found.why.clone(),
                ]
            })
        });
        text.push_str(&table(&["ENTRY", "FROM", "FIRED", "LIKELY WHY"], rows));
    }
    let drifting = view.entries.iter().filter(|one| one.drift_ms > 0).count();
    if drifting > 0 {
        let most = view.entries.iter().map(|one| one.drift_ms).max().unwrap_or_default();
        text.push_str(&format!(
            "{drifting} intervals drift in RedBeat, by {most} ms at most: it counts from when it fired, upbeat keeps the phase\n"
        ));
    }
    for odd in &view.left_out {
        text.push_str(&format!("left out: {}: {}\n", odd.name, odd.reason));
    }
    if view.had_beat == Some(false) {
        text.push_str("no beat held the lock all the time\n");
    }
    let (redbeat, upbeat, differ) = (view.redbeat, view.upbeat, view.differ);
    text.push_str(&format!("RedBeat fired {redbeat} times, upbeat would have fired {upbeat}: {differ} differ\n"));
    printable(&text)
}
