//! Help: the commands in their groups, and examples that work as they stand.

use crate::support::cli::Upbeat;

#[test]
fn the_first_page_lists_the_commands_in_the_groups_of_the_contract() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let page = user.ok(&["help"]);
    let heads: Vec<&str> = page.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(heads[..7], ["Start:", "Entries:", "Files:", "Runs:", "Know:", "Fleet:", "Tools:"], "{page}");
    let alone = user.run(&[]).expect_code(2);
    assert_eq!((alone.stdout.as_str(), alone.stderr.trim_end()), ("", page.trim_end()));
    assert_eq!(user.ok(&["--help"]), page);
    for name in ["add", "why", "calendars"] {
        assert!(page.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))), "{name}\n{page}");
    }
    assert_eq!(user.ok(&["help", "add"]), user.ok(&["add", "--help"]));
}

/// The examples of a command that touch no Redis.
fn examples(user: &Upbeat, command: &str) -> Vec<String> {
    let help = user.ok(&[command, "--help"]);
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let typed =
        lines.filter_map(|line| line.strip_prefix("  ")).map(|line| line.split("   ").next().unwrap_or_default());
    typed.map(str::to_owned).collect()
}

#[test]
fn examples_that_need_no_redis_work_as_they_stand() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_upbeat")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut ran = 0;
    for command in ["next", "completions"] {
        for line in examples(&user, command) {
            if line.contains("next report") {
                continue;
            }
            std::fs::create_dir_all(user.dir().join(".config/fish/completions")).unwrap();
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-ec", &line]).current_dir(user.dir()).env("HOME", user.dir()).env("PATH", &path);
            let ended = shell.output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success() && said.is_empty(), "{line}: {said}");
            ran += 1;
        }
    }
    assert!(ran >= 6, "{ran}");
}

/// Lines of the guide that are commands of upbeat: the words up to two blanks or a comma, without what the shell does with them.
fn typed(guide: &str) -> Vec<Vec<String>> {
    let starts = guide.match_indices("upbeat ").filter(|(at, _)| {
        let before = guide[..*at].chars().next_back();
        before.is_none_or(|c| c == ' ' || c == '\n')
    });
    let lines = starts.map(|(at, _)| guide[at..].split(['\n', ',', ';', '|', '>']).next().unwrap_or_default());
    let commands =
        lines.map(|line| line.split("  ").next().unwrap_or_default().split_whitespace().map(str::to_owned).collect());
    commands.collect()
}

#[test]
fn the_guide_for_moving_in_names_commands_and_flags_that_exist() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let guide = user.ok(&["help", "migrate"]);
    assert_eq!(guide, user.ok(&["-o", "json", "help", "migrate"]));
    for head in [
        "FROM CELERY BEAT",
        "FROM REDBEAT",
        "FROM CRONTABS",
        "FROM KUBERNETES CRONJOBS",
        "BullMQ",
        "Sidekiq",
        "APScheduler",
        "Airflow",
    ] {
        assert!(guide.contains(head), "{head}");
    }
    let page = user.ok(&["help"]);
    let mut seen = 0;
    for words in typed(&guide) {
        let command = words.get(1).map(String::as_str).unwrap_or_default();
        if !page.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))) {
            // A word of prose: "upbeat fires", "upbeat use".
            assert!(!words.iter().any(|word| word.starts_with("--")), "{words:?}");
            continue;
        }
        let mut path = vec![command];
        if command == "import" {
            path.push(&words[2]);
        }
        let help = user.ok(&[&path[..], &["--help"]].concat());
        for flag in words.iter().filter(|word| {
            word.starts_with("--") || word.starts_with('-') && word[1..].starts_with(char::is_alphabetic)
        }) {
            assert!(help.contains(flag.as_str()), "{words:?}: {flag}");
        }
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
}
