//! Reads YAML files into documents.
//!
//! A document is first read straight into its type, which is fast and says little about
//! mistakes. Only when that fails it is read once more into a tree with places, which is
//! walked against the schema to find every problem at once.

mod check;
mod locate;
mod lost;
mod nearest;
mod split;
mod syntax;
mod tree;
mod yaml;

pub(crate) use locate::{Locator, Place, Step};
pub use lost::Lost;
pub(crate) use nearest::nearest;

use super::{
    Document, DocumentKind, EnvironmentDocument, FleetDocument, NodeDocument, SiteDocument,
};
use crate::core::diagnostic::{Diagnostic, Severity};
use split::Segment;

/// The most bytes that a YAML file of the fleet repo may have.
pub const LARGEST_FILE: usize = 1024 * 1024;

/// The most problems that are told about one file.
const MOST_PROBLEMS: usize = 200;

/// What one file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedFile {
    /// In the order of the file.
    pub documents: Vec<LocatedDocument>,
    pub diagnostics: Vec<Diagnostic>,
    /// What is left of documents without what is wrong in them, so that the rules about
    /// several documents can be checked on the rest.
    pub salvaged: Vec<Salvaged>,
    /// What could not be read at all, so that references to it are not called wrong as well.
    pub broken: Vec<Broken>,
}

/// A document with mistakes, without them.
#[derive(Clone, Debug, PartialEq)]
pub struct Salvaged {
    pub document: LocatedDocument,
    pub lost: Lost,
}

/// A document that could not be read, as far as it can be told what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub kind: Option<DocumentKind>,
    pub site: Option<String>,
    pub name: Option<String>,
    pub r#type: Option<String>,
}

/// A document and where it is.
#[derive(Clone, Debug, PartialEq, bitcode::Encode, bitcode::Decode)]
pub struct LocatedDocument {
    pub document: Document,
    /// The line, from 1, of the document's `kind`.
    pub line: usize,
    /// A digest of what is written, independent of key order, comments and spelling.
    pub digest: [u8; 32],
}

/// A problem of one document, before it is known in which file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: Place, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            place,
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    pub(crate) fn into_diagnostic(self, file: &str) -> Diagnostic {
        Diagnostic {
            file: file.to_owned(),
            line: self.place.line,
            column: self.place.column,
            severity: Severity::Error,
            code: self.code,
            message: self.message,
            hint: self.hint,
            length: self.place.length,
        }
    }
}

/// Reads a file given as bytes, which may be anything.
#[must_use]
pub fn parse_bytes(path: &str, bytes: &[u8]) -> ParsedFile {
    let problem = |problem: Problem| ParsedFile {
        diagnostics: vec![problem.into_diagnostic(path)],
        ..ParsedFile::default()
    };
    if bytes.len() > LARGEST_FILE {
        return problem(too_large(bytes.len()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_file(path, text),
        Err(error) => problem(split::not_utf8(bytes, error.valid_up_to())),
    }
}

fn too_large(bytes: usize) -> Problem {
    Problem::new(
        Place::default(),
        "file-too-large",
        format!("the file has {bytes} bytes; at most {LARGEST_FILE} are read"),
    )
    .hint(Some(
        "split it into several files, or exclude it in `.pressluftignore`".to_owned(),
    ))
}

/// Reads the documents of a file; every problem of every document is told.
#[must_use]
pub fn parse_file(path: &str, text: &str) -> ParsedFile {
    let mut documents = Vec::new();
    let mut salvaged = Vec::new();
    let mut broken = Vec::new();
    let mut problems = Vec::new();
    if text.len() > LARGEST_FILE {
        problems.push(too_large(text.len()));
    } else {
        split::find_hidden_characters(text, &mut problems);
        // Text that shows something else than it holds is not interpreted at all.
        if problems.is_empty() {
            for segment in split::segments(text) {
                if problems.len() >= MOST_PROBLEMS {
                    break;
                }
                match read_segment(&segment, &mut problems) {
                    Read::Document(document) => documents.push(document),
                    Read::Salvaged(document) => salvaged.push(document),
                    Read::Nothing => broken.push(segment.guess()),
                }
            }
        }
    }
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    problems.truncate(MOST_PROBLEMS);
    let diagnostics = problems
        .into_iter()
        .map(|p| p.into_diagnostic(path))
        .collect();
    ParsedFile {
        documents,
        diagnostics,
        salvaged,
        broken,
    }
}

/// The characters of another text of the repository that make it show something else than it holds.
#[must_use]
pub fn hidden_characters(path: &str, text: &str) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    split::find_hidden_characters(text, &mut problems);
    problems
        .into_iter()
        .map(|problem| problem.into_diagnostic(path))
        .collect()
}

fn read_segment(segment: &Segment<'_>, problems: &mut Vec<Problem>) -> Read {
    if let Some((kind, line)) = segment.kind()
        && let Ok(document) = read_typed(kind, segment.text)
    {
        return Read::Document(located(document, line));
    }
    // Mistakes, or a `kind` in an unusual spelling.
    let tree = match tree::read(segment) {
        Ok(tree) => tree,
        Err(problem) => {
            problems.push(problem);
            return Read::Nothing;
        }
    };
    let (kind, place) = match check::kind(&tree) {
        Ok(found) => found,
        Err(problem) => {
            problems.push(problem);
            return Read::Nothing;
        }
    };
    let before = problems.len();
    let salvage = check::document(kind, &tree, problems);
    if problems.len() == before {
        return match read_typed(kind, segment.text) {
            Ok(document) => Read::Document(located(document, place.line)),
            Err(error) => {
                problems.push(syntax::problem(segment, &error, "invalid-document"));
                Read::Nothing
            }
        };
    }
    match salvage.value.and_then(|value| salvaged(kind, value)) {
        Some(document) => Read::Salvaged(Salvaged {
            document: located(document, place.line),
            lost: salvage.lost,
        }),
        None => Read::Nothing,
    }
}

/// What came of one document.
enum Read {
    Document(LocatedDocument),
    Salvaged(Salvaged),
    Nothing,
}

fn located(document: Document, line: usize) -> LocatedDocument {
    let digest = digest(&document);
    LocatedDocument {
        document,
        line,
        digest,
    }
}

/// The digest of the document as JSON: the fields that are written, in the order of the type,
/// each in its canonical spelling.
fn digest(document: &Document) -> [u8; 32] {
    let json = match document {
        Document::Fleet(fleet) => serde_json::to_vec(fleet),
        Document::Node(node) => serde_json::to_vec(node),
        Document::Site(site) => serde_json::to_vec(site),
        Document::Environment(environment) => serde_json::to_vec(environment),
    };
    match json {
        Ok(json) => *blake3::hash(&json).as_bytes(),
        // Structs with string keys become JSON always; should one not, then what it is in
        // memory is as good a name for it.
        Err(_) => *blake3::hash(&bitcode::encode(document)).as_bytes(),
    }
}

fn salvaged(kind: DocumentKind, value: serde_json::Value) -> Option<Document> {
    match kind {
        DocumentKind::Fleet => serde_json::from_value(value).ok().map(Document::Fleet),
        DocumentKind::Node => serde_json::from_value(value).ok().map(Document::Node),
        DocumentKind::Site => serde_json::from_value(value).ok().map(Document::Site),
        DocumentKind::Environment => serde_json::from_value(value)
            .ok()
            .map(Document::Environment),
    }
}

fn read_typed(kind: DocumentKind, text: &str) -> Result<Document, serde_yaml::Error> {
    match kind {
        DocumentKind::Fleet => {
            yaml::read::<FleetDocument>(text).map(|fleet| Document::Fleet(Box::new(fleet)))
        }
        DocumentKind::Node => yaml::read::<NodeDocument>(text).map(Document::Node),
        DocumentKind::Site => yaml::read::<SiteDocument>(text).map(Document::Site),
        DocumentKind::Environment => {
            yaml::read::<EnvironmentDocument>(text).map(Document::Environment)
        }
    }
}

#[cfg(test)]
mod tests;
