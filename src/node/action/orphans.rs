//! The children of this process, those that it inherited as subreaper included.

use std::fs;
use std::io;

use nix::unistd::{Pid, getpid};

/// All direct children; may miss one that comes or goes meanwhile, so look again until none is left.
pub(super) fn children() -> io::Result<Vec<Pid>> {
    let me = getpid();
    match fs::read_to_string(format!("/proc/{me}/task/{me}/children")) {
        Ok(list) => Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(error) if error.kind() == io::ErrorKind::NotFound => children_of_all(me),
        Err(error) => Err(error),
    }
}

fn children_of_all(me: Pid) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")? {
        let Some(pid) = process?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if parent_in(&stat) == Some(me.as_raw()) {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// The parent in a line of `/proc/PID/stat`: `PID (NAME) STATE PARENT ...`, where the name may hold anything.
fn parent_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        assert_eq!(parent_in("12 (a) S 1 (b) S 7 12 12 0"), Some(7));
    }

    #[test]
    fn the_slow_way_finds_a_child() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().expect("sleep");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let found = children_of_all(getpid()).expect("proc");
        child.kill().and_then(|()| child.wait().map(drop)).expect("killed");
        assert!(found.contains(&pid));
    }
}
