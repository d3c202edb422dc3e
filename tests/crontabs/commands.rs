//! The commands and their standard input, as cron hands them to the shell.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use upbeat::domain::action::Action;

use crate::corpus::{self, Line};
use crate::debian;
use crate::support::wait::{DEADLINE, wait_for};

/// What only a command shows: percent signs and backslashes in every order.
const ODD: [&str; 14] = [
    r"a%b",
    r"a%",
    r"a%%",
    r"a%b%c%",
    r"a\%b",
    r"a\\%b",
    r"a\\\%b",
    r"a\\b",
    r"a\b\c",
    r"a\\\\b",
    r"a%b\%c",
    r"a%b\\%c",
    r"a%\%",
    r"a\%b%c\%d%e\f",
];

/// The command that the shell got, and what it could read.
type Got = (String, String);

/// Runs each line once by cron, with a shell that writes down what it gets.
fn got_by_cron(lines: &[&Line]) -> Vec<Got> {
    let folder = tempfile::tempdir().unwrap();
    let shell = folder.path().join("shell");
    // $LOGNAME is the name of the line, because each user is called as his crontab.
    let script = "#!/bin/sh\ncd \"${0%/*}\" && printf %s \"$2\" >\"$LOGNAME.command\" && cat >\"$LOGNAME.tmp\" && \
                  mv \"$LOGNAME.tmp\" \"$LOGNAME.input\"\n";
    fs::write(&shell, script).unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o700)).unwrap();
    let library = debian::running_library().unwrap();
    let from = 30_000_000;
    debian::daemon(&library, lines, "UTC", from, from + 1, &[("SHELL", shell.to_str().unwrap())]);
    let read = |name: &str, kind: &str| {
        let path = folder.path().join(format!("{name}.{kind}"));
        wait_for("the command of a line", DEADLINE, || path.exists());
        fs::read_to_string(path).unwrap()
    };
    lines
        .iter()
        .map(|line| {
            let input = read(&line.name, "input");
            (read(&line.name, "command"), input)
        })
        .collect()
}

/// The same, by the entry.
fn got_by_entry(line: &Line) -> Option<Got> {
    let entry = line.imported().0.ok()?;
    let Action::Shell(command) = &entry.action else { panic!("{:?}", line.text) };
    let input = entry.payload_bytes().map(|input| String::from_utf8(input).unwrap()).unwrap_or_default();
    Some((command.clone(), input))
}

#[test]
fn every_command_and_its_input_is_what_debians_cron_hands_to_the_shell() {
    if !debian::is_here() {
        return;
    }
    // The time of a user's line does not matter here, only what follows its fifth word.
    let commands = corpus::of_debian().into_iter().filter(|line| line.name.starts_with("debian_user"));
    let commands = commands.filter_map(|line| {
        let words: Vec<&str> = line.text.trim().splitn(6, [' ', '\t']).collect();
        words.get(5).filter(|_| line.text.starts_with("0 5 * * *")).map(|command| (*command).to_owned())
    });
    let lines: Vec<Line> = (commands.chain(ODD.map(str::to_owned)).enumerate())
        .map(|(at, command)| Line::of(format!("command_{at}"), format!("* * * * * {command}")))
        .collect();
    assert!(lines.len() > 50);
    let lines: Vec<&Line> = lines.iter().collect();
    for (line, got) in lines.iter().zip(got_by_cron(&lines)) {
        assert_eq!(got_by_entry(line).unwrap(), got, "{:?}", line.text);
    }
}
