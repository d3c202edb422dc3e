//! `upbeat plan`, `apply` and `export` as people and programs read them.

use serde_json::{Value, json};

use crate::support::cli::Upbeat;
use crate::support::redis::{Options, RedisServer};
use crate::why::Night;
use crate::{refused, user_of};

const JOBS: &str = "[defaults]\ntz = 'Asia/Shanghai'\n\
    [entries.\"billing.close-month\"]\ncron = '0 2 1 * *'\nlist = 'billing'\n\
    [entries.sync]\ncron = '0 9 * * mon-fri'\nexec = ['sync', '--all']\nnote = 'x'\n\
    [entries.off]\nevery = '1d'\nshell = 'a | b'\npaused = true\n";

fn words(plan: &Value) -> Vec<&str> {
    plan["changes"].as_array().unwrap().iter().map(|one| one["change"].as_str().unwrap()).collect()
}

fn user(server: &RedisServer) -> Upbeat {
    let user = user_of(server).env("UPBEAT_ACTOR", "ci@runner");
    user.file("jobs.toml", JOBS);
    user
}

#[test]
fn a_plan_reads_like_a_list_of_what_comes_changes_and_goes() {
    let server = RedisServer::fresh();
    let user = user(&server);
    let new = user.ok(&["plan", "-f", "jobs.toml"]);
    let lines: Vec<&str> = new.lines().collect();
    assert_eq!(lines.len(), 4, "{new}");
    let begins = [
        "+ billing.close-month  cron 0 2 1 * * Asia/Shanghai        list billing     next ",
        "+ sync                 cron 0 9 * * mon-fri Asia/Shanghai  exec sync --all  next ",
        "+ off                  every 1d Asia/Shanghai              shell a | b      paused",
    ];
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
    }
    assert!(lines[0].contains(" 02:00 CST (in ") && lines[0].matches(" 1 ").count() >= 3, "{new}");
    let on = format!("owner jobs · namespace test on {}", server.url());
    assert_eq!(lines[3], format!("3 to add, 0 to change, 0 to remove · {on}"));
    user.ok(&["apply", "-f", "jobs.toml"]);
    assert_eq!(
        user.ok(&["plan", "-f", "jobs.toml"]),
        format!("0 to add, 0 to change, 0 to remove, 3 unchanged · {on}\n")
    );
    let text = JOBS.replace("0 9 *", "30 9 *").replace("note = 'x'\n", "queue = 'q'\n");
    user.file("jobs.toml", text.split("[entries.off]").next().unwrap());
    let told = user.run(&["plan", "-f", "jobs.toml", "--prune"]).expect_code(0);
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert_eq!(
        lines[..4],
        ["~ sync", "    cron   0 9 * * mon-fri -> 30 9 * * mon-fri", "    queue  none -> q", "    note   x -> none"]
    );
    assert!(
        lines[4].starts_with("    next   ")
            && lines[4].contains(" 09:00 CST")
            && lines[4].matches("09:00").count() == 5,
        "{}",
        lines[4]
    );
    assert!(lines[5].starts_with("    ->     ") && lines[5].matches("09:30").count() == 5, "{}", lines[5]);
    assert!(lines[6].starts_with("- off  every 1d Asia/Shanghai  shell a | b"), "{}", lines[6]);
    assert_eq!(lines[7], format!("0 to add, 1 to change, 1 to remove, 1 unchanged · {on}"));
    assert!(
        told.stderr
            .contains("warning: this would remove 1 of the 3 entries of owner jobs: apply --prune asks, or needs -y")
    );
    assert_eq!(user.ok(&["plan", "-f", "jobs.toml", "--prune", "-o", "id"]), "sync\noff\n");
}

#[test]
fn programs_get_both_sides_of_each_field_and_five_fire_times() {
    let server = RedisServer::fresh();
    let user = user(&server);
    user.ok(&["apply", "-f", "jobs.toml"]);
    user.file("jobs.toml", &JOBS.replace("0 9 *", "30 9 *"));
    let plan = user.json(&["plan", "-f", "jobs.toml"]);
    assert_eq!(words(&plan), ["unchanged", "changed", "unchanged"]);
    let one = &plan["changes"][1];
    assert_eq!((&one["id"], &one["fields"], &one["revision"]), (&json!("sync"), &json!(["cron"]), &json!(2)));
    assert_eq!(
        (&one["before"], &one["after"]),
        (&json!({"cron": "0 9 * * mon-fri"}), &json!({"cron": "30 9 * * mon-fri"}))
    );
    let times = |side: &str| one["next_five"][side].as_array().unwrap().clone();
    assert_eq!((times("before").len(), times("after").len()), (5, 5));
    assert_eq!((&one["next_before"], &one["next_after"]), (&times("before")[0], &times("after")[0]));
    assert!(times("after")[0].as_str().unwrap().ends_with("T01:30:00.000Z"), "{one}");
    let done = user.json(&["apply", "-f", "jobs.toml"]);
    for (planned, done) in plan["changes"].as_array().unwrap().iter().zip(done["changes"].as_array().unwrap()) {
        for field in ["id", "change", "fields", "revision", "next_before", "next_after"] {
            assert_eq!(planned[field], done[field], "{field} of {planned}");
        }
    }
    assert_eq!(
        plan["warnings"],
        json!(["no live node may run exec in queue default: runs will wait; start one: upbeat node --allow exec"])
    );
}

#[test]
fn the_exit_code_says_whether_redis_stands_as_the_file_says() {
    let server = RedisServer::fresh();
    let user = user(&server);
    let code = |code: i32| user.run(&["plan", "-f", "jobs.toml", "--exit-code"]).expect_code(code);
    code(1);
    user.run(&["plan", "-f", "jobs.toml"]).expect_code(0);
    user.ok(&["apply", "-f", "jobs.toml"]);
    code(0);
    user.file("other.toml", "[entries.sync]\nevery = '1h'\nshell = 'x'\n");
    let told = user.run(&["plan", "-f", "other.toml", "--exit-code"]).expect_code(1);
    assert!(told.stderr.contains("refused sync: sync belongs to owner jobs; --take takes it over"), "{}", told.stderr);
    assert!(told.stdout.starts_with("0 to add, 0 to change, 0 to remove, 1 refused · owner other"), "{}", told.stdout);
    assert_eq!(words(&user.json(&["plan", "-f", "other.toml", "--take"])), ["changed"]);
    user.file("jobs.toml", &format!("{JOBS}[calendars.cn]\ndates = ['2030-01-01']\n[queues.q]\nrate = '5/1m'\n"));
    assert!(code(1).stdout.starts_with("+ calendar cn  1 date\n~ queue q  rate 5/1m\n0 to add"));
    user.ok(&["apply", "-f", "jobs.toml"]);
    code(0);
}

#[test]
fn prune_needs_a_yes_beyond_a_fifth_and_why_names_it_afterwards() {
    let server = RedisServer::fresh();
    let user = user(&server);
    user.ok(&["apply", "-f", "jobs.toml"]);
    user.file("jobs.toml", "[entries.sync]\ncron = '0 9 * * *'\nexec = ['x']\n");
    let (line, hint) = refused(&user, 2, &["apply", "-f", "jobs.toml", "--prune"]);
    assert_eq!(line, "error: -y: this would remove 2 of the 3 entries of owner jobs");
    assert!(hint.contains("add -y to do it, --dry-run to see it"), "{hint}");
    assert_eq!(user.json(&["show", "sync"])["revision"], 1, "nothing was written");
    user.file("empty.toml", "owner = 'jobs'\n");
    let (line, _) = refused(&user, 2, &["apply", "-f", "empty.toml", "--prune"]);
    assert_eq!(line, "error: -y: this would remove 3 of the 3 entries of owner jobs");
    let dry = user.ok(&["apply", "-f", "jobs.toml", "--prune", "--dry-run"]);
    assert!(dry.contains("would be removed off") && dry.contains("would be 1 changed, 2 removed · "), "{dry}");
    let done = user.ok(&["apply", "-f", "jobs.toml", "--prune", "-y"]);
    assert!(
        done.contains("removed off · revision 2\n") && done.contains("1 changed, 2 removed · first fire "),
        "{done}"
    );
    let why = user.run(&["why", "off"]).stdout;
    assert!(
        why.contains("was removed by ci@runner on ") && why.contains(" (apply --prune of owner jobs, revision 2)"),
        "{why}"
    );
    assert_eq!(user.ok(&["ls", "-o", "id"]), "sync\n");
}

#[test]
fn several_files_are_one_request_and_all_are_read_first() {
    let server = RedisServer::fresh();
    let user = user(&server);
    user.file("bad.toml", "[entries.z]\nevery = '1 fortnight'\nshell = 'x'\n");
    user.run(&["apply", "-f", "jobs.toml", "-f", "bad.toml"]).expect_code(2);
    assert_eq!(user.json(&["ls"]), json!([]), "a file that fails to parse changes nothing");
    user.file("bad.toml", "[entries.sync]\nevery = '1h'\nshell = 'x'\n");
    let (line, _) = refused(&user, 2, &["apply", "-f", "jobs.toml", "-f", "bad.toml"]);
    assert!(line.starts_with("error: bad.toml:1: entries.sync: stands in jobs.toml:"), "{line}");
    user.file("more.toml", "[entries.more]\nevery = '1h'\nshell = 'x'\n");
    let both = ["apply", "-f", "jobs.toml", "-f", "more.toml"];
    assert_eq!(words(&user.json(&both)), ["added"; 4]);
    let owner = |id: &str| user.json(&["show", id])["owner"].clone();
    assert_eq!((owner("sync"), owner("more")), (json!("jobs"), json!("more")));
    user.file("elsewhere.toml", "namespace = 'prod'\n[entries.q]\nevery = '1h'\nshell = 'x'\n");
    for command in ["plan", "apply"] {
        let (line, hint) = refused(&user, 2, &[command, "-f", "more.toml", "-f", "elsewhere.toml"]);
        assert!(line.starts_with("error: elsewhere.toml:1: namespace: "), "{line}");
        assert!(line.ends_with("the file is for namespace prod, this is test") && hint.contains("-n prod"), "{line}");
    }
}

#[test]
fn a_long_command_does_not_push_the_others_out_of_sight_and_is_not_cut_silently() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let long = "echo ".repeat(200);
    user.file(
        "jobs.toml",
        &format!("[entries.a]\nevery = '1h'\nshell = '{long}'\n[entries.b]\nevery = '1h'\nlist = 'k'\n"),
    );
    let plan = user.ok(&["plan", "-f", "jobs.toml"]);
    let lines: Vec<&str> = plan.lines().collect();
    assert!(lines[0].contains("echo... (1006 bytes, -o json shows all)  next "), "{plan}");
    assert!(lines[1].starts_with("+ b  every 1h  list k  next "), "{plan}");
}

#[test]
fn a_plan_says_whose_fire_times_another_calendar_moves() {
    let night = Night::at("2026-11-14T12:00:00Z");
    let user = &night.user;
    let file = |date: &str| {
        let entry = "cron = '0 9 * * *'\ntz = 'Asia/Shanghai'\nlist = 'x'\nexclude = ['cn']\n";
        user.file("jobs.toml", &format!("[calendars.cn]\ndates = ['{date}']\n[entries.a]\n{entry}"));
    };
    file("2026-11-16");
    user.ok(&["apply", "-f", "jobs.toml"]);
    file("2026-11-15");
    let plan = user.run(&["plan", "-f", "jobs.toml", "--exit-code"]).expect_code(1).stdout;
    let lines: Vec<&str> = plan.lines().collect();
    assert_eq!(lines[0], "~ calendar cn  1 date, followed by a");
    let moved = lines[1].starts_with("    a  next Sun 15 Nov 09:00 CST (in ");
    assert!(moved && lines[1].contains(" -> Mon 16 Nov 09:00 CST (in "), "{plan}");
    file("2026-12-24");
    let plan = user.ok(&["plan", "-f", "jobs.toml"]);
    assert!(plan.starts_with("~ calendar cn  1 date, followed by a\n0 to add"), "{plan}");
}

#[test]
fn what_only_redis_can_tell_is_told_with_file_and_line_too() {
    let server = RedisServer::fresh();
    let user = user(&server);
    user.file(
        "more.toml",
        "[entries.a]\nevery = '1h'\nlist = 'x'\n\n[entries.\"a.b\"]\nevery = '1h'\nlist = 'x'\nexclude = ['cn']\n",
    );
    for command in ["plan", "apply"] {
        let (line, hint) = refused(&user, 2, &[command, "-f", "jobs.toml", "-f", "more.toml"]);
        assert_eq!(line, "error: more.toml:8: entries.a.b.exclude: no calendar is called cn");
        assert!(hint.contains("upbeat calendars put cn -f FILE"), "{hint}");
        let error = user.error(2, &[command, "-f", "more.toml", "--from", "+1h"]);
        assert_eq!((&error["file"], &error["field"]), (&json!("more.toml"), &json!("entries.a.from")));
    }
    assert_eq!(user.json(&["ls"]), json!([]));
}

#[test]
fn many_entries_are_told_in_one_line_and_programs_get_all() {
    let server = RedisServer::fresh();
    let user = user(&server);
    let text: String = (0..300)
        .map(|n| format!("[entries.e{n:03}]\ncron = '0 {} * * *'\ntz = 'Asia/Shanghai'\nlist = 'x'\n", n % 24))
        .collect();
    user.file("many.toml", &text);
    let told = user.ok(&["apply", "-f", "many.toml"]);
    assert!(told.starts_with("300 added · revision 1 each · first fire ") && told.lines().count() == 1, "{told}");
    assert!(told.contains(" CST (e") && told.contains("), in "), "{told}");
    user.file("many.toml", &text.replace("'x'", "'y'"));
    let told = user.ok(&["apply", "-f", "many.toml"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines.len(), lines[0]), (22, "changed e000 · revision 2 · list"), "{told}");
    assert_eq!(lines[20], "and 280 more; -o json names all");
    assert!(lines[21].starts_with("300 changed · first fire "), "{told}");
    assert_eq!(words(&user.json(&["apply", "-f", "many.toml"])).len(), 300);
    assert_eq!(user.ok(&["apply", "-f", "many.toml"]), "300 unchanged\n");
}

#[test]
fn export_into_apply_gives_the_same_text() {
    let server = RedisServer::fresh();
    let user = user(&server);
    user.ok(&["apply", "-f", "jobs.toml"]);
    let text = user.ok(&["export"]);
    let other = RedisServer::fresh();
    let copy = user_of(&other);
    copy.run_with_input(&["apply", "-f", "-"], &text).expect_code(0);
    assert_eq!(copy.ok(&["export"]), text);
    copy.run_with_input(&["plan", "-f", "-", "--exit-code"], &text).expect_code(0);
    assert_eq!(copy.json(&["export"]), user.json(&["export"]));
}

#[test]
fn plan_and_export_need_rights_to_read_only_and_leave_no_trace() {
    let rights = "viewer on >secret %R~* +@read +@connection +time +eval_ro +evalsha_ro";
    let server = RedisServer::start(Options { acl: vec![rights.to_owned()], tcp: true, ..Options::default() });
    let viewer = Upbeat::at(format!("redis://viewer:secret@127.0.0.1:{}", server.tcp_port()));
    viewer.file("jobs.toml", JOBS);
    let told = viewer.ok(&["plan", "-f", "jobs.toml", "--prune", "--from", "-1h"]);
    assert!(told.contains("3 to add, 0 to change, 0 to remove"), "{told}");
    assert_eq!(server.keys(), Vec::<String>::new(), "a namespace that is only looked at stays unused");
    viewer.run(&["apply", "-f", "jobs.toml"]).expect_code(5);
    let user = user(&server);
    user.ok(&["apply", "-f", "jobs.toml"]);
    let written = || server.info("rdb_changes_since_last_save");
    let before = written();
    viewer.file("jobs.toml", &JOBS.replace("0 9 *", "30 9 *"));
    assert_eq!(words(&viewer.json(&["plan", "-f", "jobs.toml"])), ["unchanged", "changed", "unchanged"]);
    assert_eq!(viewer.ok(&["export"]), user.ok(&["export"]));
    assert_eq!(written(), before);
}
