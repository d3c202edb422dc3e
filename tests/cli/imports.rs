//! `upbeat import`: what other schedulers have, as files for `apply`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cli::Upbeat;

fn user() -> Upbeat {
    Upbeat::at("redis://127.0.0.1:1")
}

#[test]
fn a_folder_of_system_crontabs_becomes_one_file_without_what_cron_passes_over() {
    let user = user();
    fs::create_dir_all(user.dir().join("cron.d")).unwrap();
    user.file("cron.d/php", "SHELL=/bin/sh\n9,39 * * * * root sessionclean\n");
    user.file("cron.d/old.bak", "* * * * * root never\n");
    user.file("cron.d/.placeholder", "x\n");
    user.file("cron.d/sysstat", "@reboot root boot\n*/10 * * * * root sa1 1 1\n");
    let outcome = user.run(&["import", "crontab", "cron.d", "--tz", "Europe/Berlin"]).expect_code(0);
    for said in ["[entries.\"php.sessionclean\"]", "[entries.\"sysstat.sa1-1-1\"]", "\"runuser\""] {
        assert!(outcome.stdout.contains(said), "{said} is not in\n{}", outcome.stdout);
    }
    for said in [
        "cron.d/old.bak is left out: Debian's cron reads no file of that name",
        "cron.d/sysstat: line 1 refused: @reboot",
        "only as root",
        "3 read, 2 written, 1 not carried over",
    ] {
        assert!(outcome.stderr.contains(said), "{said} is not in\n{}", outcome.stderr);
    }
    let cronie = user.run(&["import", "crontab", "cron.d", "--dialect", "cronie"]).expect_code(0);
    assert!(cronie.stdout.contains("old.bak.never"), "{}", cronie.stdout);
}

#[test]
fn a_system_crontab_is_known_by_its_place_and_by_its_lines() {
    let user = user();
    fs::create_dir_all(user.dir().join("etc")).unwrap();
    user.file("etc/crontab", "17 * * * * ana /x\n");
    user.file("plain", "@daily root /x\n");
    user.file("mixed", "@daily root /x\n@daily /y\n");
    for (file, is_system) in [("etc/crontab", true), ("plain", true), ("mixed", false)] {
        let outcome = user.run(&["import", "crontab", file, "--tz", "UTC"]).expect_code(0);
        assert_eq!(outcome.stdout.matches("[entries.").count(), 1, "{file}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.contains("is read as a system crontab"), is_system, "{}", outcome.stderr);
    }
    assert_eq!(user.error(2, &["import", "crontab", "--dialect", "vixie", "plain"])["field"], "dialect");
    assert_eq!(user.error(2, &["import", "crontab", "--run-as", "su", "plain"])["field"], "run-as");
    assert_eq!(user.error(2, &["import", "crontab", "--home", "srv", "plain"])["field"], "home");
    assert_eq!(user.error(2, &["import", "crontab", "nowhere"])["field"], "file");
    user.file("anacrontab", "1 5 cron.daily run-parts /etc/cron.daily\n");
    assert!(
        user.error(2, &["import", "crontab", "anacrontab"])["hint"].as_str().unwrap().contains("--catch-up latest")
    );
}

const MANIFEST: &str = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: hello, namespace: prod}\nspec:\n  schedule: \
                        '*/5 * * * *'\n  jobTemplate: {spec: {template: {spec: {containers: [{image: a, command: [date]}]}}}}\n";

#[test]
fn manifests_become_a_file_from_a_folder_and_from_a_pipe() {
    let user = user();
    fs::create_dir_all(user.dir().join("deploy")).unwrap();
    user.file("deploy/a.yaml", MANIFEST);
    user.file("deploy/readme.md", "no manifest");
    for (args, input) in [(["import", "k8s", "deploy"], ""), (["import", "k8s", "-"], MANIFEST)] {
        let outcome = user.run_with_input(&args, input).expect_code(0);
        assert!(
            outcome.stdout.contains("[entries.\"prod.hello\"]\ncron = \"*/5 * * * *\"\nexec = [\"date\"]"),
            "{}",
            outcome.stdout
        );
        assert!(outcome.stderr.contains("no container comes along"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("1 read, 1 written, 0 not carried over"), "{}", outcome.stderr);
    }
    assert_eq!(user.error(2, &["import", "k8s", "--run", "docker", "deploy"])["field"], "run");
}

/// Stands for a cluster: a Job is a file with its state, which ends when it was looked at twice.
const KUBECTL: &str = r#"#!/bin/sh
jobs=${0%/*}/jobs; [ "$1" = -n ] && { echo "in $2" >>"$jobs/namespaces"; shift 2; }
echo "$*" >>"$jobs/calls"
case $1 in
  get) [ -f "$jobs/$3" ] || exit 1
    case $5 in
      *deletionTimestamp*) echo "$3/" ;;
      *) echo x >>"$jobs/$3"; [ "$(wc -l <"$jobs/$3")" -gt 2 ] && cat "$jobs/end" || true ;;
    esac ;;
  create) [ -f "$jobs/$3" ] && exit 1; : >"$jobs/$3" ;;
  logs) echo "words of $2" ;;
esac
"#;

#[test]
fn a_run_makes_one_job_of_the_cron_job_however_often_it_is_attempted_and_ends_as_it_ends() {
    let user = user();
    user.file("a.yaml", MANIFEST);
    let outcome = user.run(&["import", "k8s", "--run", "kubectl", "-o", "json", "a.yaml"]).expect_code(0);
    let file: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let words: Vec<&str> =
        file["entries"]["prod.hello"]["exec"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let jobs = user.dir().join("jobs");
    fs::create_dir_all(&jobs).unwrap();
    user.file("kubectl", KUBECTL);
    fs::set_permissions(user.dir().join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |id: &str| {
        let path = format!("{}:/usr/bin:/bin", user.dir().display());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("PATH", path).env("UPBEAT_RUN_ID", id).output().unwrap()
    };
    fs::write(jobs.join("end"), "Complete\n").unwrap();
    let first = run("019aa5d3-1f40-8abc-8def-0123456789ab");
    assert!(first.status.success(), "{first:?}");
    assert_eq!(String::from_utf8_lossy(&first.stdout), "words of job/hello-019aa5d31f40\n");
    let again = run("019aa5d3-1f40-8abc-8def-0123456789ab");
    assert!(again.status.success(), "{again:?}");
    fs::write(jobs.join("end"), "Failed\n").unwrap();
    assert_eq!(run("019aa5d3-ffff-8abc-8def-0123456789ab").status.code(), Some(1));
    let made =
        |calls: &Path| fs::read_to_string(calls).unwrap().lines().filter(|line| line.starts_with("create")).count();
    assert_eq!(made(&jobs.join("calls")), 2, "one Job for each run id");
    let calls = fs::read_to_string(jobs.join("calls")).unwrap();
    assert!(calls.contains("create job hello-019aa5d31f40 --from=cronjob/hello"), "{calls}");
    assert!(fs::read_to_string(jobs.join("namespaces")).unwrap().contains("in prod"));
    assert_eq!(file["entries"]["prod.hello"]["labels"], json!({"k8s_namespace": "prod", "image": "a"}));
}

#[test]
fn a_redbeat_that_can_not_be_reached_is_told_in_plain_words() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    for (url, hint) in [
        ("redis://127.0.0.1:1/0", "is it running? another one: upbeat import redbeat URL"),
        ("unix:///nowhere/redis.sock", "is it running, and may you open the socket?"),
    ] {
        let told = user.run(&["import", "redbeat", url, "--tz", "UTC"]).expect_code(5);
        assert!(told.stdout.is_empty() && !told.stderr.contains("Os {"), "{}", told.stderr);
        assert!(told.stderr.contains(url.trim_end_matches("/0")) && told.stderr.contains(hint), "{}", told.stderr);
    }
}
