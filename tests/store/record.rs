//! Recorded resources, facts, host keys and ciphertexts.

use std::os::unix::fs::PermissionsExt;

use pressluft::core::change::SpecPatch;
use pressluft::core::id::ResourceKind;
use pressluft::core::job::{ErrorCode, JobType};
use pressluft::core::recorded::{ResourceStatus, Source};
use pressluft::store::{
    Finish, GeneratedSecret, HostKeySource, Outcome, Release, ReleaseHealth, Scope, StateChange,
    Store, StoreError,
};

use crate::fixture::{Fixture, at, id, job, plan, record, spec};

#[test]
fn what_was_recorded_is_read_back_and_counts_its_generations() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    let first = [
        record("env/acme/production", "256M"),
        record("node/web-1", "1M"),
    ];
    store
        .set_recorded(&first, &[], "adopted", "ops", at(1))
        .expect("recorded");
    store
        .set_recorded(&first, &[], "again", "ops", at(2))
        .expect("recorded");
    let env = id("env/acme/production");
    let changed = [record("env/acme/production", "512M")];
    store
        .set_recorded(&changed, &[(env.clone(), 1)], "edited", "ops", at(3))
        .expect("recorded");

    let heads = store.recorded_heads().expect("heads");
    let ids: Vec<String> = heads.iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(ids, ["node/web-1", "env/acme/production"]);
    let head = &heads[1].1;
    assert_eq!((head.generation, head.spec_hash), (2, spec("512M").hash()));
    assert_eq!(heads[0].1.generation, 1);

    let full = store.recorded(&env).expect("read").expect("is there");
    assert_eq!(
        (full.spec, full.status),
        (spec("512M"), ResourceStatus::Active)
    );
    assert_eq!((full.created_at, full.updated_at), (at(1), at(3)));
    assert_eq!(
        store
            .recorded_of_kind(ResourceKind::Node)
            .expect("read")
            .len(),
        1
    );

    let stale = store.set_recorded(&changed, &[(env.clone(), 1)], "late", "ops", at(4));
    assert!(matches!(stale, Err(StoreError::StalePlan(ids)) if ids == [env]));
    fixture.assert_sound();
}

#[test]
fn another_secret_is_another_generation() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let with_secret = |fingerprint: &str| {
        let mut change = record("env/acme/production", "256M");
        if let StateChange::Patch(record) = &mut change {
            let path = "php.memory".to_owned();
            record.fingerprints = [(path, fingerprint.to_owned())].into();
        }
        [change]
    };
    let steps = [
        (vec![record("env/acme/production", "256M")], 1),
        (with_secret("a").into(), 2),
        (with_secret("a").into(), 2),
        (with_secret("b").into(), 3),
    ];
    for (moment, (changes, generation)) in steps.into_iter().enumerate() {
        let moment = at(i64::try_from(moment).expect("few") + 1);
        fixture
            .store
            .set_recorded(&changes, &[], "rotated", "ops", moment)
            .expect("recorded");
        let recorded = fixture
            .store
            .recorded(&env)
            .expect("read")
            .expect("is there");
        assert_eq!(recorded.generation, generation);
    }
    fixture.assert_sound();
}

#[test]
fn templates_stay_recorded_until_the_job_that_uses_them_says_otherwise() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let with = |names: &[(&str, &str)]| {
        let mut change = record("env/acme/production", "256M");
        if let StateChange::Patch(record) = &mut change {
            let names = names
                .iter()
                .map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned()));
            record.fingerprints = names.collect();
        }
        [change]
    };
    let (vhost, pool) = ("templates/nginx/site.conf", "templates/php/fpm.conf");
    for (moment, (names, left)) in [
        (vec![(vhost, "a"), (pool, "b")], vec![vhost, pool]),
        (vec![], vec![vhost, pool]),
        (vec![(vhost, "")], vec![pool]),
        (vec![(pool, "")], vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        let moment = at(i64::try_from(moment).expect("few") + 1);
        let store = &mut fixture.store;
        store
            .set_recorded(&with(&names), &[], "applied", "ops", moment)
            .expect("recorded");
        let recorded = store.recorded(&env).expect("read").expect("is there");
        let names: Vec<&str> = recorded.fingerprints.keys().map(String::as_str).collect();
        assert_eq!(names, left);
    }
    fixture.assert_sound();
}

#[test]
fn the_database_is_private_and_a_missing_one_is_said_to_be_missing() {
    let fixture = Fixture::new();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let mode = |name: &str| {
            let path = fixture.directory.path().join(name);
            std::fs::metadata(path)
                .expect("metadata")
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let other = fixture.directory.path().join("none.db");
    assert!(matches!(
        Store::open_read_only(&other),
        Err(StoreError::Missing(_))
    ));
    assert!(!other.exists());
    let reader = Store::open_read_only(&fixture.path()).expect("opened");
    assert!(
        reader
            .revision(crate::fixture::REVISION)
            .expect("read")
            .is_some()
    );
}

#[test]
fn one_release_of_an_environment_is_active() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let release = |name: &str, created: i64| {
        StateChange::Release(Release {
            environment: env.clone(),
            name: name.to_owned(),
            code_ref: None,
            wordpress_version: Some("6.8.2".to_owned()),
            health: ReleaseHealth::Healthy,
            active: true,
            created_at: at(created),
        })
    };
    let changes = [release("20260222-1", 1), release("20260222-2", 2)];
    fixture
        .store
        .set_recorded(&changes, &[], "releases", "ops", at(2))
        .expect("recorded");
    let active: Vec<(String, bool)> = fixture
        .store
        .releases(&env)
        .expect("read")
        .into_iter()
        .map(|release| (release.name, release.active))
        .collect();
    assert_eq!(
        active,
        [
            ("20260222-2".to_owned(), true),
            ("20260222-1".to_owned(), false)
        ]
    );
}

#[test]
fn host_keys_are_replaced_and_audited_only_when_they_differ() {
    let mut fixture = Fixture::new();
    let keys = ["ssh-ed25519 AAAA1".to_owned()];
    let mut set = || {
        fixture
            .store
            .set_host_keys("web-1", &keys, HostKeySource::Enrolled, "ops", at(1))
    };
    assert!(set().expect("set"));
    assert!(!set().expect("set"));
    assert_eq!(fixture.store.host_keys("web-1").expect("read").len(), 1);
    fixture.assert_sound();
}

#[test]
fn generated_secrets_stay_what_the_first_one_made_them() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let made = |text: &str| {
        vec![GeneratedSecret {
            name: "db".to_owned(),
            ciphertext: text.as_bytes().to_vec(),
        }]
    };
    let mut keep = |text: &str| {
        fixture
            .store
            .keep_generated_secrets(&env, &made(text), at(1))
            .expect("kept")
    };
    assert_eq!(keep("first"), made("first"));
    assert_eq!(keep("second"), made("first"));
}

#[test]
fn an_equal_secret_changes_nothing() {
    let mut fixture = Fixture::new();
    let store = &mut fixture.store;
    assert!(
        store
            .set_secret("s3", b"one", "f1", "ops", at(1))
            .expect("set")
    );
    assert!(
        !store
            .set_secret("s3", b"two", "f1", "ops", at(2))
            .expect("set")
    );
    let kept = store.secret("s3").expect("read").expect("is there");
    assert_eq!(
        (kept.ciphertext.as_slice(), kept.updated_at),
        (&b"one"[..], at(1))
    );
    assert_eq!(store.secret("s4").expect("read"), None);
    let digest = store.keep_secret_blob("s3", b"blob").expect("kept");
    assert_eq!(
        store.secret_blob(&digest).expect("read").as_deref(),
        Some(&b"blob"[..])
    );
}

#[test]
fn only_what_is_still_as_it_was_checked_is_taken_back() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let store = &mut fixture.store;
    let change = [record("env/acme/production", "1M")];
    store
        .set_recorded(&change, &[], "adopted", "ops", at(0))
        .expect("recorded");
    let mut only = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    only.max_attempts = 1;
    store
        .enqueue(&plan(&[]), std::slice::from_ref(&only), "ops", at(1))
        .expect("queued");
    let status = |store: &Store| {
        let recorded = store.recorded(&env).expect("read").expect("recorded");
        recorded.status
    };
    let reset = |store: &mut Store, since| {
        let reset = store.reset(&env, &env, at(since), "ops", at(since + 5));
        reset.expect("read")
    };
    let claim = store.claim("w", Scope::All, at(10)).expect("claimed");
    // While a job of it runs nobody knows how it ends.
    assert!(!reset(store, 10));
    let finish = Finish {
        job: only.id,
        token: claim.expect("a job").token,
        outcome: Outcome::Failed {
            code: ErrorCode::AnsibleHostFailed,
            message: "no".to_owned(),
        },
        changes: &[],
    };
    store.finish(&finish, "w", at(11)).expect("finished");
    assert_eq!(status(store), ResourceStatus::Failed);
    // It failed after the check began.
    assert!(!reset(store, 11));
    assert_eq!(status(store), ResourceStatus::Failed);
    assert!(reset(store, 12));
    assert_eq!(status(store), ResourceStatus::Active);
    fixture.assert_sound();
}

#[test]
fn what_is_recorded_without_a_job_leaves_the_status_alone() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let store = &mut fixture.store;
    let put = |store: &mut Store, memory: &str, status: Option<ResourceStatus>| {
        let mut change = record("env/acme/production", memory);
        if let StateChange::Patch(record) = &mut change {
            record.status = status;
        }
        let put = store.set_recorded(&[change], &[], "recorded", "ops", at(0));
        put.expect("recorded");
        let recorded = store.recorded(&env).expect("read").expect("recorded");
        (recorded.status, recorded.generation)
    };
    assert_eq!(put(store, "1M", None), (ResourceStatus::Active, 1));
    let failed = Some(ResourceStatus::Failed);
    assert_eq!(put(store, "1M", failed), (ResourceStatus::Failed, 1));
    assert_eq!(put(store, "2M", None), (ResourceStatus::Failed, 2));
    fixture.assert_sound();
}

#[test]
fn a_job_leaves_what_was_recorded_while_it_ran() {
    let mut fixture = Fixture::new();
    let env = id("env/acme/production");
    let leaf = |name: &str| vec![name.to_owned()];
    let patched = |name: &str, value: &str, source: Option<u32>| {
        let mut change = record("env/acme/production", "256M");
        if let StateChange::Patch(record) = &mut change {
            record.patch = SpecPatch::default();
            let set = (leaf(name), serde_json::Value::from(value));
            record.patch.set.push(set.into());
            record.fingerprints = [(name.to_owned(), "f".to_owned())].into();
            record.node = None;
            let file = "moved.yaml".to_owned();
            record.source = source.map(|line| Source { file, line });
        }
        change
    };
    let store = &mut fixture.store;
    let first = [record("env/acme/production", "256M")];
    let put = store.set_recorded(&first, &[], "adopted", "ops", at(1));
    put.expect("recorded");
    let waiting = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&waiting));
    let store = &mut fixture.store;
    let claim = store.claim("w", Scope::All, at(2)).expect("claims");
    let token = claim.expect("a job").token;
    let between = [patched("protect", "of the document", Some(9))];
    let put = store.set_recorded(&between, &[], "beside it", "ops", at(3));
    put.expect("recorded");
    let changes = [patched("title", "of the job", None)];
    let finish = Finish {
        job: waiting.id,
        token,
        outcome: Outcome::Succeeded,
        changes: &changes,
    };
    store.finish(&finish, "w", at(4)).expect("finished");
    let recorded = store.recorded(&env).expect("read").expect("recorded");
    assert_eq!(recorded.spec.str("protect"), Some("of the document"));
    assert_eq!(recorded.spec.str("title"), Some("of the job"));
    assert_eq!(recorded.spec.str("php.memory"), Some("256M"));
    let secrets: Vec<&String> = recorded.fingerprints.keys().collect();
    assert_eq!(secrets, ["protect", "title"]);
    assert_eq!(recorded.source.file, "moved.yaml");
    assert_eq!(recorded.node.as_deref(), Some("web-1"));
    fixture.assert_sound();
}

#[test]
fn a_host_key_is_pinned_only_by_who_holds_the_job() {
    let mut fixture = Fixture::new();
    let only = job(JobType::NodeProvision, "node/web-1", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&only));
    let store = &mut fixture.store;
    let first = store.claim("w", Scope::All, at(1)).expect("claimed");
    let first = first.expect("a job").token;
    store.expire_leases("w2", at(100)).expect("expired");
    store
        .mark_interrupted(only.id, first, "gone", at(100), "w2", at(100))
        .expect("interrupted");
    let second = store.claim("w2", Scope::All, at(101)).expect("claimed");
    let second = second.expect("a job").token;
    let enroll = |store: &mut Store, token, key: &str| {
        store.enroll_host_key((only.id, token), "web-1", key, "w", at(102))
    };
    enroll(store, second, "ssh-ed25519 SECOND").expect("pinned");
    let late = enroll(store, first, "ssh-ed25519 FIRST");
    assert!(matches!(late, Err(StoreError::Stale { .. })), "{late:?}");
    let keys = store.host_keys("web-1").expect("read");
    let keys: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
    assert_eq!(keys, ["ssh-ed25519 SECOND"]);
    fixture.assert_sound();
}
