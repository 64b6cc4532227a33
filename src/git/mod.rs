//! Reads the fleet repo: from a working tree on this machine, or from a bare copy of a
//! remote repository, always into the same [`Snapshot`], and from there into documents.
//!
//! The author of the repository is not trusted. Nothing is checked out, no link is followed,
//! no filter or hook runs, and whatever is not a plain file of a sane size is refused.

mod catalog_cache;
mod credentials;
mod desired_state;
mod document_cache;
mod error;
mod fetch;
mod format;
mod history;
mod host_key;
mod limits;
mod load;
mod mirror;
mod objects;
mod parallel;
mod reference;
mod revision;
mod selection;
mod snapshot;
mod stat_index;
mod status;
mod storage;
mod transfer;
mod url;
mod verify;
mod working_tree;

pub use credentials::Credentials;
pub use desired_state::{DesiredState, Loaded, load_desired};
pub use error::GitError;
pub use fetch::{FETCH_TIME, FetchProgress, FetchRequest, fetch, fetch_unless};
pub use format::Format;
pub use history::{History, PassedCommit, Signature};
pub use load::load;
pub use reference::Reference;
pub use revision::{Author, Revision};
pub use snapshot::{BlobId, Reader, Snapshot, SourceFile};
pub use url::RepoUrl;
pub use verify::{Signers, Verified, verify};
pub use working_tree::open_working_tree;
