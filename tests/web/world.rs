//! A small fleet in a real database, and the server on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use jiff::{SignedDuration, Timestamp};
use pressluft::clock;
use pressluft::core::change::SpecPatch;
use pressluft::core::event::TaskStatus;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{ErrorCode, JobOrigin, JobType};
use pressluft::core::reconcile::{Cause, Verdict};
use pressluft::core::recorded::{JobId, ResourceStatus, Source};
use pressluft::core::spec::Spec;
use pressluft::secrets::Secret;
use pressluft::store::{
    Claim, Domain, Finish, Joins, NewJob, NewPlan, NewSighting, NewTarget, NewTaskEvent, Outcome,
    RecordPatch, Release, ReleaseHealth, Revision, Scope, StateChange, Store, TlsStatus,
    new_job_id, new_plan_id,
};
use pressluft::web::{
    Handle, NotReady, Options, Remote, Server, Wake, new_api_token, token_digest,
};
use serde_json::{Value, json};

use crate::client::{Reply, get, post};

pub(crate) const FIRST: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";
/// Its documents have errors.
pub(crate) const BROKEN: &str = "3c9f1a0be6d7c8f9a0b1c2d3e4f5061728394a5b";
pub(crate) const SECOND: &str = "9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const HOOK_SECRET: &str = "a secret of both sides";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) woken: Receiver<Wake>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What a test may want otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) behind_proxy: bool,
    pub(crate) not_ready: Option<&'static str>,
}

impl World {
    /// An endpoint on a database with nothing in it but a user.
    pub(crate) fn new() -> Self {
        Self::with(&Setup::default())
    }

    pub(crate) fn with(setup: &Setup) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let store = Store::open(&directory.path().join("state.db")).expect("opened");
        Self::serve(directory, store, setup)
    }

    /// The endpoint on what is in `directory`.
    pub(crate) fn serve(directory: tempfile::TempDir, mut store: Store, setup: &Setup) -> Self {
        if store.users(now()).expect("users").is_empty() {
            let hash = pressluft::web::password::hash(PASSWORD).expect("hashed");
            store
                .add_user("anna", &hash, "test", now())
                .expect("a user");
        }
        let (sender, woken) = channel();
        let mut options = Options::new(&directory.path().join("state.db"));
        options.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        options.allowed_hosts = vec!["status.example".to_owned()];
        options.behind_proxy = setup.behind_proxy;
        options.remotes = vec![Remote {
            name: "origin".to_owned(),
            secret: Secret::new(HOOK_SECRET.to_owned()),
        }];
        options.wake = Box::new(move |wake| drop(sender.send(wake)));
        let reason = setup.not_ready;
        options.ready = Box::new(move || {
            let not_ready = |reason: &str| NotReady {
                reason: reason.to_owned(),
                is_of_revision: reason.starts_with("revision"),
            };
            reason.map(not_ready).into_iter().collect()
        });
        let server = Server::bind(options).expect("it listens");
        let address = server.addresses()[0];
        let handle = server.handle();
        let thread = std::thread::spawn(move || server.run());
        Self {
            store,
            directory,
            address,
            woken,
            handle,
            thread: Some(thread),
        }
    }

    /// A fleet of three nodes with something of everything.
    pub(crate) fn with_fleet() -> Self {
        let mut world = Self::new();
        world.fill();
        world
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("state.db")
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        get(path).send(self.address)
    }

    /// Somebody who may look.
    pub(crate) fn token(&mut self) -> String {
        let token = new_api_token();
        let name = format!("test-{}", &token[4..12]);
        self.store
            .add_api_token(&name, &token_digest(&token), None, "test", now())
            .expect("kept");
        format!("Bearer {token}")
    }

    pub(crate) fn ask(&mut self, path: &str) -> Reply {
        let token = self.token();
        get(path).with("Authorization", &token).send(self.address)
    }

    pub(crate) fn login(&self, user: &str, password: &str) -> Reply {
        let body = json!({ "user": user, "password": password }).to_string();
        post("/api/login", body).json().send(self.address)
    }

    pub(crate) fn stop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ended well");
        }
    }

    /// Ends the server and begins another one on the same database.
    pub(crate) fn restart(self, setup: &Setup) -> Self {
        let mut old = self;
        old.stop();
        let directory =
            std::mem::replace(&mut old.directory, tempfile::tempdir().expect("directory"));
        let store = Store::open(&directory.path().join("state.db")).expect("opened");
        drop(old);
        Self::serve(directory, store, setup)
    }

    /// The second revision is in force, and a later one has errors.
    pub(crate) fn judge(&mut self) {
        self.save(BROKEN, "Move <acme> to web-9", 60);
        let error = |line: u32| {
            json!({
                "severity": "error", "code": "unknown-node", "file": "sites/acme.yaml", "line": line,
                "column": 7, "message": format!("`web-{line}` is no <b>node</b>"),
                "hint": "did you mean `web-1`?",
            })
        };
        let many: Vec<Value> = (1..=22).map(error).collect();
        let seen = [
            (SECOND, Verdict::Accepted, json!([])),
            (BROKEN, Verdict::Invalid, json!(many)),
        ];
        self.store
            .follow_repository("/srv/fleet")
            .expect("followed");
        for (id, verdict, diagnostics) in seen {
            let sighting = NewSighting {
                revision: self.store.revision(id).expect("read").expect("saved"),
                verdict,
                cause: Cause::Webhook,
                refused: None,
                diagnostics,
            };
            let told = self.store.record_sightings(&[sighting], "serve", now());
            told.expect("recorded");
        }
    }

    pub(crate) fn queue(&mut self, jobs: &[NewJob], revision: &str) {
        let plan = NewPlan {
            id: new_plan_id(now()),
            revision: revision.to_owned(),
            digest: "digest".to_owned(),
            partial: true,
            joins: Joins::Nothing,
            expected: vec![],
        };
        self.store
            .enqueue(&plan, jobs, "cli:anna", now())
            .expect("queued");
    }

    pub(crate) fn claim(&mut self) -> Claim {
        self.store
            .claim("worker:1", Scope::All, now())
            .expect("claimed")
            .expect("a job")
    }

    pub(crate) fn tell(&mut self, claim: &Claim, task: NewTaskEvent) {
        self.store
            .append_events(claim.job.id, claim.token, &[task], now())
            .expect("told");
    }

    pub(crate) fn end(&mut self, claim: &Claim, outcome: Outcome, changes: &[StateChange]) {
        let finish = Finish {
            job: claim.job.id,
            token: claim.token,
            outcome,
            changes,
        };
        self.store
            .finish(&finish, "worker:1", now())
            .expect("ended");
    }

    fn fill(&mut self) {
        self.save(FIRST, "Bring the bakery online", 7_200);
        self.save(SECOND, "Give acme more memory and <b>patience</b>", 240);
        let sites = [
            ("acme", "web-1", &["production", "staging"][..]),
            ("bakery", "web-1", &["production"]),
            ("florist", "web-2", &["production", "staging"]),
            ("harbour", "web-2", &["production"]),
            ("quarry", "web-3", &["production"]),
        ];
        let mut changes: Vec<StateChange> = ["web-1", "web-2", "web-3"]
            .map(|name| {
                record(
                    &format!("node/{name}"),
                    None,
                    &json!({ "host": "192.0.2.10" }),
                )
            })
            .into();
        for (site, node, environments) in sites {
            let spec = json!({ "title": format!("The {site}"), "node": node });
            changes.push(record(&format!("site/{site}"), Some(node), &spec));
            for environment in environments {
                let spec = json!({
                    "type": environment, "php": { "version": "8.2", "memory": "256M" },
                });
                changes.push(record(
                    &format!("env/{site}/{environment}"),
                    Some(node),
                    &spec,
                ));
                changes.push(StateChange::Domain(Domain {
                    name: format!("{environment}.{site}.example"),
                    environment: ResourceId::env(site, environment),
                    primary: true,
                    tls: TlsStatus::Active,
                    expires_at: Some(now() + SignedDuration::from_hours(24 * 60)),
                }));
            }
        }
        changes.push(StateChange::Release(Release {
            environment: ResourceId::env("acme", "production"),
            name: "20261120T101500".to_owned(),
            code_ref: Some("v1.4.0".to_owned()),
            wordpress_version: Some("6.8.2".to_owned()),
            health: ReleaseHealth::Healthy,
            active: true,
            created_at: now(),
        }));
        self.store
            .set_recorded(&changes, &[], "a test", "cli:anna", now())
            .expect("recorded");
        let done = job(JobType::EnvConfigure, "env/bakery/production", "web-1");
        self.queue(&[done], FIRST);
        let claim = self.claim();
        self.tell(&claim, task("Apply the files", TaskStatus::Changed, 0.4));
        self.end(&claim, Outcome::Succeeded, &[]);
        self.fail_one();
        self.block_one();
    }

    fn fail_one(&mut self) {
        let failing = job(JobType::EnvConfigure, "env/florist/staging", "web-2");
        let id = failing.id;
        self.queue(&[failing], SECOND);
        let claim = self.claim();
        self.tell(&claim, task("Gather what the node is", TaskStatus::Ok, 0.2));
        let diff = "--- before\n+++ after\n@@ -1,2 +1,2 @@\n pm = dynamic\n-pm.max_children = 4\n+pm.max_children = 8\n";
        self.tell(
            &claim,
            NewTaskEvent {
                diff: Some(diff.to_owned()),
                ..task(
                    "Apply the files of the environment",
                    TaskStatus::Changed,
                    1.3,
                )
            },
        );
        self.tell(
            &claim,
            NewTaskEvent {
                message: Some(
                    "\\u{1b}[31mphp-fpm: <script>alert(1)</script> in pool.conf on line 7\\u{1b}[0m"
                        .to_owned(),
                ),
                ..task("Reload PHP-FPM", TaskStatus::Failed, 2.1)
            },
        );
        let message = "Reload PHP-FPM: php-fpm refuses its configuration\npool.conf line 7";
        self.end(
            &claim,
            Outcome::Failed {
                code: ErrorCode::AnsibleHostFailed,
                message: message.to_owned(),
            },
            &[],
        );
        let target = target("env/florist/staging", Some(id), None);
        self.set_targets(&[target]);
    }

    fn block_one(&mut self) {
        let blocked = (
            "not-supported",
            "`backups` cannot be carried out by this version",
        );
        let target = target("env/harbour/production", None, Some(blocked));
        self.set_targets(&[target]);
    }

    fn set_targets(&mut self, targets: &[NewTarget]) {
        self.store
            .set_targets(SECOND, targets, false, now())
            .expect("set");
    }

    fn save(&mut self, id: &str, message: &str, ago: i64) {
        let revision = Revision {
            id: id.to_owned(),
            author: Some("Anna Ops <anna@ops.example>".to_owned()),
            message: Some(message.to_owned()),
            committed_at: Some(now() - SignedDuration::from_secs(ago)),
            dirty: false,
        };
        self.store.save_revision(&revision, now()).expect("saved");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(crate) fn now() -> Timestamp {
    clock::now()
}

pub(crate) fn job(job_type: JobType, resource: &str, node: &str) -> NewJob {
    NewJob {
        id: new_job_id(now()),
        job_type,
        resource: resource.parse().expect("an id"),
        node: node.to_owned(),
        origin: JobOrigin::Plan,
        max_attempts: 3,
        run_after: now(),
        status_on_start: Some(ResourceStatus::Deploying),
        status_on_failure: Some(ResourceStatus::Failed),
        reason: "`php.memory` changes".to_owned(),
        changes: r#"[{"path":"php.memory","before":"256M","after":"512M"}]"#.to_owned(),
        has_effects: true,
        payload: "{}".to_owned(),
        depends_on: Vec::new(),
    }
}

pub(crate) fn task(name: &str, status: TaskStatus, seconds: f64) -> NewTaskEvent {
    NewTaskEvent {
        at: now(),
        task: name.to_owned(),
        status,
        seconds: Some(seconds),
        diff: None,
        message: None,
    }
}

fn target(id: &str, job: Option<JobId>, blocked: Option<(&str, &str)>) -> NewTarget {
    let wanted: Spec = serde_json::from_value(json!({ "wanted": true })).expect("a spec");
    NewTarget {
        resource: id.parse().expect("an id"),
        wanted: wanted.hash(),
        job,
        blocked: blocked
            .map(|(code, reason)| (code.parse().expect("a code"), reason.to_owned()))
            .into_iter()
            .collect(),
    }
}

pub(crate) fn record(id: &str, node: Option<&str>, spec: &Value) -> StateChange {
    StateChange::Patch(Box::new(RecordPatch {
        id: id.parse().expect("an id"),
        patch: SpecPatch::of(&serde_json::from_value(spec.clone()).expect("a spec")),
        status: Some(ResourceStatus::Active),
        node: node.map(str::to_owned),
        revision: FIRST.to_owned(),
        source: Some(Source {
            file: "fleet/sites.yaml".to_owned(),
            line: 12,
        }),
        fingerprints: BTreeMap::new(),
    }))
}
