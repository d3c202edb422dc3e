//! Secrets: read by the node that runs an attempt, and cut out of everything that the attempt leaves.

use std::ffi::OsString;
use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::Refused;

/// Shorter values are not cut out: that would garble the output and tell the secret by its gaps.
pub(super) const CUT_MIN_BYTES: usize = 4;
/// Greatest secret, bytes.
const SECRET_MAX_BYTES: usize = 64 * 1024;
/// What stands for a secret; never longer than one.
const MARK: &[u8] = b"***";

/// Where this node finds secrets, and which of them entries may name.
#[derive(Debug, Clone)]
pub(super) struct Vault {
    /// `--secrets`: only these; `None`: all.
    pub(super) allowed: Option<Vec<String>>,
    /// `$UPBEAT_SECRETS_DIR`.
    pub(super) dir: Option<PathBuf>,
}

impl Vault {
    /// The value that `text` stands for: of `secret:NAME` the secret, which is put under `mask`; of all else itself.
    pub(super) fn open(&self, text: &str, mask: &mut Mask) -> Result<OsString, Refused> {
        let Some(name) = text.strip_prefix("secret:") else {
            return Ok(text.into());
        };
        let value = self.read(name).map_err(|why| Refused(format!("secret {name:?} {why}")))?;
        mask.add(value.as_bytes());
        Ok(value)
    }

    fn read(&self, name: &str) -> Result<OsString, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        // The name becomes a part of a path.
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err("is not a name: letters, digits, _ - . only".into());
        }
        if name.starts_with("UPBEAT_") {
            return Err("is upbeat's own: names that begin with UPBEAT_ are refused".into());
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.iter().any(|known| known == name)) {
            return Err("is not among the --secrets of this node".into());
        }
        if let Some(value) = std::env::var_os(name) {
            return Ok(value);
        }
        let Some(dir) = &self.dir else {
            return Err("is not a variable of this node, which has no UPBEAT_SECRETS_DIR either".into());
        };
        let mut bytes = Vec::new();
        std::fs::File::open(dir.join(name))
            .and_then(|file| file.take(SECRET_MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => "is neither a variable nor a file of this node".to_owned(),
                _ => format!("can't be read from its file: {error}"),
            })?;
        if bytes.len() > SECRET_MAX_BYTES {
            return Err(format!("is longer than {SECRET_MAX_BYTES} bytes"));
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Ok(OsString::from_vec(bytes))
    }
}

/// The secret values of one attempt.
#[derive(Default)]
pub(super) struct Mask {
    values: Vec<Vec<u8>>,
}

impl Mask {
    /// Cuts `value` out from now on, and each of its lines, for programs print a key line by line.
    pub(super) fn add(&mut self, value: &[u8]) {
        let lines = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        for part in std::iter::once(value).chain(lines) {
            if part.len() >= CUT_MIN_BYTES && !self.values.iter().any(|known| known == part) {
                self.values.push(part.to_vec());
            }
        }
    }

    /// So many bytes beyond a cut must be looked at, lest half a secret stays at the edge.
    pub(super) fn margin(&self) -> usize {
        self.values.iter().map(Vec::len).max().unwrap_or(0).saturating_sub(1)
    }

    /// Where in `bytes` begins what may be the front of a secret that goes on behind them; their end where nothing is.
    pub(super) fn front_of_one(&self, bytes: &[u8]) -> usize {
        let is_front = |at: &usize| self.values.iter().any(|value| value.starts_with(&bytes[*at..]));
        (bytes.len().saturating_sub(self.margin())..bytes.len()).find(is_front).unwrap_or(bytes.len())
    }

    /// `bytes[keep]` without secrets, those included that begin before it or end behind it.
    pub(super) fn hide(&self, bytes: &[u8], keep: Range<usize>) -> Vec<u8> {
        self.hide_next(bytes, keep, &mut false)
    }

    /// As [`Mask::hide`], where `was_secret` says whether the byte before was a secret's, and afterwards whether the last one
    /// is: two that follow each other have one mark.
    pub(super) fn hide_next(&self, bytes: &[u8], keep: Range<usize>, was_secret: &mut bool) -> Vec<u8> {
        if self.values.is_empty() {
            return bytes[keep].to_vec();
        }
        let mut is_secret = vec![false; bytes.len()];
        for value in &self.values {
            for at in 0..(bytes.len() + 1).saturating_sub(value.len()) {
                if bytes[at] == value[0] && bytes[at..].starts_with(value) {
                    is_secret[at..at + value.len()].fill(true);
                }
            }
        }
        let mut shown = Vec::with_capacity(keep.len());
        for at in keep {
            match is_secret[at] {
                true if !*was_secret => shown.extend_from_slice(MARK),
                true => {}
                false => shown.push(bytes[at]),
            }
            *was_secret = is_secret[at];
        }
        shown
    }

    /// `text` without secrets.
    pub(super) fn hide_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide(text.as_bytes(), 0..text.len())).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str]) -> Mask {
        let mut mask = Mask::default();
        values.iter().for_each(|value| mask.add(value.as_bytes()));
        mask
    }

    #[test]
    fn overlapping_secrets_leave_no_rest() {
        assert_eq!(mask(&["abcdef", "defghi"]).hide_text("x abcdefghi y"), "x *** y");
        assert_eq!(mask(&["abcd", "abcdefgh"]).hide_text("abcdefgh"), "***");
    }

    #[test]
    fn a_secret_across_either_edge_shows_no_part_of_itself() {
        let mask = mask(&["hunter22"]);
        assert_eq!(mask.hide(b"hunter22 and hunter22", 4..17), b"*** and ***");
        assert_eq!(mask.margin(), 7);
    }

    #[test]
    fn values_below_four_bytes_stay() {
        assert_eq!(mask(&["abc", ""]).hide_text("abc"), "abc");
    }

    #[test]
    fn a_key_is_cut_line_by_line() {
        assert_eq!(mask(&["first line\nsecond line\n"]).hide_text("> second line <"), "> *** <");
    }

    #[test]
    fn names_that_are_paths_or_upbeats_own_are_refused() {
        let vault = Vault { allowed: None, dir: Some("/".into()) };
        for name in ["../etc/passwd", "etc/passwd", ".hidden", "", "UPBEAT_REDIS"] {
            assert!(vault.open(&format!("secret:{name}"), &mut Mask::default()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_loses_its_last_newline_and_the_list_narrows() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("TOKEN_OF_A_TEST"), "hunter22\n").expect("a file");
        let mut vault = Vault { allowed: None, dir: Some(dir.path().into()) };
        let mut mask = Mask::default();
        assert_eq!(vault.open("secret:TOKEN_OF_A_TEST", &mut mask).expect("a secret"), "hunter22");
        assert_eq!(mask.hide_text("is hunter22"), "is ***");
        vault.allowed = Some(vec!["OTHER".into()]);
        let refused = vault.open("secret:TOKEN_OF_A_TEST", &mut mask).expect_err("narrowed");
        assert!(refused.0.contains("TOKEN_OF_A_TEST"), "{}", refused.0);
    }
}
