//! Debian's own cron, unchanged, on another clock and with another root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::corpus::Line;
use crate::support;

/// What cron did with each line.
#[derive(Debug, Default)]
pub struct Did {
    /// The minutes since 1970 in which it ran a line, each once.
    pub ran: BTreeMap<String, BTreeSet<i64>>,
    /// The lines that it could not read.
    pub unread: BTreeSet<String>,
}

/// Whether cron of Debian and a C compiler are here; says it where they are not.
pub fn is_here() -> bool {
    let found = support::setting("UPBEAT_DEBIAN_CRON").is_some() && library().is_some();
    if !found {
        eprintln!("left out: Debian's cron is not on this machine, or no C compiler (scripts/setup --test)");
    }
    found
}

fn library() -> Option<&'static PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| build("clockwork.so", &[])).as_ref()
}

/// The library for a daemon that is to run its jobs.
pub fn running_library() -> Option<PathBuf> {
    build("clockwork-run.so", &["-DRUN"])
}

fn build(name: &str, flags: &[&str]) -> Option<PathBuf> {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crontabs/clockwork.c");
    let mut cc = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args(flags).arg(source).arg("-ldl");
    cc.status().is_ok_and(|status| status.success()).then_some(library)
}

/// Gives each line to cron as a crontab of its own, because one that it can't read makes it ignore the rest, and runs it in
/// a zone from one minute up to another.
pub fn run(lines: &[&Line], zone: &str, from: i64, until: i64) -> Did {
    let out = daemon(library().unwrap(), lines, zone, from, until, &[]);
    let mut did = Did::default();
    for line in out.lines() {
        if let Some(said) = line.strip_prefix("! ") {
            if let Some((name, _)) = said.strip_prefix('(').and_then(|said| said.split_once(") ERROR (Syntax error")) {
                did.unread.insert(name.trim_start_matches("*system*").to_owned());
            }
            continue;
        }
        let (at, name) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let minute = at.parse::<i64>().unwrap() / 60;
        if minute < until {
            did.ran.entry(name.to_owned()).or_default().insert(minute);
        }
    }
    did
}

/// Runs the daemon from one minute up to another, and returns what the library wrote down.
pub fn daemon(
    library: &Path,
    lines: &[&Line],
    zone: &str,
    from: i64,
    until: i64,
    variables: &[(&str, &str)],
) -> String {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/cron.d", "var/spool/cron/crontabs", "run", "var/run"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("etc/crontab"), "").unwrap();
    for line in lines {
        let folder = if line.is_system { "etc/cron.d" } else { "var/spool/cron/crontabs" };
        let path = root.path().join(folder).join(&line.name);
        let variables: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(&path, format!("{variables}{}\n", line.text)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let out = root.path().join("out");
    // It runs nothing in the minute in which it starts.
    let status = Command::new(support::setting("UPBEAT_DEBIAN_CRON").unwrap())
        .args(["-f", "-L", "0"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("TZ", zone)])
        .env("LD_PRELOAD", library)
        .env("CLOCKWORK_ROOT", root.path())
        .env("CLOCKWORK_FROM", ((from - 1) * 60).to_string())
        .env("CLOCKWORK_UNTIL", (until * 60).to_string())
        .env("CLOCKWORK_OUT", &out)
        .status()
        .unwrap();
    assert!(status.success(), "cron ended with {status}");
    String::from_utf8_lossy(&fs::read(&out).unwrap()).into_owned()
}
