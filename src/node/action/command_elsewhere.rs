//! Commands on systems whose processes can't be kept together as on Linux: refused.

use std::ffi::OsString;

use super::cause::Interruption;
use super::secret::{Mask, Vault};
use super::{Attempt, ExecutorConfig, Outcome, Refused};
use crate::error::Result;

/// What this node needs to run commands.
#[derive(Debug)]
pub(super) struct Commands;

impl Commands {
    pub(super) fn new(_: &ExecutorConfig) -> Result<Self> {
        Ok(Self)
    }

    pub(super) async fn run(
        &self,
        _: Vec<OsString>,
        _: &Attempt,
        _: &Vault,
        _: &mut Mask,
        _: &mut Interruption,
    ) -> Result<Outcome, Refused> {
        Err(Refused("exec and shell need Linux in this version".into()))
    }
}
