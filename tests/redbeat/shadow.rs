//! A shadow: RedBeat's fires beside those of upbeat, and nothing is touched.

use serde_json::Value;

use crate::bed::Bed;
use crate::support::redbeat::Beat;

#[test]
fn a_shadow_sees_what_a_beat_fires_and_fires_nothing_itself() {
    let Some(bed) = Bed::new() else { return };
    bed.save("save('one', schedule(1.0))\nsave('two', schedule(2.0))\nsave('off', schedule(1.0), enabled=False)");
    let mut beat = Beat::start(&bed.python, &bed.redis, &Value::Null);
    bed.wait_each(&["one".to_owned(), "two".to_owned()], true, 1);
    let url = bed.url();
    let seen = bed.user.run(&["-o", "json", "import", "redbeat", &url, "--shadow", "5s"]);
    let view: Value = serde_json::from_str(&seen.stdout).unwrap_or_else(|_| panic!("{}", seen.stderr));
    assert_eq!((view["watched"].as_u64(), view["had_beat"].as_bool()), (Some(2), Some(true)), "{view}");
    assert!(view["redbeat"].as_u64().unwrap() >= 4, "{view}");
    assert_eq!(seen.code, Some(i32::from(view["differ"] != 0)), "{view}");
    assert!(
        !bed.redis.keys().iter().any(|key| key.starts_with("upbeat:") || key.contains(":upbeat")),
        "nothing is written"
    );
    bed.rest(&mut beat);
    assert!(bed.sent().values().flatten().all(|one| one.by_beat));
    bed.counts_agree(&["one".to_owned(), "two".to_owned()]);

    // No beat runs: what is due is missing, and the page says why.
    bed.redis.ask(&["DEL", "redbeat::lock"]);
    let page = bed.user.run(&["import", "redbeat", &url, "--shadow", "6s"]).expect_code(1).stdout;
    assert!(page.contains("upbeat alone") && page.contains("no beat held the lock"), "{page}");
    assert!(page.lines().last().unwrap().starts_with("RedBeat fired 0 times, upbeat would have fired "), "{page}");
}
