//! The cases of the fault matrix.

pub(crate) mod broken_disk;
pub(crate) mod canary;
pub(crate) mod clearing;
pub(crate) mod crash_points;
pub(crate) mod kills;
pub(crate) mod openings;
pub(crate) mod power_loss;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod stopped;
