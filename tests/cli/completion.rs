//! Completions: what a shell is offered while a line is typed, and that it never hears a complaint.

use std::process::Command;

use crate::support::cli::{Upbeat, program};
use crate::support::redis::RedisServer;
use crate::user_of;

/// A server with entries, a run that waits, a calendar.
fn stocked() -> (RedisServer, Upbeat) {
    let server = RedisServer::fresh();
    // The machine of a test may be slower than that of whoever types.
    let user = user_of(&server).env("UPBEAT_COMPLETE_MS", "30000");
    user.file("dates", "2026-12-25\n");
    user.ok(&["calendars", "put", "xmas", "-f", "dates"]);
    user.ok(&["add", "report", "--every", "1h", "--queue", "batch", "--labels", "tier=gold", "--", "true"]);
    user.ok(&["add", "eu:daily", "--every", "1h", "--", "true"]);
    user.ok(&["add", "eu:hourly", "--every", "1h", "--", "true"]);
    user.ok(&["add", "日报", "--every", "1h", "--", "true"]);
    user.ok(&["trigger", "report"]);
    (server, user)
}

/// What the engine answers; the last word is being typed.
#[track_caller]
fn offered(user: &Upbeat, words: &[&str]) -> Vec<String> {
    let mut command = user.command();
    command.env("COMPLETE", "fish").arg("--").arg("upbeat").args(words);
    let told = command.output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && said.is_empty(), "{words:?}: {said}");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn whatever_stands_in_redis_is_offered_where_it_may_stand() {
    let (_server, user) = stocked();
    for (words, wanted) in [
        (&["show", "re"][..], &["report"][..]),
        (&["show", "eu:"], &["eu:daily", "eu:hourly"]),
        (&["rm", "report", "日"], &["日报"]),
        (&["ls", "rep"], &["report"]),
        (&["runs", "--state", "succ"], &["succeeded"]),
        (&["runs", "--state", "failed,can"], &["failed,cancelled"]),
        (&["ls", "--queue", "b"], &["batch"]),
        (&["ls", "-l", "ti"], &["tier=gold"]),
        (&["pause", "--owner", "c"], &["cli"]),
        (&["add", "x", "--tz", "Asia/Shang"], &["Asia/Shanghai"]),
        (&["next", "--tz=Europe/Berl"], &["--tz=Europe/Berlin"]),
        (&["add", "x", "--exclude", "x"], &["xmas"]),
        (&["calendars", "show", "x"], &["xmas"]),
        (&["cancel", "re"], &["report"]),
        (&["set", "report", "--unset", "start_"], &["start_within"]),
        (&["add", "x", "--overlap", "buf"], &["buffer_one", "buffer_all"]),
        (&["events", "--type", "pau"], &["paused"]),
        (&["-o", "jsonl", "show", "rep"], &["report"]),
        (&["ls", "-n", "te"], &["test"]),
        (&["ca"], &["calendars", "cancel"]),
    ] {
        let mut offered = offered(&user, words);
        let mut wanted: Vec<&str> = wanted.to_vec();
        offered.sort();
        wanted.sort_unstable();
        assert_eq!(offered, wanted, "{words:?}");
    }
    let run = user.json(&["runs", "report"])[0].clone();
    let (id, at) = (run["run_id"].as_str().unwrap(), run["fire_at"].as_str().unwrap());
    assert_eq!(offered(&user, &["logs", &id[..10]]), [id]);
    assert_eq!(offered(&user, &["runs", "show", "report@"]), [format!("report@{at}")]);
    user.ok(&["cancel", "report"]);
    assert_eq!(offered(&user, &["cancel", "rep"]), Vec::<String>::new(), "it has ended");
    assert_eq!(offered(&user, &["-n", "elsewhere", "show", "re"]), Vec::<String>::new(), "another namespace");
    assert_eq!(offered(&user, &["add", "re"]), Vec::<String>::new(), "a new id is nobody's");
}

#[test]
fn without_a_redis_that_answers_nothing_is_offered_and_nothing_said() {
    let server = RedisServer::fresh();
    server.freeze();
    for url in
        ["redis://127.0.0.1:1".to_owned(), "unix:///nowhere.sock".to_owned(), "http://x".to_owned(), server.url()]
    {
        let user = Upbeat::at(&url);
        assert_eq!(offered(&user, &["show", "a"]), Vec::<String>::new(), "{url}");
        assert_eq!(offered(&user, &["sho"]), ["show"], "{url}");
    }
    server.thaw();
}

/// What bash itself would offer for a line, by the function that the script defines.
fn bash(user: &Upbeat, line: &str) -> Vec<String> {
    let mut command = Command::new("bash");
    let program = program();
    let bin = std::path::Path::new(program.get_program()).parent().unwrap().display().to_string();
    // The words as bash takes them apart are not needed: the function reads the line.
    let script = format!(
        "PATH={bin}:$PATH; source <(upbeat completions bash); \
         COMP_LINE={line:?}; COMP_POINT=${{#COMP_LINE}}; _upbeat_complete upbeat; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    command.args(["--norc", "-c", &script]);
    for (name, value) in user.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let told = command.env("LC_ALL", "C.UTF-8").current_dir(user.dir()).output().unwrap();
    assert!(told.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_is_offered_what_goes_on_where_it_took_the_word_apart() {
    let (_server, user) = stocked();
    user.file("my jobs.toml", "");
    for (line, wanted) in [
        ("upbeat show rep", &["report"][..]),
        ("upbeat show eu:", &["daily", "hourly"]),
        ("upbeat show eu:d", &["daily"]),
        ("upbeat show 'eu:d", &["eu:daily"]),
        ("upbeat show 日", &["日报"]),
        ("upbeat next --tz=Asia/Shang", &["Asia/Shanghai"]),
        ("upbeat apply -f my", &["my\\ jobs.toml"]),
        ("upbeat -n elsewhere show re", &[]),
    ] {
        let mut offered = bash(&user, line);
        offered.sort();
        assert_eq!(offered, wanted, "{line}");
    }
    let at = user.json(&["runs", "report"])[0]["fire_at"].as_str().unwrap().to_owned();
    assert_eq!(bash(&user, "upbeat logs report@"), [at.as_str()]);
    let (hour, rest) = at.split_once(':').unwrap();
    assert_eq!(bash(&user, &format!("upbeat logs report@{hour}:")), [rest]);
}

#[test]
fn each_shell_gets_a_script_that_it_understands() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = user.ok(&["completions", shell]);
        assert!(script.contains("COMPLETE") && script.contains("upbeat"), "{shell}: {script}");
    }
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        user.file("script", &user.ok(&["completions", shell]));
        match Command::new(shell).arg(check).arg(user.dir().join("script")).output() {
            Ok(told) => assert!(told.status.success(), "{shell}: {}", String::from_utf8_lossy(&told.stderr)),
            Err(_) => eprintln!("skipped: no {shell}"),
        }
    }
}
