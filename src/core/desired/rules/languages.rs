//! A fleet that brings language packs along has one for each language of its sites.

use std::collections::BTreeSet;

use super::Draft;
use super::sources::complaint;
use crate::core::desired::Source;
use crate::core::desired::findings::{Findings, fields};
use crate::core::document::Fleet;
use crate::core::document::fleet::{LanguagePack, MOST_LANGUAGE_PACKS, SourceFile};
use crate::core::document::read::Step;
use crate::core::document::scalar::{Locale, Version};

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let Some(fleet) = &draft.fleet else { return };
    if fleet.source.lost("sources") {
        return;
    }
    packs(&fleet.value, &fleet.source, findings);
    let listed = fleet.value.sources.languages.iter();
    let listed: Vec<&LanguagePack> = listed.filter(|pack| is_of_wordpress(pack)).collect();
    // A fleet whose archive of WordPress has the language may list plugins and themes alone.
    if listed.is_empty() {
        return;
    }
    for site in &draft.sites {
        let (value, source) = (&site.value, &site.source);
        if !source.lost("locale") {
            let version = value.wordpress.version.as_ref();
            language(
                &listed,
                &value.locale,
                version,
                source,
                fields(["locale"]),
                findings,
            );
        }
    }
}

fn language(
    listed: &[&LanguagePack],
    locale: &Locale,
    version: Option<&Version>,
    source: &Source,
    at: Vec<Step>,
    findings: &mut Findings,
) {
    if *locale == Locale::standard() {
        return;
    }
    let fits = |pack: &LanguagePack| {
        pack.locale == *locale
            && (pack.version.is_none() || version.is_none() || pack.version.as_ref() == version)
    };
    if listed.iter().any(|pack| fits(pack)) {
        return;
    }
    let of = version.map_or_else(String::new, |version| format!(" {version}"));
    findings
        .error(
            source,
            at,
            "language-missing",
            format!("`sources.languages` of the fleet has no pack of WordPress{of} for `{locale}`"),
        )
        .hint(format!(
            "add one: `{{ locale: {locale}, path: FILE, sha256: DIGEST }}`"
        ));
}

fn is_of_wordpress(pack: &LanguagePack) -> bool {
    pack.plugin.is_none() && pack.theme.is_none()
}

fn packs(fleet: &Fleet, source: &Source, findings: &mut Findings) {
    let listed = &fleet.sources.languages;
    if listed.len() > MOST_LANGUAGE_PACKS {
        findings
            .error(
                source,
                fields(["sources", "languages"]),
                "out-of-range",
                format!("`sources.languages` has more than {MOST_LANGUAGE_PACKS} packs"),
            )
            .hint("a pack of WordPress may hold the translations of plugins and themes, too");
    }
    let mut seen = BTreeSet::new();
    for (position, pack) in listed.iter().enumerate() {
        let at = || {
            let mut at = fields(["sources", "languages"]);
            at.push(Step::Item(position));
            at
        };
        let texts = [
            Some(pack.locale.as_str()),
            pack.plugin.as_ref().map(|slug| slug.as_str()),
            pack.theme.as_ref().map(|slug| slug.as_str()),
            pack.version.as_ref().map(|version| version.as_str()),
        ];
        if !seen.insert(texts) {
            findings
                .error(
                    source,
                    at(),
                    "duplicate-item",
                    "another language pack is for the same",
                )
                .hint("remove one of the two, or write the `version` that each is for");
        }
        if let Some((why, hint)) = unclear(pack) {
            let message = format!("a pack of `sources.languages` {why}");
            findings
                .error(source, at(), "source-unclear", message)
                .hint(hint);
        }
    }
}

fn unclear(pack: &LanguagePack) -> Option<(&'static str, String)> {
    if pack.plugin.is_some() && pack.theme.is_some() {
        let hint = "keep the one that it is for".to_owned();
        return Some(("has both a `plugin` and a `theme`", hint));
    }
    if pack.locale == Locale::standard() {
        let hint = "remove it: there is nothing to translate".to_owned();
        return Some(("is for `en_US`, which WordPress is written in", hint));
    }
    if pack.path.is_none() && pack.url.is_none() {
        return Some(("has no place", "add `path` or `url`".to_owned()));
    }
    let file = SourceFile {
        path: pack.path.clone(),
        url: pack.url.clone(),
        sha256: pack.sha256.clone(),
        sha512: pack.sha512.clone(),
    };
    complaint("languages", &file)
}
