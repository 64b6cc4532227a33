//! The fleet repo as it was seen: revisions and what became of them, and deliveries of its forge.

pub(super) mod delivery;
pub(super) mod sighting;
