use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::core::desired::HasSpec;

const CONTENT: &str = "the content of the source";

struct World {
    directory: tempfile::TempDir,
    settings: SourceSettings,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        fs::create_dir_all(root.join("sources/inner")).expect("made");
        fs::write(root.join("sources/wp.zip"), CONTENT).expect("written");
        fs::write(root.join("sources/inner/wp.zip"), CONTENT).expect("written");
        fs::write(root.join("identity"), "AGE-SECRET").expect("written");
        Self {
            settings: SourceSettings {
                directory: root.join("sources"),
                copies: root.join("copies"),
                allow_private: Vec::new(),
            },
            directory,
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.settings.directory.join(name)
    }

    fn checked(&self, path: &str) -> Result<SourceFile, SourceError> {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(CONTENT));
        self.with_digest(path, &digest)
    }

    fn with_digest(&self, path: &str, digest: &str) -> Result<SourceFile, SourceError> {
        source(Some(path), None, Some(digest)).checked("sources.wordpress", &self.settings)
    }

    fn refused(&self, path: &str) -> String {
        self.checked(path).expect_err("refused").to_string()
    }
}

/// Documents refuse some of these; what is read from a queue is looked at once more.
fn source(path: Option<&str>, url: Option<&str>, sha256: Option<&str>) -> SourceFile {
    SourceFile {
        path: path.map(PathBuf::from),
        url: url.map(str::to_owned),
        version: None,
        sha256: sha256.map(str::to_owned),
        sha512: None,
        allow_private: Vec::new(),
    }
}

#[test]
fn a_plain_file_below_the_directory_is_copied_as_it_was_checked() {
    let world = World::new();
    let absolute = world.place("wp.zip").display().to_string();
    for path in ["wp.zip", "inner/wp.zip", &absolute] {
        let checked = world.checked(path).expect("it is what is asked for");
        let copy = checked.path.expect("a file");
        assert!(
            copy.starts_with(&world.settings.copies),
            "{}",
            copy.display()
        );
        assert_eq!(fs::read_to_string(copy).expect("read"), CONTENT);
    }
}

#[test]
fn nothing_else_is_opened_and_the_error_names_the_part() {
    let world = World::new();
    let identity = world.directory.path().join("identity");
    symlink(&identity, world.place("link")).expect("made");
    symlink(world.directory.path(), world.place("up")).expect("made");
    symlink("wp.zip", world.place("beside")).expect("made");
    symlink("/proc/self/environ", world.place("environ")).expect("made");
    symlink("/proc/self/root", world.place("root")).expect("made");
    fs::hard_link(&identity, world.place("hard")).expect("made");
    mkfifo(&world.place("pipe"), Mode::S_IRUSR).expect("made");
    let socket = std::os::unix::net::UnixListener::bind(world.place("socket")).expect("bound");
    for (path, part, why) in [
        ("link", "link", "symbolic link"),
        ("beside", "beside", "symbolic link"),
        ("environ", "environ", "symbolic link"),
        ("up/identity", "up", "symbolic link"),
        ("root/etc/passwd", "root", "symbolic link"),
        ("hard", "hard", "another name"),
        ("pipe", "pipe", "pipe"),
        ("socket", "socket", "socket"),
        ("inner", "inner", "is a directory"),
        ("wp.zip/x", "wp.zip", "no directory"),
    ] {
        let refused = world.refused(path);
        let names = refused.contains(&format!("`{part}` of it")) && refused.contains(why);
        assert!(names, "{path}: {refused}");
    }
    drop(socket);
    let up = "../identity";
    for path in [
        up,
        "/etc/passwd",
        "/proc/self/environ",
        "inner/../../identity",
        "/",
    ] {
        let refused = world.refused(path);
        assert!(refused.contains("does not lie below"), "{path}: {refused}");
    }
    let identity = identity.display().to_string();
    assert!(world.refused(&identity).contains("does not lie below"));
    assert!(world.refused("none.zip").contains("No such file"));
    assert!(!world.settings.copies.exists(), "nothing was copied");
}

#[test]
fn another_content_is_refused_and_both_digests_are_named() {
    let world = World::new();
    let wanted = "0".repeat(64);
    let refused = world.with_digest("wp.zip", &wanted).expect_err("refused");
    let refused = refused.to_string();
    let found = data_encoding::HEXLOWER.encode(&Sha256::digest(CONTENT));
    assert!(
        refused.contains(&wanted) && refused.contains(&found),
        "{refused}"
    );
    assert!(!refused.contains(CONTENT), "{refused}");
}

#[test]
fn what_is_swapped_after_the_check_is_not_what_is_sent() {
    let world = World::new();
    let copy = world.checked("wp.zip").expect("checked").path;
    let copy = copy.expect("a file");
    fs::write(world.place("wp.zip"), "something else").expect("written");
    assert_eq!(fs::read_to_string(&copy).expect("read"), CONTENT);
    // And it is noticed when the next job asks for it.
    assert!(world.refused("wp.zip").contains("is not what"));
    // A copy that is gone is made again.
    fs::write(world.place("wp.zip"), CONTENT).expect("written");
    fs::remove_file(&copy).expect("removed");
    assert_eq!(world.checked("wp.zip").expect("checked").path, Some(copy));
}

#[test]
fn a_huge_file_is_refused_without_being_read() {
    let world = World::new();
    let file = fs::File::create(world.place("huge")).expect("made");
    file.set_len((1 << 30) + 1).expect("sparse");
    assert!(world.refused("huge").contains("larger than 1 GiB"));
}

#[test]
fn few_copies_are_kept() {
    let world = World::new();
    for number in 0..40 {
        let content = format!("version {number}");
        fs::write(world.place("wp.zip"), &content).expect("written");
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&content));
        world.with_digest("wp.zip", &digest).expect("checked");
    }
    let kept = fs::read_dir(&world.settings.copies).expect("read").count();
    assert_eq!(kept, 16);
}

#[test]
fn a_private_address_needs_the_settings() {
    let mut world = World::new();
    let checked = |world: &World, url: &str| {
        let digest = "0".repeat(64);
        source(None, Some(url), Some(&digest)).checked("sources.wordpress", &world.settings)
    };
    for url in [
        "http://169.254.169.254/latest",
        "https://10.0.0.1/a",
        "https://[::1]/a",
    ] {
        let refused = checked(&world, url).expect_err("refused").to_string();
        assert!(refused.contains("private address"), "{refused}");
    }
    assert!(checked(&world, "https://downloads.example/a.zip").is_ok());
    let allowed = Allowed::parse("10.0.0.0/8").expect("a network");
    world.settings.allow_private.push(allowed);
    let file = checked(&world, "https://10.0.0.1/a").expect("allowed");
    assert_eq!(file.allow_private, ["10.0.0.0/8"]);
}

#[test]
fn what_is_recorded_without_a_digest_is_not_used() {
    let world = World::new();
    let old = source(Some("wp.zip"), None, None);
    let refused = old.checked("sources.wordpress", &world.settings);
    assert!(matches!(refused, Err(SourceError::Old { .. })));
}

#[test]
fn without_a_word_of_the_fleet_the_official_places_are_asked() {
    fn document<T: HasSpec>(spec: serde_json::Value) -> T {
        let spec = serde_json::from_value(spec).expect("a spec");
        T::from_spec(&spec).expect("a document")
    }
    let fleet: Fleet = document(json!({"version": 1, "name": "studio"}));
    let site: Site = document(json!({"name": "acme", "node": "web-1", "title": "Acme",
        "admin": {"user": "owner", "email": "owner@acme.example"},
        "wordpress": { "version": "7.1.1" }}));
    let file = wordpress(&fleet, Some(&site));
    let url = file.url.expect("an address");
    assert_eq!(url, "https://wordpress.org/wordpress-7.1.1.zip");
    assert_eq!(wp_cli(&fleet).sha512.as_deref(), Some(WP_CLI_SHA512));
}

#[test]
fn a_pack_that_cannot_be_used_says_why_and_fails_nothing() {
    let mut world = World::new();
    fs::write(world.place("large.zip"), "").expect("written");
    let large = fs::File::options()
        .write(true)
        .open(world.place("large.zip"));
    large
        .and_then(|file| file.set_len(33 << 20))
        .expect("sparse");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(CONTENT));
    let other = "0".repeat(64);
    let fleet = json!({"version": 1, "name": "studio", "sources": {"languages": [
        {"locale": "de_DE", "path": "wp.zip", "sha256": digest},
        {"locale": "de_DE", "plugin": "shop", "version": "2", "path": "gone.zip", "sha256": digest},
        {"locale": "de_DE", "theme": "plain", "path": "wp.zip", "sha256": other},
        {"locale": "de_DE", "theme": "large", "path": "large.zip", "sha256": other},
        {"locale": "de_DE", "plugin": "far", "url": "https://10.0.0.1/a.zip", "sha256": digest},
        {"locale": "fr_FR", "path": "wp.zip", "sha256": digest},
    ]}});
    let fleet = serde_json::from_value(fleet).expect("a spec");
    let fleet = Fleet::from_spec(&fleet).expect("a document");
    let of = |locale: &str, settings: &SourceSettings| {
        let locale = serde_json::from_value(json!(locale)).expect("a language");
        Languages::of(&fleet, locale, settings)
    };
    let languages = of("de_DE", &world.settings);
    let shown = serde_json::to_value(&languages).expect("JSON");
    let told: Vec<String> = shown["packs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|pack| {
            let why = pack["problem"].as_str().unwrap_or("none");
            let words = [
                "none",
                "No such file",
                "is not what",
                "larger than 32 MiB",
                "private address",
            ];
            let word = words.into_iter().find(|word| why.contains(word));
            let slug = pack["slug"].as_str().unwrap_or("-");
            format!(
                "{} {slug}: {}",
                pack["kind"].as_str().unwrap_or_default(),
                word.unwrap_or(why)
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "core -: none",
            "plugin shop: No such file",
            "theme plain: is not what",
            "theme large: larger than 32 MiB",
            "plugin far: private address"
        ]
    );
    let files: Vec<&String> = languages.files().collect();
    assert_eq!(files.len(), 1);
    assert!(
        files[0].starts_with(
            &world
                .settings
                .copies
                .join("languages")
                .display()
                .to_string()
        )
    );
    assert_eq!(fs::read_to_string(files[0]).expect("read"), CONTENT);
    assert_eq!(shown["packs"][0]["checksum"], format!("sha256:{digest}"));
    assert_eq!(shown["official"], false);
    // Programs beside them are kept for themselves.
    world.checked("wp.zip").expect("checked");
    let allowed = Allowed::parse("10.0.0.0/8").expect("a network");
    world.settings.allow_private.push(allowed);
    let shown = serde_json::to_value(of("de_DE", &world.settings)).expect("JSON");
    assert_eq!(shown["packs"][4]["url"], "https://10.0.0.1/a.zip");
    assert_eq!(shown["allow_private"], json!(["10.0.0.0/8"]));
    // What WordPress is written in needs none.
    let english = serde_json::to_value(of("en_US", &world.settings)).expect("JSON");
    assert_eq!(english["packs"], json!([]));
}
