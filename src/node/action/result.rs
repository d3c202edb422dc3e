//! The file `$UPBEAT_RESULT`: private, written by the command, read once, removed.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::secret::Mask;
use crate::domain::policy::RESULT_MAX_BYTES;

/// The file, removed when this is dropped; if the node dies, its supervisor removes it.
#[derive(Debug)]
pub(super) struct ResultFile {
    path: PathBuf,
}

impl ResultFile {
    /// Makes an empty file that only this user can read, in the folder for temporary files or, where that can't be
    /// written, in memory.
    pub(super) fn create() -> io::Result<Self> {
        let mut failure = io::ErrorKind::NotFound.into();
        for folder in [std::env::temp_dir(), "/dev/shm".into()] {
            let path = folder.join(format!("upbeat-result-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Ok(Self { path }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the command left: the first 16 KiB without secrets, a last newline cut off; `None` if nothing.
    pub(super) fn read(self, mask: &Mask) -> Option<String> {
        // The command may have put anything in its place: a link to somebody's file, a pipe that blocks.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&self.path).ok()?;
        if !file.metadata().is_ok_and(|found| found.is_file()) {
            return None;
        }
        let mut bytes = Vec::new();
        file.take((RESULT_MAX_BYTES + mask.margin()) as u64).read_to_end(&mut bytes).ok()?;
        let shown = mask.hide(&bytes, 0..bytes.len().min(RESULT_MAX_BYTES));
        let mut text = String::from_utf8_lossy(&shown).replace('\0', "\u{fffd}");
        // Marks of bytes that are no UTF-8 are longer than what they stand for.
        let end = (0..=RESULT_MAX_BYTES.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        if text.ends_with('\n') {
            text.pop();
        }
        (!text.is_empty()).then_some(text)
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_16_kib_stay_and_the_file_goes() {
        let file = ResultFile::create().expect("a file");
        let path = file.path().to_owned();
        fs::write(&path, "é".repeat(20_000)).expect("written");
        let text = file.read(&Mask::default()).expect("a result");
        assert_eq!(text.len(), RESULT_MAX_BYTES);
        assert!(!path.exists());
    }

    #[test]
    fn a_secret_across_the_end_shows_no_part_of_itself() {
        let mut mask = Mask::default();
        mask.add(b"hunter22");
        let file = ResultFile::create().expect("a file");
        fs::write(file.path(), format!("{}hunter22", "x".repeat(RESULT_MAX_BYTES - 4))).expect("written");
        assert!(file.read(&mask).expect("a result").ends_with("x***"));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let file = ResultFile::create().expect("a file");
        fs::remove_file(file.path()).expect("removed");
        std::os::unix::fs::symlink("/etc/hostname", file.path()).expect("linked");
        assert_eq!(file.read(&Mask::default()), None);
    }
}
