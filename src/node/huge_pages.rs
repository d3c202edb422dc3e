//! A node keeps its memory in small pages, and the commands that it runs keep theirs as they would have it.
//!
//! The few megabytes that it needs lie scattered over the allocator's gigabyte of addresses; where the system hands out 2 MiB for
//! the first byte that is touched, 13 MB were 59 MB resident. The allocator does not ask for huge pages (`no_thp` in Cargo.toml),
//! but some systems give them to everybody. The switch is one of the process, and what it starts inherits it.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Switches them off for this process; to be called before it has touched much memory. One that was started without them, or on a
/// system without the switch, stays as it is.
pub fn switch_off() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::prctl;
        if matches!(prctl::get_thp_disable(), Ok(false)) && prctl::set_thp_disable(true).is_ok() {
            IS_OURS.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether [`switch_off`] has done it, so that commands get them back.
pub(super) fn are_off_by_us() -> bool {
    IS_OURS.load(Ordering::Relaxed)
}
