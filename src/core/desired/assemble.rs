//! Puts the documents of all files together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::findings::{Findings, fields};
use super::rules::{self, Draft, Known};
use super::{Assembled, Desired, FLEET_FILE, Resource, Source};
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::core::document::environment::{EnvironmentType, Mail};
use crate::core::document::read::{Lost, Step};
use crate::core::document::scalar::{Duration, Email, Scalar, Text, UnixUser};
use crate::core::document::{
    Document, DocumentKind, Environment, EnvironmentDefaults, EnvironmentDocument, Fleet,
    FleetDefaults, FleetDocument, Missing, Node, NodeDefaults, NodeDocument, ParsedFile, Site,
    SiteDefaults, SiteDocument,
};
use crate::core::secret_owner::Reserved;
use crate::core::spec::SpecHash;

/// What was written, where, and its digest.
type Written<T> = (T, Source, [u8; 32]);

/// The desired state of all files, or every problem of all of them.
///
/// `reserved` are the names of secrets that the control plane's settings use. `text` gives the text of a file by its path; it is asked for only when a rule that
/// concerns several documents finds a problem there.
#[must_use]
pub fn assemble(
    files: Vec<(String, ParsedFile)>,
    reserved: &Reserved,
    text: &dyn Fn(&str) -> Option<String>,
) -> Assembled {
    let mut findings = Findings::default();
    let Drafted {
        draft,
        missing,
        mut diagnostics,
        documents,
    } = draft(files, &mut findings);
    for (source, name, path) in missing {
        let last = path.rsplit('.').next().unwrap_or_default().to_owned();
        let at: Vec<Step> = path
            .split('.')
            .map(|part| Step::Entry(part.to_owned()))
            .collect();
        let at = &at[..at.len() - 1];
        findings
            .error(
                &source,
                at,
                "missing-field",
                format!("{name} has no `{path}`"),
            )
            .hint(format!(
                "write `{last}` here, or below `defaults` of the fleet"
            ));
    }
    rules::check(&draft, reserved, &mut findings);

    diagnostics.extend(findings.into_diagnostics(text));
    diagnostics.sort();
    diagnostics.dedup();
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    let desired = if failed { None } else { draft.finish() };
    Assembled {
        desired,
        diagnostics,
        documents,
    }
}

/// A part of a fleet that was checked as a whole: the documents of `files`, one of which has the
/// fleet's own. None when they cannot be those of such a fleet.
#[must_use]
pub fn without_rules(files: Vec<(String, ParsedFile)>) -> Option<Desired> {
    let drafted = draft(files, &mut Findings::default());
    let is_whole = drafted.missing.is_empty() && drafted.diagnostics.is_empty();
    drafted.draft.finish().filter(|_| is_whole)
}

/// What is written, with defaults below it, before any rule is checked.
pub(super) struct Drafted {
    pub(super) draft: Draft,
    /// Where a field is missing that neither the document nor the defaults have.
    missing: Vec<(Source, &'static str, &'static str)>,
    diagnostics: Vec<Diagnostic>,
    documents: usize,
}

pub(super) fn draft(files: Vec<(String, ParsedFile)>, findings: &mut Findings) -> Drafted {
    let mut sorted = Sorted::default();
    for (path, parsed) in files {
        sorted.take(path, parsed);
    }
    let Sorted {
        fleets,
        nodes,
        sites,
        environments,
        known,
        mut diagnostics,
        documents,
    } = sorted;
    let defaults = fleets.first().map(|(fleet, ..)| fleet.defaults.clone());
    let lost_defaults = fleets
        .first()
        .is_some_and(|(_, source, _)| source.lost("defaults"));
    let fleet_is_known = !lost_defaults && (defaults.is_some() || !known.has_broken_fleet());
    let defaults = defaults.unwrap_or_default();
    let fleet = only_fleet(fleets, &known, findings, &mut diagnostics);
    // While the fleet cannot be read, nobody knows what its defaults would have given.
    let mut missing = fleet_is_known.then(Vec::new);
    let draft = Draft {
        fleet: fleet.and_then(|fleet| effective(fleet, &FleetDefaults::default(), &mut missing)),
        nodes: all_effective(nodes, &defaults.node, &mut missing),
        sites: all_effective(sites, &defaults.site, &mut missing),
        environments: all_effective(environments, &defaults.environment, &mut missing),
        known,
        fleet_is_known,
    };
    Drafted {
        draft,
        missing: missing.unwrap_or_default(),
        diagnostics,
        documents,
    }
}

#[derive(Default)]
struct Sorted {
    fleets: Vec<Written<FleetDocument>>,
    nodes: Vec<Written<NodeDocument>>,
    sites: Vec<Written<SiteDocument>>,
    environments: Vec<Written<EnvironmentDocument>>,
    known: Known,
    diagnostics: Vec<Diagnostic>,
    documents: usize,
}

impl Sorted {
    fn take(&mut self, path: String, parsed: ParsedFile) {
        let path: Arc<str> = path.into();
        self.documents += parsed.documents.len() + parsed.salvaged.len() + parsed.broken.len();
        self.diagnostics.extend(parsed.diagnostics);
        self.known.broken.extend(parsed.broken);
        let whole = parsed
            .documents
            .into_iter()
            .map(|document| (document, Lost::default()));
        let rest = parsed
            .salvaged
            .into_iter()
            .map(|part| (part.document, part.lost));
        // Of two documents that cannot both be, the later one is reported, whole or not.
        let mut all: Vec<_> = whole.chain(rest).collect();
        all.sort_by_key(|(found, _)| found.line);
        for (found, lost) in all {
            let source = Source {
                file: Arc::clone(&path),
                line: found.line,
                lost,
            };
            match found.document {
                Document::Fleet(fleet) => self.fleets.push((*fleet, source, found.digest)),
                Document::Node(node) => self.nodes.push((node, source, found.digest)),
                Document::Site(site) => self.sites.push((site, source, found.digest)),
                Document::Environment(environment) => {
                    self.environments.push((environment, source, found.digest));
                }
            }
        }
    }
}

/// Exactly one fleet, in its file.
fn only_fleet(
    fleets: Vec<Written<FleetDocument>>,
    known: &Known,
    findings: &mut Findings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Written<FleetDocument>> {
    for (index, (_, source, _)) in fleets.iter().enumerate() {
        if index > 0 {
            let first = &fleets[0].1;
            findings
                .error(
                    source,
                    fields(["kind"]),
                    "duplicate-id",
                    "there is a second `Fleet`",
                )
                .hint(format!("the first one is at {}:{}", first.file, first.line));
        } else if &*source.file != FLEET_FILE {
            findings
                .error(
                    source,
                    fields(["kind"]),
                    "misplaced-fleet",
                    format!("the `Fleet` document is not in `{FLEET_FILE}` at the root"),
                )
                .hint(format!("move it to `{FLEET_FILE}`"));
        }
    }
    if fleets.is_empty() && !known.has_broken_fleet() {
        diagnostics.push(Diagnostic {
            file: FLEET_FILE.to_owned(),
            line: 0,
            column: 0,
            severity: Severity::Error,
            code: "missing-fleet",
            message: "the fleet has no `Fleet` document".to_owned(),
            hint: Some(format!(
                "write `kind: Fleet`, `version: 1` and `name: …` into `{FLEET_FILE}`, or run \
                 `pressluft init`"
            )),
            length: 0,
        });
    }
    fleets.into_iter().next()
}

/// What a kind needs to become effective.
pub(super) trait Effective {
    type Defaults: bitcode::Encode + Default;
    type Value;
    const NAME: &'static str;

    /// Lays the defaults below what is written.
    fn prepare(&mut self, defaults: &Self::Defaults);

    /// The fields that nobody gave, which get a value that only keeps the other rules going.
    fn gaps(&mut self) -> Vec<&'static str> {
        Vec::new()
    }

    fn finish(self) -> Result<Self::Value, Missing>;
}

impl Effective for FleetDocument {
    type Defaults = FleetDefaults;
    type Value = Fleet;
    const NAME: &'static str = "the fleet";

    fn prepare(&mut self, defaults: &FleetDefaults) {
        self.fill(defaults);
    }

    fn finish(self) -> Result<Fleet, Missing> {
        self.resolve()
    }
}

impl Effective for NodeDocument {
    type Defaults = NodeDefaults;
    type Value = Node;
    const NAME: &'static str = "the node";

    fn prepare(&mut self, defaults: &NodeDefaults) {
        self.fill(defaults);
    }

    fn finish(self) -> Result<Node, Missing> {
        self.resolve()
    }
}

impl Effective for SiteDocument {
    type Defaults = SiteDefaults;
    type Value = Site;
    const NAME: &'static str = "the site";

    fn prepare(&mut self, defaults: &SiteDefaults) {
        self.fill(defaults);
        let name = &self.name;
        self.title.get_or_insert_with(|| Text::from(name));
        self.admin.user.get_or_insert_with(|| UnixUser::from(name));
    }

    fn gaps(&mut self) -> Vec<&'static str> {
        let mut gaps = Vec::new();
        if self.node.is_none() {
            self.node = Some(self.name.clone());
            gaps.push("node");
        }
        if self.admin.email.is_none() {
            self.admin.email = Email::parse("missing@example.com").ok();
            gaps.push("admin.email");
        }
        gaps
    }

    fn finish(self) -> Result<Site, Missing> {
        self.resolve()
    }
}

impl Effective for EnvironmentDocument {
    type Defaults = EnvironmentDefaults;
    type Value = Environment;
    const NAME: &'static str = "the environment";

    fn prepare(&mut self, defaults: &EnvironmentDefaults) {
        self.fill(defaults);
        let is_public = self.r#type == EnvironmentType::Production;
        self.safety.noindex.get_or_insert(!is_public);
        self.safety
            .mail
            .get_or_insert(if is_public { Mail::Send } else { Mail::Capture });
        self.cron
            .interval
            .get_or_insert(Duration::seconds(if is_public { 300 } else { 0 }));
    }

    fn finish(self) -> Result<Environment, Missing> {
        self.resolve()
    }
}

/// What is missing where; none while it does not matter.
type MissingFields = Option<Vec<(Source, &'static str, &'static str)>>;

fn effective<T: Effective>(
    (mut document, source, digest): Written<T>,
    defaults: &T::Defaults,
    missing: &mut MissingFields,
) -> Option<Resource<T::Value>> {
    let below = below(defaults);
    document.prepare(defaults);
    finish(document, source, digest, &below, missing)
}

fn all_effective<T: Effective>(
    documents: Vec<Written<T>>,
    defaults: &T::Defaults,
    missing: &mut MissingFields,
) -> Vec<Resource<T::Value>> {
    let below = below(defaults);
    let mut resources = Vec::with_capacity(documents.len());
    for (mut document, source, digest) in documents {
        document.prepare(defaults);
        resources.extend(finish(document, source, digest, &below, missing));
    }
    resources
}

/// What lies below every document of a kind: the fleet's defaults and, by its version, those
/// of the program.
fn below<D: bitcode::Encode>(defaults: &D) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(&bitcode::encode(defaults));
    *hasher.finalize().as_bytes()
}

fn finish<T: Effective>(
    mut document: T,
    mut source: Source,
    digest: [u8; 32],
    below: &[u8; 32],
    missing: &mut MissingFields,
) -> Option<Resource<T::Value>> {
    // The two digests side by side fit one block, so this is cheap.
    let mut both = [0; 64];
    both[..32].copy_from_slice(below);
    both[32..].copy_from_slice(&digest);
    let fingerprint = SpecHash(*blake3::hash(&both).as_bytes());
    for path in document.gaps() {
        let top = path.split('.').next().unwrap_or_default();
        if source.lost(top) {
            continue;
        }
        if let Some(missing) = missing {
            missing.push((source.clone(), T::NAME, path));
        }
        source.lost.add_field(top);
    }
    // With all gaps filled, nothing is missing any more.
    document.finish().ok().map(|value| Resource {
        value,
        source,
        fingerprint,
    })
}

impl Draft {
    /// The desired state of a draft without errors.
    fn finish(self) -> Option<Desired> {
        let nodes = self
            .nodes
            .into_iter()
            .map(|node| (node.value.name.to_string(), node));
        let sites = self
            .sites
            .into_iter()
            .map(|site| (site.value.name.to_string(), site));
        let environments = self.environments.into_iter().map(|environment| {
            let value = &environment.value;
            (
                (value.site.to_string(), value.name.to_string()),
                environment,
            )
        });
        Some(Desired {
            fleet: self.fleet?,
            nodes: nodes.collect(),
            sites: sites.collect(),
            environments: environments.collect::<BTreeMap<_, _>>(),
        })
    }
}

impl Known {
    fn has_broken_fleet(&self) -> bool {
        self.broken
            .iter()
            .any(|broken| broken.kind == Some(DocumentKind::Fleet))
    }
}
