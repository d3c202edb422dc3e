//! What people type from habit: each is answered in our form, with a way out, and nothing is done.

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::redis::RedisServer;
use crate::{refused, user_of};

/// Lines as they are typed, and what the way out names.
const MISTAKES: &[(&str, &str)] = &[
    // Celery, RedBeat, Sidekiq, BullMQ
    ("beat", "upbeat node"),
    ("worker -c 4", "upbeat node"),
    ("inspect active", "upbeat nodes"),
    ("revoke 1234", "upbeat cancel"),
    ("purge", "upbeat dead purge"),
    ("quiet", "upbeat pause"),
    ("enqueue a", "upbeat trigger"),
    ("obliterate a", "upbeat rm"),
    ("promote a", "upbeat trigger"),
    // APScheduler
    ("add_job a", "upbeat add"),
    ("remove_job a", "upbeat rm"),
    ("print_jobs", "upbeat ls"),
    ("reschedule_job a", "upbeat set"),
    // kubectl, Airflow
    ("create cronjob a --image=x", "upbeat add"),
    ("edit a", "upbeat set"),
    ("rollout undo", "upbeat rollback"),
    ("explain a", "upbeat why"),
    ("dags list", "upbeat ls"),
    ("webserver", "upbeat nodes"),
    ("scheduler", "upbeat node"),
    // systemd, cron
    ("list-timers", "upbeat ls"),
    ("journalctl -u a", "upbeat logs"),
    ("daemon-reload", "upbeat apply"),
    ("status a", "upbeat ls"),
    ("restart a", "upbeat trigger"),
    ("crontab -l", "upbeat ls"),
    ("crontab -e", "upbeat import crontab"),
    // groups
    ("dead lst", "upbeat dead ls"),
    ("dead requeue a", "upbeat dead retry"),
    ("dead clear", "upbeat dead purge"),
    ("calendars add x", "upbeat calendars put"),
    ("calendars shwo x", "upbeat calendars show"),
    ("nodes ls", "upbeat nodes"),
    ("nodes kill a", "SIGTERM"),
    ("queues list", "upbeat queues"),
    ("import cron", "upbeat import crontab"),
    ("bench clam", "did you mean upbeat bench claim?"),
    // flags
    ("ls --state failed", "upbeat runs --state failed"),
    ("ls --json", "-o table, json, jsonl or id"),
    ("ls -a", "UPBEAT_REDIS_PASSWORD_FILE"),
    ("ls -l", "upbeat ls --help"),
    ("runs -l team=x", "upbeat ls -l"),
    ("runs --failed", "--state failed"),
    ("runs --tail 5", "--limit N"),
    ("logs a --tail 5", "--limit N"),
    ("events --since-id 5", "--since"),
    ("add a --timezone UTC --every 1h -- true", "--tz ZONE"),
    ("add a --interval 5m -- true", "--every DURATION"),
    ("add a --schedule x -- true", "--cron EXPRESSION"),
    ("add a --retries 3 --every 1h -- true", "--retry max_attempts=N"),
    ("add a --max-instances 1 --every 1h -- true", "--overlap skip"),
    ("add a --misfire-grace-time 60 --every 1h -- true", "--start-within"),
    ("add a -every 5m -- true", "write --every"),
    ("add a -cron @daily -- true", "write --cron"),
    ("add a —every 5m -- true", "write --every"),
    ("add a --evry 5m -- true", "did you mean --every?"),
    ("pause a --untl 5m", "did you mean --until?"),
    ("node --workers 4", "--concurrency N"),
    ("node --queue a", "--queues Q"),
    ("trigger a --conf {}", "--payload JSON"),
    ("trigger a --args x", "upbeat trigger ID -- MORE ARGS"),
    ("backfill a --start-date 2026-01-01", "--from T"),
    ("next --cron @daily --limit 3", "--count N"),
    ("why a --date 2026-11-20", "--at T"),
    ("ls --host localhost", "--redis redis://HOST:PORT/DB"),
    ("ls -A", "-n NS"),
    ("show a --state x", "runs has it"),
    ("rm a --force", "write -y"),
    // values
    ("add a --every 1h --overlap queue -- true", "buffer_one"),
    ("add a --every 1h --overlap Forbid -- true", "write skip"),
    ("add a --every 1h --catch-up true -- true", "write latest"),
    ("add a --every 1h --catch-up false -- true", "write none"),
    ("add a --every 1h --delivery exactly_once -- true", "at_least_once"),
    ("runs --state done", "write succeeded"),
    ("runs --state pending", "waiting or queued"),
    ("runs --trigger cron", "write scheduled"),
    ("ls -o yaml", "write json"),
    ("ls -o wide", "cuts nothing off"),
    ("node --allow bash", "write shell"),
    ("completions ksh", "write bash"),
    ("add a --every 300 -- true", "unit"),
    // words
    ("add '*/5 * * * *' cmd", "upbeat add ID --cron '*/5 * * * *' -- cmd"),
    ("add a '0 2 * * *' ./b.sh", "upbeat add a --cron '0 2 * * *' -- ./b.sh"),
    ("add a --every 1h ./b.sh", "upbeat add a ... -- ./b.sh"),
    ("add a every 5m -- true", "upbeat add a --every 5m -- true"),
    ("add a every 5m true", "upbeat add a --every 5m -- true"),
    ("add --every 5m -- true", "upbeat add ID"),
    ("add a --cron=*/5 x y z w -- true", "quote it"),
    ("'*/5 * * * *'", "upbeat next --cron '*/5 * * * *'"),
    ("show", "upbeat show ID"),
    ("backfill a", "--from T --to T"),
    ("apply", "--file FILE"),
    ("import", "crontab"),
    ("cancel", "upbeat cancel RUN"),
    ("help nonsense", "upbeat help"),
    ("runs show", "upbeat runs show RUN"),
    ("trigge a", "did you mean trigger?"),
    ("xyzzy", "upbeat help lists all"),
];

fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

#[test]
fn every_habit_of_another_program_gets_our_error_and_a_way_out() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let mut offences = Vec::new();
    for (line, way_out) in MISTAKES {
        let words = split(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let told = user.run(&words);
        let form = told.stdout.is_empty() && told.stderr.starts_with("error: ") || *line == "import";
        if told.code != Some(2) || !form || !told.stderr.contains(way_out) {
            offences.push(format!("{line}: {:?}\n{}{}", told.code, told.stdout, told.stderr));
        }
        if told.stderr.contains("tip:") || told.stderr.contains("similar") {
            offences.push(format!("{line}: clap's own words\n{}", told.stderr));
        }
        let json: Vec<&str> = ["-o", "json"].iter().chain(&words).copied().collect();
        if line.contains("-o ") {
            continue;
        }
        let told = user.run(&json);
        let object: Value = serde_json::from_str(&told.stderr).unwrap_or_default();
        let hint = object["error"]["hint"].as_str().unwrap_or_default();
        if told.code != Some(2) || !told.stdout.is_empty() || object["error"]["code"] != "invalid" || hint.is_empty() {
            offences.push(format!("{line} as JSON: {:?}\n{}", told.code, told.stderr));
        }
    }
    assert!(offences.is_empty(), "{} of {}:\n{}", offences.len(), MISTAKES.len(), offences.join("\n"));
}

#[test]
fn a_kind_before_an_id_is_said_to_be_too_much() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    for (args, hint) in [
        (&["get", "cronjobs"][..], "upbeat ls lists entries"),
        (&["describe", "nodes"], "upbeat nodes"),
        (&["runs", "list"], "upbeat runs lists them"),
        (&["delete", "cronjob", "a"], "upbeat ls lists entries"),
    ] {
        let (line, told) = refused(&user, 3, args);
        assert!(line.contains("does not exist") && told.contains(hint), "{args:?}: {line}\n{told}");
    }
    assert_eq!(user.ok(&["ls", "-o", "id"]), "a\n", "nothing half done");
}

/// All paths of commands, asked of the help itself.
pub fn paths(user: &Upbeat) -> Vec<String> {
    let mut paths = Vec::new();
    for name in names(&user.ok(&["help"])) {
        if name == "help" {
            continue;
        }
        let below: Vec<String> = match user.ok(&[&name, "--help"]).split_once("\nCommands:\n") {
            Some((_, list)) => {
                let lines =
                    list.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
                let words = lines.filter_map(|line| line.split_whitespace().next());
                words.filter(|word| *word != "help").map(|word| format!("{name} {word}")).collect()
            }
            None => Vec::new(),
        };
        paths.push(name);
        paths.extend(below);
    }
    paths
}

/// The first words of the groups of the first page.
fn names(help: &str) -> Vec<String> {
    let lines = help.lines().take_while(|line| !line.starts_with("Common:"));
    let lines = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_command_refuses_a_flag_that_it_does_not_have_in_our_form() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let paths = paths(&user);
    assert!(paths.len() > 35, "{paths:?}");
    for path in paths {
        let words: Vec<&str> = path.split(' ').chain(["--nonsense"]).collect();
        let (line, hint) = refused(&user, 2, &words);
        assert!(line.contains("--nonsense") && !hint.is_empty(), "{path}: {line}\n{hint}");
        let error = user.error(2, &words);
        assert!(error["field"] == "--nonsense" && error["hint"].is_string(), "{path}: {error}");
    }
}
