//! The transcripts of the experience that is promised, with their mistakes: what a newcomer meets in the first ten minutes, and
//! what somebody asks after a night in which something did not run. No clock on a wall decides: conditions are waited for.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::formats::hears_interrupts;
use crate::refused;
use crate::support::cli::Upbeat;
use crate::support::guard;
use crate::support::node::node;
use crate::support::playground::{Playground, somebody};
use crate::support::wait::{DEADLINE, wait_for, wait_some};
use crate::why::Night;

fn runs(user: &Upbeat, words: &[&str]) -> Vec<Value> {
    let words = [&["runs", "--limit", "0"][..], words].concat();
    user.json(&words).as_array().unwrap().clone()
}

/// The nodes that are listed as live.
fn live(user: &Upbeat) -> Vec<Value> {
    let nodes = user.json(&["nodes"]);
    nodes.as_array().unwrap().iter().filter(|node| node["state"] == "live").cloned().collect()
}

#[test]
fn the_first_ten_minutes() {
    let user = somebody();
    let mut dev = Playground::start(&user, "3");
    assert!(dev.lines[0].starts_with("playground in .upbeat · private Redis "), "{:?}", dev.lines);
    assert!(
        dev.lines.iter().any(|line| line.contains("dev-1 dev-2 dev-3 · 16 runs each at a time")),
        "{:?}",
        dev.lines
    );
    wait_for("three nodes are live", DEADLINE, || live(&user).len() == 3);

    // Mistake 1: what a shell makes of an expression without quotes, in a folder with one file.
    user.file("notes.txt", "");
    let words =
        ["add", "disk", "--cron", "*/2", "notes.txt", "notes.txt", "notes.txt", "notes.txt", "--", "df", "-h", "."];
    let told = user.run(&words).expect_code(2);
    let said = "error: cron: \"*/2\" has 1 field, 5 or 6 are needed\n  \
                the shell split the expression and turned * into file names; quote it:\n  \
                upbeat add disk --cron '*/2 * * * *' -- df -h .\n";
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", said));

    let stop = user.dir().join("stop").display().to_string();
    let script = format!("df -h . | tail -1; while ! test -e {stop}; do sleep 0.05; done");
    let added = user.run(&["add", "disk", "--every", "5s", "--", "sh", "-c", &script]).expect_code(0);
    assert_eq!(added.stderr.lines().next(), Some("using the playground in .upbeat"));
    let lines: Vec<&str> = added.stdout.lines().collect();
    assert_eq!(lines[0], "added disk · revision 1");
    assert!(lines[1].starts_with("  when   every 5 s, counted from ") && lines[1].ends_with(" UTC"), "{lines:?}");
    assert!(lines[2].starts_with("  next   ") && lines[3].starts_with("  what   exec sh -c "), "{lines:?}");
    assert_eq!(lines[4], "  where  dev-1, dev-2, dev-3");

    // `runs -f` in a terminal of its own, until Ctrl-C.
    let mut follow = user.command();
    follow.args(["runs", "disk", "-f"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut follow = follow.spawn().unwrap();
    guard::watch(&follow);
    wait_for("it hears Ctrl-C", DEADLINE, || hears_interrupts(follow.id()));
    wait_for("a run is executed", DEADLINE, || !runs(&user, &["disk", "--state", "running"]).is_empty());
    user.file("stop", "");
    wait_for("a run has succeeded", DEADLINE, || !runs(&user, &["disk", "--state", "succeeded"]).is_empty());
    std::fs::remove_file(&stop).unwrap();
    let mut out = std::io::BufReader::new(follow.stdout.take().unwrap());
    let mut seen = [String::new(), String::new()];
    for line in &mut seen {
        std::io::BufRead::read_line(&mut out, line).unwrap();
    }
    assert!(seen[0].starts_with("FIRE TIME ") && seen[0].contains("STATE "), "{seen:?}");
    assert!(seen[1].contains("succeeded") && seen[1].contains("dev-"), "{seen:?}");
    kill(Pid::from_raw(follow.id().cast_signed()), Signal::SIGINT).unwrap();
    drop(out);
    assert_eq!(guard::reap(&mut follow).code(), Some(130));
    user.file("stop", "");
    wait_for("the output of df is there", DEADLINE, || user.ok(&["logs", "disk"]).contains('%'));
    std::fs::remove_file(&stop).unwrap();

    // An ordinary node, as it would be on another machine.
    let url = std::fs::read_to_string(user.dir().join(".upbeat/connection")).unwrap().trim().to_owned();
    let mut big = node("big", &url).namespace("default").allow("http").args(&["--queues", "batch"]).start_live(&user);
    assert!(big.log().contains("exec, shell  not allowed here (--allow exec,shell)"), "{}", big.log());

    // Mistake 2: a zone by its city; and the classic, nobody may run it.
    let dump = |zone: &str| {
        let words = ["add", "dump", "--cron", "30 2 * * *", "--tz", zone, "--queue", "batch", "--", "true"];
        user.run(&words)
    };
    let told = dump("Berlin").expect_code(2);
    assert!(
        told.stderr.starts_with("error: tz: \"Berlin\" ") && told.stderr.contains("Europe/Berlin"),
        "{}",
        told.stderr
    );
    // The node that is busy dies, for real.
    let busy = wait_some("one of dev's nodes is busy", DEADLINE, || {
        let nodes = live(&user).into_iter();
        nodes.into_iter().find(|node| node["node"] != "big" && node["running"].as_u64() > Some(0))
    });
    let killed = busy["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(killed).unwrap()), Signal::SIGKILL).unwrap();
    let died = dev.line();
    assert_eq!(died, format!("{} was killed", busy["node"].as_str().unwrap()));
    user.file("stop", "");
    let taken = wait_some("the run of the killed node is taken over", DEADLINE, || {
        runs(&user, &["disk"]).into_iter().find(|run| run["attempt"].as_u64() >= Some(2) && run["state"] == "succeeded")
    });
    assert_eq!(taken["lost"], 1, "{taken}");
    let table = user.ok(&["runs", "disk", "--limit", "0"]);
    let lost = died.split(' ').next().unwrap();
    assert!(table.contains(&format!("attempt 1 was lost with {lost}")), "{table}");

    // Its nodes stop; only `big` is left, and may not run it.
    for node in live(&user).iter().filter(|node| node["node"] != "big" && node["pid"] != killed) {
        let pid = i32::try_from(node["pid"].as_i64().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    }
    wait_for("only big is left", DEADLINE, || live(&user).len() == 1);
    let told = dump("Europe/Berlin").expect_code(0);
    assert!(
        told.stdout.starts_with("added dump · revision 1\n  when   at 02:30 every day, Europe/Berlin\n"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("  zone   ") && told.stdout.ends_with("  where  nobody yet\n"), "{}", told.stdout);
    let warning = "warning: no live node may run exec in queue batch: runs will wait; node `big` serves the queue";
    assert!(told.stderr.contains(warning) && told.stderr.contains("--allow exec"), "{}", told.stderr);

    let mut trigger = user.command();
    let mut trigger =
        trigger.args(["trigger", "dump", "--wait"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    guard::watch(&trigger);
    wait_for("it hears Ctrl-C", DEADLINE, || hears_interrupts(trigger.id()));
    kill(Pid::from_raw(trigger.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut trigger.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(guard::reap(&mut trigger).code(), Some(130), "{said}");
    assert!(said.contains("is queued") && said.contains("no live node may run exec in queue batch"), "{said}");
    assert!(said.ends_with("stopped waiting; the run stays queued (upbeat cancel dump)\n"), "{said}");

    // The same node with the right: the waiting run starts.
    big.sigterm();
    assert_eq!(big.wait_end(DEADLINE).code(), Some(0));
    let _big = node("big", &url).namespace("default").allow("exec").args(&["--queues", "batch"]).start_live(&user);
    wait_for("the waiting run has ended", DEADLINE, || runs(&user, &["dump", "--state", "succeeded"]).len() == 1);

    let told = user.run(&["audit", "--since", "-15m"]).expect_code(0);
    assert!(told.stdout.contains("0 missing, 0 extra\n"), "{}", told.stdout);
    dev.signal(Signal::SIGINT);
    assert_eq!(dev.wait(), Some(0));
}

#[test]
fn it_did_not_run_last_night_why() {
    let night = Night::at("2026-11-16T12:00:00Z");
    let user = &night.user;
    let stop = user.dir().join("stop");
    let script =
        format!("echo waiting for lock on /backup/repo; while ! test -e {}; do sleep 0.05; done", stop.display());
    user.ok(&["add", "nightly-backup", "--cron", "0 2 * * *", "--tz", "Europe/Berlin", "--shell", &script]);
    let mut web = node("web-3", night.server.url()).start_live(user);
    night.go("2026-11-17T01:00:00.100Z");
    night.until("running", 1);
    for (day, skipped) in [(18, 1), (19, 2), (20, 3)] {
        night.go(&format!("2026-11-{day}T01:00:00.100Z"));
        night.until("skipped", skipped);
    }
    night.go("2026-11-20T08:10:00Z");
    web.wait_live(user);

    // A mistake first.
    let (line, hint) = refused(user, 3, &["why", "nightly_backup"]);
    assert!(line.contains("nightly_backup does not exist in namespace test"), "{line}");
    assert_eq!(hint, "  did you mean nightly-backup?");

    let why = user.ok(&["why", "nightly-backup"]);
    let first = "nightly-backup did not run on Fri 20 Nov 02:00 CET: skipped, the run of 17 Nov is still running\n";
    assert!(why.starts_with(first), "{why}");
    for line in [
        "nightly-backup@2026-11-17T01:00:00.000Z · attempt 1 on web-3 · running for 3 d 7 h",
        "overlap = skip · no timeout is set",
        "18 and 19 Nov were skipped for the same reason",
        "\"waiting for lock on /backup/repo\"",
        "upbeat cancel nightly-backup --reason '...'",
        "upbeat set nightly-backup --timeout 1h",
    ] {
        assert!(why.contains(line), "{line}\n{why}");
    }
    let warned = user.run(&["ls", "--warnings"]).expect_code(0);
    assert!(warned.stderr.contains("nightly-backup: stuck"), "{}", warned.stderr);

    let cancelled = user.ok(&["cancel", "nightly-backup", "--reason", "stale repository lock"]);
    assert!(cancelled.contains("nightly-backup@2026-11-17T01:00:00.000Z"), "{cancelled}");
    night.until("cancelled", 1);
    let set = user.ok(&["set", "nightly-backup", "--timeout", "1h", "--retry", "max_attempts=2,delay=5m"]);
    assert!(set.starts_with("changed nightly-backup · revision 2 · "), "{set}");
    assert!(set.contains("next   unchanged: Sat 21 Nov 02:00"), "{set}");
    user.file("stop", "");
    let ran = user.ok(&["trigger", "nightly-backup", "--wait=2h"]);
    assert!(ran.starts_with("succeeded in ") && ran.ends_with(" on web-3\n"), "{ran}");
    let audit = user.ok(&["audit", "nightly-backup", "--since", "-7d"]);
    assert!(audit.contains("4 expected, 1 fired, 3 skipped (overlap), 0 missed\n0 missing, 0 extra\n"), "{audit}");
    let document = user.json(&["audit", "nightly-backup", "--since", "-7d"]);
    assert_eq!((&document["missing"], &document["extra"], &document["entries"]), (&json!(0), &json!(0), &json!([])));
    assert_eq!(user.json(&["ls", "--warnings"]), json!([]), "nobody else");
}

/// The file of somebody who leaves Celery beat, as he tidied it: both mistakes stand in it.
fn moved_by_hand() -> String {
    let mut text = "namespace = 'prod'\n\n[defaults]\ntz = 'Asia/Shanghai'\n\n".to_owned();
    text.push_str("[entries.billing.close-month]\ncron = '0 2 1 * *'\nlist = 'celery.billing'\n\n");
    text.push_str(
        "[entries.sync-crm]\nevery = '5m'\nstart = 2026-11-01T00:00:00\nlist = 'celery.crm'\nstart_within = 300\n\n",
    );
    text.push_str("[entries.heartbeat]\ncron = '* * * * *'\nlist = 'celery.beat'\n\n");
    for at in 1..=10 {
        text.push_str(&format!("[entries.report-{at}]\ncron = '0 0 * * *'\nlist = 'celery.reports'\n\n"));
    }
    text
}

#[test]
fn moving_entries_from_a_file_that_was_tidied_by_hand() {
    let night = Night::of("prod", "2026-11-20T18:50:10Z");
    let user = &night.user;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let here = |words: &[&str]| user.ok(&[words, &["-n", "prod"]].concat());

    // Two mistakes, both from habit; no Redis is asked, and nothing is half read.
    let text = moved_by_hand();
    user.file("celery.toml", &text);
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let found = user.run(&["lint", "-f", "celery.toml", "--redis", "redis://127.0.0.1:1"]).expect_code(1);
    let wanted = [
        format!(
            "error: celery.toml:{}: entries.billing: unknown field \"close-month\"",
            line_of("billing.close-month")
        ),
        "  an id with a dot is quoted: [entries.\"billing.close-month\"]".to_owned(),
        format!(
            "error: celery.toml:{}: entries.sync-crm.start_within: 300 has no unit; write \"5m\"",
            line_of("= 300")
        ),
        "2 errors; nothing was sent to Redis".to_owned(),
    ];
    assert_eq!((lines(&found.stdout), found.stderr.as_str()), (wanted.to_vec(), ""));
    for command in ["plan", "apply"] {
        let told = user.run(&[command, "-f", "celery.toml", "-n", "prod"]).expect_code(2);
        let said = [&wanted[..3], &["2 errors; nothing was changed".to_owned()]].concat();
        assert_eq!((told.stdout.as_str(), lines(&told.stderr)), ("", said));
    }
    assert_eq!(user.json(&["ls", "-n", "prod"]), json!([]));
    let text = text.replace("billing.close-month", "\"billing.close-month\"").replace("= 300", "= '5m'");
    user.file("celery.toml", &text);
    let clean = lines(&user.ok(&["lint", "-f", "celery.toml", "--redis", "redis://127.0.0.1:1"]));
    assert_eq!(clean[0], "13 entries, no errors");
    let same = "note: 11 entries fire at the same minute (00:00 Asia/Shanghai); spread = \"5m\" or H would help";
    assert_eq!(clean[1], same);

    // Another namespace than the file's is refused, with the word that is missing.
    let (line, hint) = refused(user, 2, &["plan", "-f", "celery.toml"]);
    assert!(
        line.ends_with("the file is for namespace prod, this is test") && hint.contains("-n prod"),
        "{line} {hint}"
    );

    let plan = here(&["plan", "-f", "celery.toml"]);
    let planned = lines(&plan);
    assert_eq!(planned.len(), 14, "{plan}");
    let close = "+ billing.close-month  cron 0 2 1 * * Asia/Shanghai  list celery.billing  next ";
    assert!(planned[0].starts_with(close) && planned[0].contains("1 Dec 02:00 CST"), "{plan}");
    assert!(planned[1].starts_with("+ sync-crm             every 5m Asia/Shanghai"), "{plan}");
    let footer =
        format!("13 to add, 0 to change, 0 to remove · owner celery · namespace prod on {}", night.server.url());
    assert_eq!(planned[13], footer);

    // Cut over at a half minute; what fires since then is theirs, though it is applied later.
    night.go("2026-11-20T19:00:35Z");
    let since = "2026-11-21T03:00:30+08:00";
    let applied = here(&["apply", "-f", "celery.toml", "--from", since, "--reason", "leave celery beat"]);
    let start = "13 added · revision 1 each · first fire 03:01:00 CST (heartbeat), ";
    assert!(applied.lines().last().unwrap().starts_with(start) && applied.contains(" in "), "{applied}");
    let _node = node("a", night.server.url()).namespace("prod").start();
    for minute in 1..=5 {
        night.go(&format!("2026-11-20T19:0{minute}:00.100Z"));
        wait_for("this minute's message is delivered", DEADLINE, || {
            runs(user, &["heartbeat", "-n", "prod", "--state", "succeeded"]).len() == minute
        });
    }
    wait_for("so is the other", DEADLINE, || runs(user, &["sync-crm", "-n", "prod"]).len() == 1);
    let table = here(&["runs", "--since", "-5m"]);
    let head = table.lines().next().unwrap();
    assert!(["FIRE TIME", "ENTRY", "STATE", "LATE"].iter().all(|word| head.contains(word)), "{table}");
    let crm = table.lines().find(|line| line.contains("sync-crm")).unwrap();
    assert!(crm.starts_with("03:05:00 CST") && crm.contains("succeeded"), "{table}");
    let all = runs(user, &["-n", "prod"]);
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|run| run["reason"] == "delivered" && run["trigger"] == "scheduled"), "{all:?}");
    let audit = here(&["audit", "--since", "-1h"]);
    assert!(audit.contains("13 entries") && audit.contains("6 expected, 6 fired"), "{audit}");
    assert!(audit.contains("\n0 missing, 0 extra\n"), "{audit}");

    // The way back.
    let (line, _) = refused(user, 2, &["pause", "--owner", "celery", "-n", "prod"]);
    assert_eq!(line, "error: -y: this would pause 13 entries");
    here(&["pause", "--owner", "celery", "-y", "--reason", "back to beat"]);
    let listed = user.json(&["ls", "--owner", "celery", "-n", "prod"]);
    let is_paused = |entry: &Value| entry["status"] == "paused" && entry["next_fire_at"].is_null();
    assert!(listed.as_array().unwrap().len() == 13 && listed.as_array().unwrap().iter().all(is_paused), "{listed}");
    here(&["resume", "--owner", "celery", "-y"]);

    // A week later, in CI.
    let code =
        |code: i32, words: &[&str]| user.run(&[words, &["-f", "celery.toml", "-n", "prod"]].concat()).expect_code(code);
    assert!(
        code(0, &["plan", "--exit-code", "--prune"])
            .stdout
            .starts_with("0 to add, 0 to change, 0 to remove, 13 unchanged · ")
    );
    let edited = text.replace("0 2 1 * *", "30 2 1 * *");
    let without = |count: usize| edited.split(&format!("[entries.report-{}]", 11 - count)).next().unwrap().to_owned();
    user.file("celery.toml", &without(1));
    let told = code(1, &["plan", "--exit-code", "--prune"]).stdout;
    assert!(told.contains("~ billing.close-month\n    cron  0 2 1 * * -> 30 2 1 * *\n"), "{told}");
    assert!(
        told.contains("- report-10  ") && told.contains("\n0 to add, 1 to change, 1 to remove, 11 unchanged · "),
        "{told}"
    );
    let told = code(0, &["apply", "--prune"]).stdout;
    assert!(told.contains("removed report-10 · ") && told.contains("\n1 changed, 1 removed, 11 unchanged"), "{told}");
    code(0, &["plan", "--exit-code", "--prune"]);

    // A file that lost its end is not what anybody meant.
    user.file("celery.toml", &without(5));
    let words = ["apply", "--prune", "-f", "celery.toml", "-n", "prod"];
    let (line, hint) = refused(user, 2, &words);
    assert_eq!(line, "error: -y: this would remove 4 of the 12 entries of owner celery");
    assert!(hint.contains("add -y to do it, --dry-run to see it"), "{hint}");
    assert_eq!(user.json(&["ls", "-n", "prod"]).as_array().unwrap().len(), 12, "nothing was removed");
    assert!(code(0, &["apply", "--prune", "-y"]).stdout.contains("4 removed, 8 unchanged"));
}
