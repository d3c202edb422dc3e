//! From an attempt to a job that a supervisor can start: argv, program, folder, environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use super::secret::{Mask, Vault};
use super::wire::Job;
use super::{Attempt, Refused};
use crate::domain::span::Span;
use crate::node::huge_pages;

/// Passed from the node to every command.
const PASSED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// Where programs are looked for when neither entry nor node has a PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What this node gives to every job.
#[derive(Debug)]
pub(super) struct Jobs {
    passed_on: BTreeMap<OsString, OsString>,
    kill_after: Span,
}

impl Jobs {
    /// Reads the variables that commands see: the usual ones and `names`.
    pub(super) fn new(names: &[String], kill_after: Span) -> Self {
        let names = PASSED.into_iter().chain(names.iter().map(String::as_str));
        let passed_on = names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
        Self { passed_on, kill_after }
    }

    /// The job of `attempt`, whose argv is `argv`; secrets are read from `vault` and put under `mask`.
    pub(super) fn prepare(
        &self,
        attempt: &Attempt,
        argv: Vec<OsString>,
        vault: &Vault,
        mask: &mut Mask,
        result: Option<&Path>,
    ) -> Result<Job, Refused> {
        let mut env = self.passed_on.clone();
        for (name, value) in &attempt.env {
            check_variable(name)?;
            env.insert(name.into(), vault.open(value, mask)?);
        }
        for (name, value) in attempt.context.facts() {
            env.insert(format!("UPBEAT_{name}").into(), value.into());
        }
        env.extend(result.map(|path| ("UPBEAT_RESULT".into(), path.into())));

        let cwd = attempt.cwd.as_deref().map(folder).transpose()?;
        let name = argv.first().filter(|name| !name.is_empty()).ok_or_else(|| Refused("no program is named".into()))?;
        let path = env.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
        let program = find(name, path)?;
        let env = env.into_iter().collect();
        Ok(Job {
            kill_after_ms: self.kill_after.0,
            program,
            argv,
            env,
            cwd,
            result: result.map(Path::to_owned),
            has_huge_pages: huge_pages::are_off_by_us(),
        })
    }
}

fn check_variable(name: &str) -> Result<(), Refused> {
    match name {
        _ if name.is_empty() || name.contains('=') => Err(Refused(format!("variable {name:?} has no valid name"))),
        _ if name.starts_with("UPBEAT_") => Err(Refused(format!("variable {name:?} is upbeat's own"))),
        _ => Ok(()),
    }
}

/// A folder, relative to this node's.
fn folder(name: &str) -> Result<PathBuf, Refused> {
    match std::fs::metadata(name) {
        Ok(found) if found.is_dir() => Ok(absolute(Path::new(name))),
        Ok(_) => Err(Refused(format!("cwd {name:?} is not a folder"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Refused(format!("cwd {name:?} does not exist on this node")))
        }
        Err(error) => Err(Refused(format!("cwd {name:?} can't be used: {error}"))),
    }
}

/// The program that `name` means: a path, relative to this node's folder and not to `cwd`, or looked for on `path`.
fn find(name: &OsStr, path: &OsStr) -> Result<OsString, Refused> {
    let shown = name.to_string_lossy();
    if name.as_bytes().contains(&b'/') {
        let program = absolute(Path::new(name));
        if !program.exists() {
            return Err(Refused(format!("program {shown:?} does not exist on this node")));
        }
        return is_program(&program)
            .then(|| program.into())
            .ok_or_else(|| Refused(format!("program {shown:?} is not executable")));
    }
    let mut is_there = false;
    for folder in std::env::split_paths(path) {
        let program = absolute(&folder.join(name));
        if is_program(&program) {
            return Ok(program.into());
        }
        is_there |= program.is_file();
    }
    Err(Refused(match is_there {
        true => format!("program {shown:?} is on PATH, but not executable"),
        false => format!("program {shown:?} is not on PATH"),
    }))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && eaccess(path, AccessFlags::X_OK).is_ok()
}

fn absolute(path: &Path) -> PathBuf {
    // Fails for an empty path only, or where this node's own folder is gone: then the path stays as it is and fails
    // when used.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_that_counts() {
        assert_eq!(find(OsStr::new("sh"), OsStr::new("/nowhere:/bin")).expect("found"), "/bin/sh");
        let refused = find(OsStr::new("sh"), OsStr::new("/nowhere")).expect_err("not there");
        assert_eq!(refused.0, "program \"sh\" is not on PATH");
    }

    #[test]
    fn what_is_no_program_is_refused_by_name() {
        for (name, words) in
            [("/etc/passwd", "is not executable"), ("./no-such", "does not exist"), ("/etc", "is not executable")]
        {
            let refused = find(OsStr::new(name), OsStr::new("/bin")).expect_err("refused");
            assert!(refused.0.contains(words) && refused.0.contains(name), "{}", refused.0);
        }
    }
}
