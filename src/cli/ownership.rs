//! Whose state directory it is. What root writes into that of another user, that user's daemon can
//! neither read nor replace.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

use super::error::CliError;

/// The state directory of a machine that keeps a fleet.
const OF_MACHINE: &str = "/var/lib/pressluft";

/// [`OF_MACHINE`] for root, and for the user that it belongs to: the one of the service.
pub(super) fn of_machine() -> Option<PathBuf> {
    let path = Path::new(OF_MACHINE);
    let user = geteuid();
    (user.is_root() || owner(path) == Some(user)).then(|| path.to_owned())
}

/// Refuses to write as root into a directory of somebody else. Others are stopped by the kernel.
///
/// # Errors
/// Whose it is, and how to become that user.
pub(super) fn require_own(state_dir: &Path) -> Result<(), CliError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let Some(owner) = owner(state_dir).filter(|owner| !owner.is_root()) else {
        return Ok(());
    };
    let path = state_dir.display();
    let name = User::from_uid(owner).ok().flatten().map(|user| user.name);
    let (whose, sudo) = match name {
        Some(name) => (format!("`{name}`"), name),
        None => (format!("the user {owner}"), format!("'#{owner}'")),
    };
    Err(CliError::new(format!(
        "`{path}` belongs to {whose}, and root would leave files in it that nobody else can read"
    ))
    .hint(format!(
        "run this as that user: `sudo -u {sudo} pressluft …`"
    )))
}

/// Whether files may be left in a state directory by this user without harm.
pub(super) fn is_own(state_dir: &Path) -> bool {
    owner(state_dir).is_none_or(|owner| owner == geteuid())
}

fn owner(path: &Path) -> Option<Uid> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Uid::from_raw(metadata.uid()))
}
