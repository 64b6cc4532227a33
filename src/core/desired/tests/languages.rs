//! The language packs of a fleet, and the languages of its sites.

use super::*;

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What is found when these packs are listed and `site` is added to the site of [`BASE`].
fn with(packs: &[&str], site: &str) -> Vec<String> {
    let packs: Vec<String> = packs
        .iter()
        .map(|pack| {
            format!(
                "    - {{{}}}\n",
                pack.replace("DIGEST", &format!("sha256: {DIGEST}"))
            )
        })
        .collect();
    let languages = format!("sources:\n  languages:\n{}", packs.concat());
    let text = BASE
        .replace("name: fleet\n", &format!("name: fleet\n{languages}"))
        .replace("name: acme\nnode", &format!("name: acme\n{site}node"));
    places(&assembled(&[(FLEET_FILE, &text)]))
}

const NONE: [&str; 0] = [];

#[test]
fn each_language_of_a_site_has_a_pack_where_the_fleet_lists_any() {
    let german = "locale: de_DE, path: de.zip, DIGEST";
    let old = "locale: de_DE, version: 6.8.1, path: old.zip, DIGEST";
    let plugin = "locale: fr_FR, plugin: shop, url: 'https://m.example/a.zip', DIGEST";
    assert_eq!(with(&[german, plugin], "locale: de_DE\n"), NONE);
    assert_eq!(with(&[german], ""), NONE);
    assert_eq!(
        with(&[german, plugin], "locale: fr_FR\n"),
        ["19:9+5 language-missing"]
    );
    let version = "wordpress: {version: 6.8.2}\nlocale: de_DE\n";
    assert_eq!(with(&[old], version), ["19:9+5 language-missing"]);
    assert_eq!(with(&[old, german], version), NONE);
    assert_eq!(with(&[old], "locale: de_DE\n"), NONE);
    // The archive of WordPress may have it.
    assert_eq!(with(&[plugin], "locale: fr_FR\n"), NONE);
}

#[test]
fn a_pack_is_for_one_thing_and_has_one_place_and_one_digest() {
    for (pack, code) in [
        ("locale: de_DE, DIGEST", "source-unclear"),
        ("locale: de_DE, path: a.zip", "source-unclear"),
        (
            "locale: de_DE, path: a.zip, url: 'https://m.example/a.zip', DIGEST",
            "source-unclear",
        ),
        (
            "locale: de_DE, plugin: a, theme: b, path: a.zip, DIGEST",
            "source-unclear",
        ),
        ("locale: en_US, path: a.zip, DIGEST", "source-unclear"),
        ("locale: de/DE, path: a.zip, DIGEST", "invalid-value"),
        ("locale: de_DE, path: ../a.zip, DIGEST", "invalid-value"),
        ("path: a.zip, DIGEST", "missing-field"),
    ] {
        let found = with(&[pack], "");
        assert_eq!(found.len(), 1, "{pack}: {found:?}");
        assert!(found[0].ends_with(code), "{pack}: {found:?}");
    }
    let twice = "locale: de_DE, plugin: shop, path: a.zip, DIGEST";
    assert_eq!(with(&[twice, twice], ""), ["7:7+1 duplicate-item"]);
    let other = "locale: de_DE, plugin: shop, version: '2', path: a.zip, DIGEST";
    assert_eq!(with(&[twice, other], ""), NONE);
    let many: Vec<String> = (0..1001)
        .map(|number| format!("locale: de_DE, plugin: p{number}, path: a.zip, DIGEST"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let found = with(&many, "");
    assert!(found[0].ends_with("out-of-range"), "{found:?}");
}
