//! Identity, fingerprints, sources and generated secrets.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use pressluft::core::id::ResourceId;
use pressluft::secrets::{
    FingerprintKey, Identity, Origin, RepoSecrets, SALTS, Secret, SecretError, encrypt,
    encrypt_armored, environment_secrets, fingerprints, pin, reseal, reveal, set,
};
use pressluft::store::Store;

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
    identity: Identity,
    key: FingerprintKey,
}

fn now() -> Timestamp {
    "2026-02-22T12:00:00Z".parse().expect("time")
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let store = Store::open(&directory.path().join("state.db")).expect("opened");
        let identity = Identity::generate(&directory.path().join("secrets")).expect("made");
        let key = FingerprintKey::load_or_make(&directory.path().join("secrets")).expect("made");
        Self {
            directory,
            store,
            identity,
            key,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> bool {
        let value = Secret::new(value.to_owned());
        let keys = (&self.identity, &self.key);
        set(
            &mut self.store,
            keys,
            &name.parse().expect("name"),
            &value,
            "ops",
            now(),
        )
        .expect("set")
    }
}

#[test]
fn the_identity_is_private_and_never_replaced() {
    let fixture = Fixture::new();
    let directory = fixture.directory.path().join("secrets");
    for name in ["identity.age", "fingerprint.key"] {
        let mode = std::fs::metadata(directory.join(name))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(matches!(
        Identity::generate(&directory),
        Err(SecretError::Exists(_))
    ));
    let again = Identity::load(&directory).expect("loaded");
    assert_eq!(
        again.recipient().to_string(),
        fixture.identity.recipient().to_string()
    );

    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(directory.join("identity.age"), open).expect("opened up");
    assert!(matches!(
        Identity::load(&directory),
        Err(SecretError::TooOpen { mode: 0o640, .. })
    ));
}

#[test]
fn armored_and_binary_files_open_for_their_recipients_alone() {
    let ours = Fixture::new();
    let other = Fixture::new();
    let recipients = [ours.identity.recipient(), other.identity.recipient()];
    let armored = encrypt_armored(&recipients, b"value").expect("encrypted");
    assert!(armored.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let binary = encrypt(&recipients[..1], b"value").expect("encrypted");
    for file in [&armored, &binary] {
        assert_eq!(
            ours.identity
                .decrypt_text("s", file)
                .expect("opened")
                .expose(),
            "value"
        );
    }
    assert!(other.identity.decrypt("s", &armored).is_ok());
    let closed = other
        .identity
        .decrypt("s", &binary)
        .err()
        .map(|error| error.to_string());
    assert_eq!(
        closed.as_deref(),
        Some("the secret `s` cannot be decrypted: it is for other recipients")
    );
    let mut damaged = binary;
    *damaged.last_mut().expect("not empty") ^= 1;
    assert!(matches!(
        ours.identity.decrypt("s", &damaged),
        Err(SecretError::Decrypt { .. })
    ));
    assert!(matches!(
        encrypt(&[], b"value"),
        Err(SecretError::Encrypt(_))
    ));
}

#[test]
fn the_fleet_repo_wins_and_an_equal_value_is_no_change() {
    let mut fixture = Fixture::new();
    assert!(fixture.set("s3", "own"));
    assert!(!fixture.set("s3", "own"));
    assert!(fixture.set("dns/cloudflare", "own"));
    let file = encrypt(&[fixture.identity.recipient()], b"repo").expect("encrypted");
    let repo: RepoSecrets = BTreeMap::from([("s3".to_owned(), file)]);
    let names = ["s3", "dns/cloudflare"];

    let origins = pin(&mut fixture.store, &repo, names).expect("pinned");
    assert_eq!(origins["dns/cloudflare"], Origin::Store);
    let value = |name: &str| {
        reveal(&fixture.store, &fixture.identity, name, &origins[name]).expect("revealed")
    };
    assert_eq!(value("s3").expose(), "repo");
    assert_eq!(value("dns/cloudflare").expose(), "own");
    let missing = pin(&mut fixture.store, &repo, ["smtp"]);
    assert!(matches!(missing, Err(SecretError::NotFound(name)) if name == "smtp"));

    let before = fingerprints(&fixture.key, &fixture.store, &repo, names).expect("read");
    assert_eq!(before.len(), 2);
    assert!(fixture.set("dns/cloudflare", "rotated"));
    let after = fingerprints(&fixture.key, &fixture.store, &repo, names).expect("read");
    assert_eq!(before["s3"], after["s3"]);
    assert_ne!(before["dns/cloudflare"], after["dns/cloudflare"]);
    let other = Fixture::new();
    assert_ne!(
        fixture.key.of_value("a", b"x"),
        other.key.of_value("a", b"x")
    );
    assert_ne!(
        fixture.key.of_value("a", b"x"),
        fixture.key.of_value("b", b"x")
    );
}

#[test]
fn generated_secrets_are_made_once_also_by_processes_that_race() {
    let fixture = Fixture::new();
    let path = fixture.store.path().to_owned();
    let secrets = fixture.directory.path().join("secrets");
    let environment: ResourceId = "env/acme/production".parse().expect("id");
    let make = || {
        let mut store = Store::open(&path).expect("opened");
        let identity = Identity::load(&secrets).expect("loaded");
        let made = environment_secrets(&mut store, &identity, &environment, now()).expect("made");
        let salts: Vec<String> = SALTS
            .iter()
            .map(|name| made.salts[name].expose().clone())
            .collect();
        let passwords =
            [made.db_password, made.admin_password].map(|password| password.expose().clone());
        (passwords, salts)
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(all.iter().all(|one| *one == all[0]));
    let (passwords, salts) = &all[0];
    assert!(passwords.iter().all(|password| password.len() == 32));
    assert!(salts.iter().all(|salt| salt.len() == 64));
    let distinct: std::collections::BTreeSet<&String> = passwords.iter().chain(salts).collect();
    assert_eq!(distinct.len(), 10);
}

#[test]
fn what_a_document_may_refer_to_can_be_stored() {
    use pressluft::core::document::scalar::{Scalar, SecretRef};
    use pressluft::secrets::SecretName;
    let long = "a".repeat(201);
    for name in [
        "s3",
        "dns/cloudflare",
        "a.b-c_d",
        "0",
        "S3",
        "a..b",
        "../a",
        ".a",
        "a/",
        "ä",
        "",
        &long,
    ] {
        let reference = SecretRef::parse(&format!("secret:{name}")).is_ok();
        assert_eq!(reference, name.parse::<SecretName>().is_ok(), "{name}");
    }
}

#[test]
fn what_was_generated_stays_the_same_under_another_identity() {
    let mut fixture = Fixture::new();
    let directory = fixture.directory.path().join("secrets");
    let environment = ResourceId::env("acme", "production");
    let store = &mut fixture.store;
    let before = environment_secrets(store, &fixture.identity, &environment, now()).expect("made");
    let rotated = Identity::load(&directory).expect("loaded").rotated();
    rotated.save(&directory).expect("saved");
    let file = encrypt(&[fixture.identity.recipient()], b"of the repo").expect("encrypted");
    let kept = store.keep_secret_blob("s", &file).expect("kept");
    let stranger = encrypt(&[Fixture::new().identity.recipient()], b"x").expect("encrypted");
    let foreign = store.keep_secret_blob("f", &stranger).expect("kept");
    assert_eq!(
        rotated.control_plane().to_string(),
        fixture.identity.recipient().to_string()
    );
    // Two passwords, the salts, and a file that jobs use.
    for expected in [4, 0] {
        let resealed = reseal(store, &rotated).expect("sealed");
        assert_eq!(resealed.keep(store).expect("kept"), expected);
    }
    assert_eq!(store.secret_blob(&foreign).expect("read"), Some(stranger));
    rotated.without_earlier().save(&directory).expect("retired");
    let alone = Identity::load(&directory).expect("loaded");
    assert_eq!(alone.earlier(), 0);
    let origin = Origin::Repo { digest: kept };
    let value = reveal(store, &alone, "s", &origin).expect("opened");
    assert_eq!(value.expose(), "of the repo");
    let after = environment_secrets(store, &alone, &environment, now()).expect("opened");
    assert_eq!(after.db_password.expose(), before.db_password.expose());
    assert_eq!(
        after.salts["AUTH_KEY"].expose(),
        before.salts["AUTH_KEY"].expose()
    );
    assert!(environment_secrets(store, &fixture.identity, &environment, now()).is_err());
    let mode = std::fs::metadata(directory.join("identity.age"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
