//! The language packs that a node may have to be given: those of the fleet in one language.
//!
//! Which of them it needs, the node finds out: it has the plugins. So a pack that cannot be used is no
//! failure here. The node fails where it needs one that it cannot have.

use serde::Serialize;

use super::{SourceError, SourceFile, SourceSettings, verified};
use crate::core::document::Fleet;
use crate::core::document::fleet::{LanguagePack, SourceFile as Written};
use crate::core::document::scalar::Locale;

const FIELD: &str = "sources.languages";
/// The largest archive that a node reads.
const LARGEST: u64 = 32 << 20;

/// The language of an environment, and where its translations come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Languages {
    locale: Locale,
    packs: Vec<Pack>,
    /// Whether WordPress.org may be asked: where the fleet has no packs of its own.
    official: bool,
    /// As of [`SourceFile::allow_private`].
    allow_private: Vec<String>,
}

/// One language pack, as the step `languages` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Pack {
    kind: &'static str,
    slug: Option<String>,
    version: Option<String>,
    /// A copy on the control plane whose digest is known.
    src: Option<String>,
    url: Option<String>,
    checksum: String,
    /// Why neither of the two can be used.
    problem: Option<String>,
}

impl Languages {
    /// The packs of the fleet in this language, each with a copy of its file where it is one of the
    /// control plane.
    pub(in crate::daemon) fn of(fleet: &Fleet, locale: Locale, settings: &SourceSettings) -> Self {
        let listed = &fleet.sources.languages;
        let wanted = |pack: &&LanguagePack| pack.locale == locale && locale != Locale::standard();
        Self {
            packs: listed
                .iter()
                .filter(wanted)
                .map(|pack| Pack::of(pack, settings))
                .collect(),
            official: listed.is_empty(),
            allow_private: settings.allow_private_texts(),
            locale,
        }
    }

    /// The copies on the control plane.
    pub(in crate::daemon) fn files(&self) -> impl Iterator<Item = &String> {
        self.packs.iter().filter_map(|pack| pack.src.as_ref())
    }
}

impl Pack {
    fn of(pack: &LanguagePack, settings: &SourceSettings) -> Self {
        let (kind, slug) = match (&pack.plugin, &pack.theme) {
            (Some(slug), _) => ("plugin", Some(slug.to_string())),
            (None, Some(slug)) => ("theme", Some(slug.to_string())),
            (None, None) => ("core", None),
        };
        let checksum = match (&pack.sha256, &pack.sha512) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, Some(digest)) => format!("sha512:{digest}"),
            (None, None) => String::new(),
        };
        let (file, problem) = match checked(pack, settings) {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let path = file.as_ref().and_then(|file| file.path.as_ref());
        Self {
            kind,
            slug,
            version: pack.version.as_ref().map(ToString::to_string),
            src: path.map(|path| path.display().to_string()),
            url: file.and_then(|file| file.url),
            checksum,
            problem,
        }
    }
}

fn checked(pack: &LanguagePack, settings: &SourceSettings) -> Result<SourceFile, SourceError> {
    let written = Written {
        path: pack.path.clone(),
        url: pack.url.clone(),
        sha256: pack.sha256.clone(),
        sha512: pack.sha512.clone(),
    };
    // Theirs is a place of its own: a fleet has many of them, and few of what else it names.
    let settings = SourceSettings {
        copies: settings.copies.join("languages"),
        ..settings.clone()
    };
    let keep = verified::Keep {
        most: MOST,
        largest: LARGEST,
    };
    super::given(&written, String::new()).checked_as(FIELD, &settings, keep)
}

/// How many copies are kept. A fleet lists no more than half of that, so that those of one revision
/// stay while the next one is on its way.
const MOST: usize = 2 * crate::core::document::fleet::MOST_LANGUAGE_PACKS;
