//! What the fleet downloads or takes from the control plane has one place and one digest.

use super::Draft;
use crate::core::desired::findings::{Findings, fields};
use crate::core::document::fleet::SourceFile;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let Some(fleet) = &draft.fleet else {
        return;
    };
    if fleet.source.lost("sources") {
        return;
    }
    let sources = &fleet.value.sources;
    for (name, file) in [
        ("wordpress", &sources.wordpress),
        ("wp_cli", &sources.wp_cli),
        ("object_cache", &sources.object_cache),
    ] {
        let Some((why, hint)) = complaint(name, file) else {
            continue;
        };
        let at = fields(["sources", name]);
        findings
            .error(
                &fleet.source,
                at,
                "source-unclear",
                format!("`sources.{name}` {why}"),
            )
            .hint(hint);
    }
}

/// What is wrong with a file of `sources`, and what to do about it.
pub(super) fn complaint(name: &str, file: &SourceFile) -> Option<(&'static str, String)> {
    let digests = usize::from(file.sha256.is_some()) + usize::from(file.sha512.is_some());
    let is_given = file.path.is_some() || file.url.is_some();
    if file.path.is_some() && file.url.is_some() {
        return Some((
            "has both a `path` and a `url`",
            "keep the one that is meant".to_owned(),
        ));
    }
    if digests > 1 {
        return Some(("has two digests", "keep `sha256` or `sha512`".to_owned()));
    }
    if is_given && digests == 0 {
        let file = match (&file.path, &file.url) {
            (Some(path), _) => path.as_str(),
            (None, Some(url)) => url.as_str().rsplit('/').next().unwrap_or_default(),
            (None, None) => "",
        };
        return Some((
            "has no digest",
            format!("add `sha256` with what `sha256sum {file}` prints of the file that is meant"),
        ));
    }
    // Ours is pinned by this version.
    let is_pinned = matches!(name, "wp_cli" | "object_cache") && !is_given && digests > 0;
    is_pinned.then(|| {
        (
            "has a digest and no place",
            "add `path` or `url`, or leave it out for the release that Pressluft was tried with"
                .to_owned(),
        )
    })
}
