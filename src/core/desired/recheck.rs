//! Checks a fleet again after some of its files changed, without looking at all of it.
//!
//! A rule compares resources of one site, resources of one node, or things that only one
//! resource of a fleet may have. So what changed is checked together with its sites and nodes,
//! and what it wants for itself against the catalog. This answers only whether everything is
//! right. When it is not, or might not be, the whole fleet is checked, and says what is wrong.

use std::collections::BTreeSet;

use super::assemble::{assemble, draft};
use super::catalog::{Catalog, Listed, Lister};
use super::findings::Findings;
use super::{Desired, FLEET_FILE};
use crate::core::document::{Document, LocatedDocument, ParsedFile};
use crate::core::id::ResourceId;
use crate::core::secret_owner::Reserved;

/// How the files of a fleet differ from those of its catalog.
#[derive(Debug, Default)]
pub struct Changes {
    /// Indices into [`Catalog::files`]: removed, or with another content.
    pub replaced: BTreeSet<u32>,
    /// The new files, and those with another content, sorted by path.
    pub parsed: Vec<(String, ParsedFile)>,
    /// The paths of all files as they are now, sorted.
    pub files: Vec<String>,
}

/// A fleet that keeps every rule after its files changed.
#[derive(Debug)]
pub struct Rechecked {
    /// The fleet, what changed, and what was checked with it.
    part: Desired,
    replaced: BTreeSet<u32>,
    /// The paths of the new files, and of those with another content.
    new: BTreeSet<String>,
    files: Vec<String>,
}

impl Rechecked {
    /// The catalog of the fleet as it is now, and the documents that were read for it.
    /// `catalog` is the one that was checked against.
    #[must_use]
    pub fn apply(self, catalog: Catalog) -> (Catalog, Desired) {
        let is_new = |file: &str| self.new.contains(file);
        let catalog = catalog.replace(&self.replaced, self.files, &self.part, is_new);
        (catalog, self.part)
    }
}

/// The fleet of `catalog` after `changes`, or none when that cannot be told from them alone,
/// for one because a rule is broken. `reserved` is what `catalog` was checked with, and `read` gives
/// an unchanged file by its path.
///
/// # Errors
/// Those of `read`.
pub fn recheck<E>(
    catalog: &Catalog,
    changes: Changes,
    reserved: &Reserved,
    read: &mut dyn FnMut(&str) -> Result<ParsedFile, E>,
) -> Result<Option<Rechecked>, E> {
    let Changes {
        replaced,
        parsed,
        files,
    } = changes;
    let is_whole = |(path, file): &(String, ParsedFile)| {
        path != FLEET_FILE && is_clean(file) && !has_fleet(file)
    };
    // Whatever the fleet says may concern everything.
    let fleet_is_replaced = catalog
        .find(&ResourceId::Fleet)
        .is_none_or(|fleet| replaced.contains(&fleet.file));
    if fleet_is_replaced || !parsed.iter().all(is_whole) {
        return Ok(None);
    }
    let new_files: BTreeSet<String> = parsed.iter().map(|(path, _)| path.clone()).collect();
    let mut fleet = read(FLEET_FILE)?;
    if !is_clean(&fleet) {
        return Ok(None);
    }
    let rest_of_fleet = split_off_fleet(&mut fleet);

    let mut draft_files = vec![(FLEET_FILE.to_owned(), fleet)];
    draft_files.extend(parsed);
    let new = listed(draft_files.clone());
    if catalog.is_claimed(&new, &replaced) {
        return Ok(None);
    }
    let around = catalog.around(&new, &replaced);
    let neighbours: BTreeSet<&str> = catalog
        .resources
        .iter()
        .filter(|listed| !replaced.contains(&listed.file) && around.contains(&listed.id))
        .map(|listed| catalog.file_of(listed))
        .collect();
    for path in neighbours {
        let mut file = if path == FLEET_FILE {
            ParsedFile {
                documents: rest_of_fleet.clone(),
                ..ParsedFile::default()
            }
        } else {
            read(path)?
        };
        if !is_clean(&file) {
            return Ok(None);
        }
        file.documents
            .retain(|found| around.contains(&id_of(&found.document)));
        draft_files.push((path.to_owned(), file));
    }
    let assembled = assemble(draft_files, reserved, &|_| None);
    let Some(part) = assembled
        .desired
        .filter(|_| assembled.diagnostics.is_empty())
    else {
        return Ok(None);
    };
    Ok(Some(Rechecked {
        part,
        replaced,
        new: new_files,
        files,
    }))
}

fn is_clean(file: &ParsedFile) -> bool {
    file.diagnostics.is_empty() && file.salvaged.is_empty() && file.broken.is_empty()
}

fn has_fleet(file: &ParsedFile) -> bool {
    file.documents
        .iter()
        .any(|found| matches!(found.document, Document::Fleet(_)))
}

/// Takes everything but the fleet's own document out of its file.
fn split_off_fleet(file: &mut ParsedFile) -> Vec<LocatedDocument> {
    let (fleet, rest) = std::mem::take(&mut file.documents)
        .into_iter()
        .partition(|found| matches!(found.document, Document::Fleet(_)));
    file.documents = fleet;
    rest
}

/// What the documents are, as far as a catalog lists it. Rules have not been checked.
fn listed(files: Vec<(String, ParsedFile)>) -> Vec<Listed> {
    let draft = draft(files, &mut Findings::default()).draft;
    let list = Lister {
        place: &|_| Some(u32::MAX),
        // Nobody asks for the hashes of these.
        hash: &Some,
    };
    let nodes = draft.nodes.iter().filter_map(|node| list.one(node));
    let sites = draft.sites.iter().filter_map(|site| list.one(site));
    let environments = draft.environments.iter().filter_map(|env| list.one(env));
    nodes.chain(sites).chain(environments).collect()
}

fn id_of(document: &Document) -> ResourceId {
    match document {
        Document::Fleet(_) => ResourceId::Fleet,
        Document::Node(node) => ResourceId::Node(node.name.to_string()),
        Document::Site(site) => ResourceId::Site(site.name.to_string()),
        Document::Environment(env) => ResourceId::env(env.site.as_str(), env.name.as_str()),
    }
}
