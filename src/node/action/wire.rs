//! What a node and the supervisor of a command say to each other over the control socket.
//!
//! The node sends one [`Job`], then single bytes ([`TERMINATE`], [`KILL`]); its end of file means that the node is
//! gone. The supervisor answers with lines, [`Report`]; its end of file without a last line means that the supervisor
//! is gone.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::Refused;

/// Ask the command to end: SIGTERM to its group, SIGKILL after [`Job::kill_after_ms`].
pub(super) const TERMINATE: u8 = b't';
/// SIGKILL at once.
pub(super) const KILL: u8 = b'k';

/// Greatest job that a supervisor reads, bytes; beyond what the kernel takes as arguments and environment.
const JOB_MAX_BYTES: usize = 8 * 1024 * 1024;

/// One command, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// From SIGTERM to SIGKILL.
    pub(super) kill_after_ms: u64,
    /// Absolute path of the program.
    pub(super) program: OsString,
    /// The argv, the program's name as the user wrote it included.
    pub(super) argv: Vec<OsString>,
    /// The whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The folder to start in; `None`: the node's.
    pub(super) cwd: Option<PathBuf>,
    /// The file to remove when the node can't do it any more.
    pub(super) result: Option<PathBuf>,
    /// The node has switched huge pages off for itself: the command gets them back.
    pub(super) has_huge_pages: bool,
}

impl Job {
    /// Length, then fields that end with a NUL, which none of them can hold: the form in which the kernel keeps them,
    /// too.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Refused> {
        let mut bytes = vec![0; 4];
        let mut put = |what: &str, field: &OsStr| {
            if field.as_bytes().contains(&0) {
                return Err(Refused(format!("{what} holds a NUL byte")));
            }
            bytes.extend_from_slice(field.as_bytes());
            bytes.push(0);
            Ok(())
        };
        put("kill_after", OsStr::new(&self.kill_after_ms.to_string()))?;
        put("program", &self.program)?;
        put("cwd", self.cwd.as_deref().map_or(OsStr::new(""), |path| path.as_os_str()))?;
        put("result", self.result.as_deref().map_or(OsStr::new(""), |path| path.as_os_str()))?;
        put("huge pages", OsStr::new(if self.has_huge_pages { "1" } else { "" }))?;
        put("argv", OsStr::new(&self.argv.len().to_string()))?;
        for argument in &self.argv {
            put("an argument", argument)?;
        }
        for (name, value) in &self.env {
            put("a variable's name", name)?;
            put(&format!("variable {}", name.to_string_lossy()), value)?;
        }
        let length = bytes.len() - 4;
        if length > JOB_MAX_BYTES {
            return Err(Refused(format!("arguments and environment are longer than {JOB_MAX_BYTES} bytes")));
        }
        bytes[..4].copy_from_slice(&u32::try_from(length).expect("bounded above").to_le_bytes());
        Ok(bytes)
    }

    /// Reads what [`Job::encode`] made.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > JOB_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes)?;
        Self::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields =
            bytes.strip_suffix(&[0])?.split(|&byte| byte == 0).map(|field| OsString::from_vec(field.to_vec()));
        let kill_after_ms = fields.next()?.to_str()?.parse().ok()?;
        let program = fields.next()?;
        let path = |field: OsString| (!field.is_empty()).then(|| PathBuf::from(field));
        let cwd = path(fields.next()?);
        let result = path(fields.next()?);
        let has_huge_pages = !fields.next()?.is_empty();
        let arguments: usize = fields.next()?.to_str()?.parse().ok()?;
        let argv: Vec<_> = fields.by_ref().take(arguments).collect();
        let mut env = Vec::new();
        while let Some(name) = fields.next() {
            env.push((name, fields.next()?));
        }
        (argv.len() == arguments).then_some(Self { kill_after_ms, program, argv, env, cwd, result, has_huge_pages })
    }
}

/// What a supervisor reports: first [`Report::Started`] or [`Report::Refused`], then how the command's leader ended,
/// once nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// The process id of the leader, which is also its group and session.
    Started(i32),
    /// The command could not be started.
    Refused(String),
    /// The leader exited with this code.
    Exited(i32),
    /// This signal ended the leader.
    Signalled(i32),
}

impl Report {
    /// The line, with its newline.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Started(pid) => format!("started {pid}\n"),
            Self::Refused(why) => format!("refused {}\n", why.replace('\n', " ")),
            Self::Exited(code) => format!("exited {code}\n"),
            Self::Signalled(signal) => format!("signalled {signal}\n"),
        }
    }

    /// Reads [`Report::line`]; `None` for what a supervisor never says (a panic message, say).
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.trim_end().split_once(' ')?;
        Some(match word {
            "started" => Self::Started(rest.parse().ok()?),
            "refused" => Self::Refused(rest.to_owned()),
            "exited" => Self::Exited(rest.parse().ok()?),
            "signalled" => Self::Signalled(rest.parse().ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_arrives_as_it_was_sent() {
        let job = Job {
            kill_after_ms: 10_000,
            program: "/bin/echo".into(),
            argv: vec!["echo".into(), "".into(), "a\nb".into(), OsString::from_vec(vec![0xff])],
            env: vec![("A".into(), "".into()), ("B".into(), "b=c".into())],
            cwd: None,
            result: Some("/tmp/x".into()),
            has_huge_pages: true,
        };
        let bytes = job.encode().expect("no NUL");
        assert_eq!(Job::read(&mut bytes.as_slice()).expect("whole"), job);
    }

    #[test]
    fn a_nul_byte_is_refused_by_name() {
        let job = Job {
            kill_after_ms: 0,
            program: "/bin/echo".into(),
            argv: vec!["a\0b".into()],
            env: vec![],
            cwd: None,
            result: None,
            has_huge_pages: false,
        };
        assert_eq!(job.encode().expect_err("a NUL").0, "an argument holds a NUL byte");
    }

    #[test]
    fn reports_read_back() {
        for report in [Report::Started(7), Report::Refused("no such".into()), Report::Exited(3), Report::Signalled(9)] {
            assert_eq!(Report::parse(&report.line()), Some(report));
        }
        assert_eq!(Report::parse("thread 'main' panicked"), None);
    }
}
