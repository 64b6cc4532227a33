//! Documents: what operators write.
//!
//! Each kind has a *document* (as written), *defaults* (what the fleet lays under it) and an
//! effective form in which every field has its value. Reading reports every problem with its
//! place; rules that need more than one document are in `core::desired`.

pub mod bounds;
pub mod choice;
pub mod environment;
pub mod fleet;
pub(crate) mod layer;
pub mod node;
pub mod read;
pub mod scalar;
pub mod schema;
pub(crate) mod secret_text;
pub mod site;

pub use environment::{Environment, EnvironmentDefaults, EnvironmentDocument};
pub use fleet::{Fleet, FleetDefaults, FleetDocument};
pub use layer::{Layer, Missing};
pub use node::{Node, NodeDefaults, NodeDocument};
pub use read::{LocatedDocument, ParsedFile, parse_bytes, parse_file};
pub use site::{Site, SiteDefaults, SiteDocument};

use serde::{Deserialize, Serialize};

use scalar::ResourceRef;

choice::choice! {
    /// What a document is about.
    DocumentKind {
        /// What holds for the whole fleet.
        Fleet = "Fleet",
        /// A server.
        Node = "Node",
        /// One WordPress with all its environments.
        Site = "Site",
        /// Production, staging or a clone of a site.
        Environment = "Environment",
    }
}

impl DocumentKind {
    /// All kinds, in the order in which they build on each other.
    pub const ALL: &'static [Self] = &[Self::Fleet, Self::Node, Self::Site, Self::Environment];
}

/// One document as written.
// Almost all documents of a fleet are of the largest variant, so boxing would only add
// allocations.
#[expect(clippy::large_enum_variant, reason = "most documents are environments")]
#[derive(Clone, Debug, PartialEq, bitcode::Encode, bitcode::Decode)]
pub enum Document {
    Fleet(Box<FleetDocument>),
    Node(NodeDocument),
    Site(SiteDocument),
    Environment(EnvironmentDocument),
}

/// Says that the resource was called differently before, so that it is renamed instead of
/// destroyed and made anew.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The id that the resource had.
    pub from: ResourceRef,
}
