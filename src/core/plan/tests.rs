use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::core::fingerprint::TemplateFingerprints;
use crate::core::id::ResourceKind;
use crate::core::spec::Spec;

/// A small fleet whose wanted and recorded forms the tests bend.
#[derive(Clone, Default)]
struct Fleet {
    wanted: BTreeMap<ResourceId, Spec>,
    recorded: BTreeMap<ResourceId, Spec>,
    fingerprints: BTreeMap<String, String>,
    templates: TemplateFingerprints,
    recorded_fingerprints: BTreeMap<String, String>,
    choice: Choice,
    used_tokens: BTreeSet<(ResourceId, JobType)>,
    followers: BTreeMap<ResourceId, Followed>,
    unsettled: Vec<ResourceId>,
}

fn id(text: &str) -> ResourceId {
    text.parse().expect("an id")
}

impl Fleet {
    fn new() -> Self {
        let mut fleet = Self::default();
        fleet.want("fleet", json!({"name": "f"}));
        fleet.want(
            "node/web-1",
            json!({"name": "web-1", "host": "203.0.113.10", "state": "present"}),
        );
        fleet.want(
            "site/acme",
            json!({"name": "acme", "node": "web-1", "title": "Acme"}),
        );
        fleet.want(
            "env/acme/production",
            json!({"type": "production", "php": {"memory": "256M"}}),
        );
        fleet.want(
            "env/acme/staging",
            json!({"type": "staging", "from": "production"}),
        );
        fleet
    }

    fn want(&mut self, text: &str, spec: Value) {
        self.wanted
            .insert(id(text), serde_json::from_value(spec).expect("an object"));
    }

    fn set(&mut self, text: &str, field: &str, value: Value) {
        let spec = self.wanted.get_mut(&id(text)).expect("wanted");
        spec.fields_mut().insert(field.to_owned(), value);
    }

    fn applied(mut self) -> Self {
        self.recorded = self.wanted.clone();
        self
    }

    fn plan(&self) -> Plan {
        self.with(build)
    }

    fn left_behind(&self) -> Option<ResourceId> {
        self.with(|input| left_behind(&build(input), input).map(|(env, _)| env.clone()))
    }

    fn with<T>(&self, look: impl FnOnce(&PlanInput<'_>) -> T) -> T {
        let lookup = |id: &ResourceId| self.wanted.get(id).cloned();
        let recorded_spec = |id: &ResourceId| self.recorded.get(id).cloned();
        let production_of = |_: &str| Some("production".to_owned());
        look(&PlanInput {
            wanted: self.wanted.keys().cloned().collect(),
            recorded: self
                .recorded
                .keys()
                .map(|id| {
                    let fingerprints = if id.to_string() == "env/acme/production" {
                        self.recorded_fingerprints.clone()
                    } else {
                        BTreeMap::new()
                    };
                    (
                        id.clone(),
                        Recorded {
                            generation: 3,
                            settled: !self.unsettled.contains(id),
                            fingerprints,
                        },
                    )
                })
                .collect(),
            lookup: &lookup,
            recorded_spec: &recorded_spec,
            source: &|_| None,
            production_of: &production_of,
            has_environments: self
                .recorded
                .keys()
                .any(|id| matches!(id, ResourceId::Env { .. })),
            fingerprints: self.fingerprints.clone(),
            templates: self.templates.clone(),
            used_tokens: self.used_tokens.clone(),
            followers: self.followers.clone(),
            choice: self.choice.clone(),
        })
    }

    fn outline(&self) -> Vec<String> {
        let plan = self.plan();
        let jobs = plan.jobs.iter().map(|job| {
            format!(
                "{} {} {} {}",
                job.id,
                job.job_type,
                job.resource,
                job.after.join(",")
            )
        });
        let records = plan
            .records
            .iter()
            .map(|record| format!("record {}", record.resource));
        let blocked = plan
            .blocked
            .iter()
            .map(|b| format!("{} {}: {}", b.code, b.resource, b.message));
        let removed = plan
            .removed
            .iter()
            .map(|removed| format!("removed {}", removed.resource));
        jobs.chain(records).chain(blocked).chain(removed).collect()
    }
}

#[test]
fn an_empty_record_builds_everything_in_order() {
    assert_eq!(
        Fleet::new().outline(),
        [
            "j0 node_provision node/web-1 ",
            "j1 site_create site/acme j0",
            "j2 health_check env/acme/production j0,j1",
            "j3 env_create env/acme/staging j0,j1",
            "j4 health_check env/acme/staging j0,j1,j3",
            "record fleet",
        ]
    );
}

#[test]
fn what_is_recorded_as_wanted_plans_nothing() {
    let plan = Fleet::new().applied().plan();
    assert_eq!(plan, Plan::default());
}

#[test]
fn one_edited_field_is_one_job_with_one_change() {
    let mut fleet = Fleet::new().applied();
    fleet.set("env/acme/production", "php", json!({"memory": "512M"}));
    let plan = fleet.plan();
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!(plan.jobs[0].job_type, JobType::EnvConfigure);
    assert_eq!(plan.jobs[0].reason, "`php.memory` changed");
    assert_eq!(
        plan.jobs[0].changes,
        [Change {
            path: "php.memory".into(),
            before: json!("256M"),
            after: json!("512M"),
            resource: None,
        }]
    );
    assert_eq!(
        plan.generations,
        BTreeMap::from([(id("env/acme/production"), 3)])
    );
}

#[test]
fn the_title_of_a_site_is_set_in_its_production_environment() {
    let mut fleet = Fleet::new().applied();
    fleet.set("site/acme", "title", json!("Other"));
    fleet.set("env/acme/production", "php", json!({"memory": "512M"}));
    let plan = fleet.plan();
    assert_eq!(fleet.outline(), ["j0 env_configure env/acme/production "]);
    let touched: Vec<String> = plan.jobs[0].touched().map(ToString::to_string).collect();
    assert_eq!(touched, ["site/acme", "env/acme/production"]);
    // What is shown below the name of the site is the site's.
    let shown = plan.jobs[0].shown(None);
    let of: Vec<(Option<String>, &str)> = shown
        .iter()
        .map(|shown| (shown.of.map(ToString::to_string), &*shown.changes[0].path))
        .collect();
    assert_eq!(
        of,
        [
            (None, "php.memory"),
            (Some("site/acme".to_owned()), "title")
        ]
    );
}

#[test]
fn each_field_of_what_a_site_s_job_makes_says_whose_it_is() {
    let plan = Fleet::new().plan();
    let made = plan.jobs.iter().find(|job| job.resource == id("site/acme"));
    let made = made.expect("it is made");
    for most in [None, Some(1)] {
        let groups = made.shown(most);
        let of: Vec<Option<&ResourceId>> = groups
            .iter()
            .flat_map(|group| group.changes.iter())
            .map(|change| change.resource.as_ref())
            .collect();
        let production = id("env/acme/production");
        assert!(
            of.contains(&None) && of.contains(&Some(&production)),
            "{of:?}"
        );
        assert!(of.is_sorted(), "{of:?}");
        let left: usize = groups.iter().map(|group| group.more).sum();
        assert_eq!(left > 0, most.is_some());
    }
}

#[test]
fn a_field_of_the_control_plane_is_recorded_without_a_job() {
    let mut fleet = Fleet::new().applied();
    fleet.set("site/acme", "protect", json!(true));
    assert_eq!(fleet.outline(), ["record site/acme"]);
}

#[test]
fn what_is_only_recorded_is_neither_created_nor_updated() {
    let counts = Fleet::new().plan().counts();
    assert_eq!((counts.create, counts.update, counts.records), (4, 0, 1));
    let mut fleet = Fleet::new().applied();
    fleet.set("node/web-1", "labels", json!({"tier": "shop"}));
    for id in ["node/web-1", "env/acme/production"] {
        fleet.set(id, "drift", json!("heal"));
    }
    let counts = fleet.plan().counts();
    assert_eq!((counts.jobs, counts.update, counts.records), (0, 0, 2));
}

#[test]
fn moving_a_site_is_blocked_and_says_why() {
    let mut fleet = Fleet::new().applied();
    fleet.want(
        "node/web-2",
        json!({"name": "web-2", "host": "203.0.113.11"}),
    );
    fleet.set("site/acme", "node", json!("web-2"));
    assert_eq!(
        fleet.outline(),
        [
            "j0 node_provision node/web-2 ",
            "fixed-field site/acme: `node`: moving a site to another node copies its data"
        ]
    );
    // Until then it is changed where it is.
    fleet.set("env/acme/production", "php", json!({"memory": "512M"}));
    let plan = fleet.plan();
    let job = plan
        .jobs
        .iter()
        .find(|job| job.job_type == JobType::EnvConfigure);
    assert_eq!(job.expect("a job").node, "web-1");
}

#[test]
fn what_has_no_playbook_yet_is_blocked_and_stays_unrecorded() {
    let mut fleet = Fleet::new();
    fleet.set(
        "env/acme/production",
        "domains",
        json!([{"name": "acme.example"}]),
    );
    fleet.set(
        "env/acme/production",
        "cache",
        json!({"page": false, "ttl": "10m"}),
    );
    let outline = fleet.outline();
    let message = "not-supported env/acme/production: `domains` needs `domain_add`, which this \
                   version cannot run";
    assert_eq!(outline.last().map(String::as_str), Some(message));
    let plan = fleet.plan();
    let created = plan
        .jobs
        .iter()
        .find(|job| job.job_type == JobType::SiteCreate)
        .expect("a job");
    let recorded = created.effects[1].patch.apply(&Spec::default());
    assert_eq!(recorded.get("domains"), None);
    assert_eq!(recorded.str("php.memory"), Some("256M"));
}

#[test]
fn a_setting_that_nothing_carries_out_is_blocked_and_stays_unrecorded() {
    let editor = json!([{"name": "editor", "keys": ["ssh-ed25519 AAAA"]}]);
    let http = json!({"hsts": true, "waf": {"mode": "log", "exclude": ["942100"]}});
    let blocked = [
        "not-supported env/acme/production: `http.hsts`: sites are not served over TLS by this \
         version",
        "not-supported env/acme/production: `http.waf.exclude`, `http.waf.mode`: the web \
         application firewall is not set up by this version",
        "not-supported env/acme/production: `sftp`: users for SFTP are not made by this version",
    ];

    let mut new = Fleet::new();
    new.set("env/acme/production", "sftp", editor.clone());
    new.set("env/acme/production", "http", http.clone());
    let outline = new.outline();
    assert_eq!(sorted(&outline[outline.len() - 3..]), blocked);
    let plan = new.plan();
    let created = plan
        .jobs
        .iter()
        .find(|job| job.job_type == JobType::SiteCreate)
        .expect("a job");
    let recorded = created.effects[1].patch.apply(&Spec::default());
    assert_eq!(
        (recorded.get("sftp"), recorded.get("http.waf")),
        (None, None)
    );

    let mut existing = Fleet::new().applied();
    existing.set("env/acme/production", "sftp", editor);
    existing.set("env/acme/production", "http", http);
    let outline = existing.outline();
    assert!(
        outline.iter().all(|line| line.starts_with("not-supported")),
        "{outline:?}"
    );

    let mut defaults = Fleet::new().applied();
    let off = json!({"hsts": false, "waf": {"mode": "off"}});
    defaults.set("env/acme/production", "http", off);
    assert_eq!(defaults.outline(), ["record env/acme/production"]);
}

#[test]
fn what_nobody_carries_out_is_recorded_nowhere_as_done() {
    let cases = [
        (
            "fleet",
            "backups",
            json!({"repository": "s3:https://s3.example/studio"}),
        ),
        (
            "fleet",
            "hooks",
            json!([{"on": "after:env_deploy", "playbook": "hooks/a.yml"}]),
        ),
        ("fleet", "rollout", json!({"batch": "50%"})),
        ("fleet", "reconcile", json!({"prune": "destroy"})),
        ("fleet", "reconcile", json!({"max_destroy": {"count": 5}})),
        ("fleet", "acme", json!({"email": "ops@studio.example"})),
        ("fleet", "sources", json!({"plugins": "mirror"})),
        ("node/web-1", "state", json!("absent")),
        (
            "site/acme",
            "updates",
            json!({"scope": ["plugins"], "window": "sun 03:00-05:00 UTC"}),
        ),
        (
            "env/acme/production",
            "backups",
            json!({"schedule": "0 3 * * *", "scope": "full"}),
        ),
        ("env/acme/staging", "expires", json!("14d")),
        (
            "env/acme/production",
            "promotion",
            json!({"preset": "commerce-protect"}),
        ),
    ];
    for (of, field, value) in cases {
        let mut fleet = Fleet::new();
        fleet.set(of, field, value.clone());
        let plan = fleet.plan();
        let effects = plan.jobs.iter().flat_map(|job| &job.effects);
        let effects = effects.chain(plan.records.iter().map(|record| &record.effect));
        for effect in effects.filter(|effect| effect.resource == id(of)) {
            let recorded = effect.patch.apply(&Spec::default());
            assert_eq!(recorded.get(field), None, "{of} {field}");
        }
        if value != "absent" {
            let blocked = |plan: &Plan| {
                plan.blocked
                    .iter()
                    .any(|blocked| blocked.resource == id(of))
            };
            assert!(blocked(&plan), "{of} {field}");
        }
        let mut existing = Fleet::new().applied();
        existing.set(of, field, value);
        let outline = existing.outline();
        assert_eq!(outline.len(), 1, "{outline:?}");
        assert!(
            outline[0].starts_with(&format!("not-supported {of}: ")),
            "{outline:?}"
        );
    }
    // Settings of what is off, and what would come without them, ask for nothing.
    let mut fleet = Fleet::new().applied();
    fleet.set("fleet", "rollout", json!({"batch": "25%", "canary": 1}));
    fleet.set("node/web-1", "state", json!("drained"));
    fleet.set("site/acme", "updates", json!({"exclude": ["akismet"]}));
    fleet.set(
        "env/acme/production",
        "backups",
        json!({"keep": {"daily": 30}, "verify": true}),
    );
    let records = ["fleet", "node/web-1", "site/acme", "env/acme/production"];
    assert_eq!(fleet.outline(), records.map(|of| format!("record {of}")));
}

fn followed(of: &str, why: &str) -> Followed {
    Followed {
        of: id(of),
        why: why.to_owned(),
    }
}

#[test]
fn a_part_of_a_plan_leaves_no_environment_behind() {
    let mut fleet = Fleet::new().applied();
    fleet.set("node/web-1", "php", json!({"opcache": "128MiB"}));
    let all = ["env/acme/production", "env/acme/staging"];
    fleet.followers = all.map(|of| (id(of), followed("node/web-1", "why"))).into();
    let behind = |fleet: &Fleet| fleet.left_behind().map(|env| env.to_string());
    assert_eq!(behind(&fleet), None);
    // The node is a need of what is asked for.
    for (targets, expected) in [
        (&["node/web-1"][..], Some("env/acme/production")),
        (&["env/acme/production"], Some("env/acme/staging")),
        (&["site/acme"], None),
    ] {
        fleet.choice.targets = targets.iter().map(|of| id(of)).collect();
        assert_eq!(behind(&fleet).as_deref(), expected, "{targets:?}");
    }
    fleet.choice.targets = Vec::new();
    fleet.choice.excludes = vec![id("env/acme/staging")];
    assert_eq!(behind(&fleet).as_deref(), Some("env/acme/staging"));
    // What it would follow does not happen either.
    fleet.choice.excludes.push(id("node/web-1"));
    assert_eq!(behind(&fleet), None);
}

#[test]
fn what_an_environment_sees_of_its_node_configures_it_anew() {
    let mut fleet = Fleet::new().applied();
    fleet.set("node/web-1", "php", json!({"opcache": "128MiB"}));
    let why = "`php.opcache` of `node/web-1` changed".to_owned();
    let all = ["env/acme/production", "env/acme/staging"];
    fleet.followers = all.map(|of| (id(of), followed("node/web-1", &why))).into();
    fleet.set("env/acme/staging", "suspend", json!(true));
    assert_eq!(
        fleet.outline(),
        [
            "j0 node_provision node/web-1 ",
            "j1 env_configure env/acme/production j0",
            "j2 health_check env/acme/production j0,j1",
            "record env/acme/staging",
            "suspended env/acme/staging: `env/acme/staging` is suspended",
        ]
    );
    assert_eq!(fleet.plan().jobs[1].reason, why);
}

#[test]
fn an_environment_that_is_let_go_is_configured_anew() {
    let mut fleet = Fleet::new();
    fleet.set("env/acme/staging", "suspend", json!(true));
    let mut fleet = fleet.applied();
    fleet.set("env/acme/staging", "suspend", json!(false));
    assert_eq!(
        fleet.outline(),
        [
            "j0 env_configure env/acme/staging ",
            "j1 health_check env/acme/staging j0",
            "record env/acme/staging",
        ]
    );
    let why = "`suspend` of `env/acme/staging` is over";
    assert_eq!(fleet.plan().jobs[0].reason, why);
}

#[test]
fn the_environments_of_a_site_wait_for_what_changes_it() {
    let mut fleet = Fleet::new();
    // Whatever its name is.
    fleet.want("env/acme/a", json!({"type": "clone", "from": "production"}));
    let mut fleet = fleet.applied();
    fleet.set("site/acme", "locale", json!("de_DE"));
    let why = "`locale` of `site/acme` changed".to_owned();
    let all = ["env/acme/production", "env/acme/a"];
    fleet.followers = all.map(|of| (id(of), followed("site/acme", &why))).into();
    assert_eq!(
        fleet.outline(),
        [
            "j0 env_configure env/acme/production ",
            "j1 env_configure env/acme/a j0",
            "j2 health_check env/acme/a j0,j1",
            "j3 health_check env/acme/production j0",
        ]
    );
}

#[test]
fn the_first_administrator_is_made_once() {
    let mut fleet = Fleet::new();
    fleet.set(
        "site/acme",
        "admin",
        json!({"user": "anna", "email": "anna@acme.example"}),
    );
    let mut fleet = fleet.applied();
    fleet.set(
        "site/acme",
        "admin",
        json!({"user": "anna", "email": "berta@acme.example"}),
    );
    let outline = fleet.outline();
    assert!(
        outline[0].starts_with("fixed-field site/acme: `admin.email`"),
        "{outline:?}"
    );
}

/// The form of a resource that the job of this type has.
fn form(fleet: &Fleet, plan: &Plan, job_type: JobType, of: &str) -> Spec {
    let job = plan.jobs.iter().find(|job| job.job_type == job_type);
    let forms = Forms::new(plan);
    let jobs = forms.rests_on(job.expect("a job"), &id(of));
    let recorded = fleet.recorded.get(&id(of)).cloned();
    forms.form(&id(of), &jobs, recorded).expect("a form")
}

#[test]
fn a_job_renders_what_its_success_records() {
    let mut fleet = Fleet::new().applied();
    fleet.set("env/acme/production", "php", json!({"memory": "512M"}));
    fleet.set("env/acme/production", "cache", json!({"object": true}));
    fleet.set("env/acme/production", "protect", json!(true));
    fleet.set("node/web-1", "swap", json!("1GiB"));
    let plan = fleet.plan();
    let env = form(&fleet, &plan, JobType::EnvConfigure, "env/acme/production");
    // Its own, what is recorded without a job, and nothing that is blocked.
    assert_eq!(env.str("php.memory"), Some("512M"));
    assert_eq!(env.get("protect"), Some(&json!(true)));
    assert_eq!(env.get("cache"), None);
    // What it waits for is done by then, and what comes later is not.
    let node = form(&fleet, &plan, JobType::EnvConfigure, "node/web-1");
    assert_eq!(node.str("swap"), Some("1GiB"));
    let before = form(&fleet, &plan, JobType::NodeProvision, "env/acme/production");
    assert_eq!(before.str("php.memory"), Some("256M"));

    let new = Fleet::new();
    let plan = new.plan();
    let made = form(&new, &plan, JobType::SiteCreate, "env/acme/production");
    assert_eq!(made.str("php.memory"), Some("256M"));
    let staging = id("env/acme/staging");
    let forms = Forms::new(&plan);
    assert_eq!(
        forms.form(&staging, &forms.rests_on(&plan.jobs[1], &staging), None),
        None
    );
}

fn sorted(lines: &[String]) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_removed_document_is_reported_and_destroys_nothing() {
    let mut fleet = Fleet::new().applied();
    fleet.wanted.remove(&id("env/acme/staging"));
    assert_eq!(fleet.outline(), ["removed env/acme/staging"]);
}

#[test]
fn a_suspended_site_blocks_what_builds_on_it() {
    let mut fleet = Fleet::new();
    fleet.set("site/acme", "suspend", json!(true));
    assert_eq!(
        fleet.outline(),
        [
            "j0 node_provision node/web-1 ",
            "record fleet",
            "suspended site/acme: `site/acme` is suspended",
            "suspended env/acme/production: `site/acme` is suspended",
            "suspended env/acme/staging: `site/acme` is suspended",
        ]
    );
}

#[test]
fn what_failed_before_is_held_with_what_builds_on_it_and_holds_nothing_else() {
    let mut fleet = Fleet::new();
    let why = "it failed".to_owned();
    fleet
        .choice
        .held
        .insert(id("env/acme/staging"), why.clone());
    assert_eq!(
        fleet.outline(),
        [
            "j0 node_provision node/web-1 ",
            "j1 site_create site/acme j0",
            "j2 health_check env/acme/production j0,j1",
            "record fleet",
            "held env/acme/staging: it failed",
        ]
    );
    fleet.choice.held = [(id("node/web-1"), why)].into();
    assert_eq!(
        fleet.outline(),
        [
            "record fleet",
            "held node/web-1: it failed",
            "dependency-blocked site/acme: waits for `node/web-1`, which is blocked",
            "dependency-blocked env/acme/production: waits for `node/web-1`, which is blocked",
            "dependency-blocked env/acme/staging: waits for `node/web-1`, which is blocked",
        ]
    );
}

#[test]
fn an_environment_is_not_copied_from_another_node() {
    let mut fleet = Fleet::new();
    let other = json!({"name": "web-2", "host": "203.0.113.11", "state": "present"});
    fleet.want("node/web-2", other);
    fleet.set("env/acme/staging", "node", json!("web-2"));
    let outline = fleet.outline();
    assert_eq!(
        outline
            .iter()
            .filter(|line| line.contains("staging"))
            .collect::<Vec<_>>(),
        [
            "not-supported env/acme/staging: `from`: `production` is on `web-1`, and this version copies an \
          environment only on its own node"
        ]
    );
    // Neither is what would be made of that, nor is it run again.
    let copy = json!({"type": "clone", "from": "staging", "node": "web-2"});
    fleet.want("env/acme/copy", copy);
    fleet.choice.rerun = vec![id("env/acme/staging")];
    let outline = fleet.outline();
    let of_copies = |line: &&String| line.contains("staging") || line.contains("copy");
    let told: Vec<&String> = outline.iter().filter(of_copies).collect();
    assert_eq!(told.len(), 2, "{outline:?}");
    assert_eq!(
        told[0],
        "dependency-blocked env/acme/copy: waits for `env/acme/staging`, which is blocked"
    );
    fleet.choice.rerun.clear();
    // What there is stays as it was made.
    assert_eq!(fleet.applied().outline(), [""; 0]);
}

#[test]
fn a_node_that_is_to_be_gone_takes_no_job() {
    let mut fleet = Fleet::new().applied();
    fleet.set("node/web-1", "state", json!("absent"));
    fleet.set("node/web-1", "php", json!({"opcache": "128MiB"}));
    fleet.set("env/acme/production", "maintenance", json!(true));
    let outline = fleet.outline();
    assert!(
        !outline.iter().any(|line| line.starts_with('j')),
        "{outline:?}"
    );
    let of_node = "node-not-available node/web-1: `node/web-1` is absent and takes nothing";
    assert!(outline.iter().any(|line| line == of_node), "{outline:?}");
}

#[test]
fn a_rotated_secret_is_a_change_that_shows_nothing() {
    let mut fleet = Fleet::new();
    fleet.set(
        "env/acme/production",
        "http",
        json!({"basic_auth": {"password": "secret:a"}}),
    );
    let mut fleet = fleet.applied();
    fleet.fingerprints.insert("a".into(), "new".into());
    fleet
        .recorded_fingerprints
        .insert("http.basic_auth.password".into(), "old".into());
    let plan = fleet.plan();
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!(plan.jobs[0].changes[0].before, json!("(sensitive)"));
    assert_eq!(plan.jobs[0].changes[0].path, "http.basic_auth.password");
    assert_eq!(
        plan.jobs[0].effects[0].fingerprints["http.basic_auth.password"],
        "new"
    );
}

#[test]
fn a_template_that_is_new_changed_or_gone_is_a_change_of_what_is_made_of_it() {
    let templates = |text: Option<&str>| {
        let all = text.map(|text| ("nginx/site.conf".to_owned(), text.to_owned()));
        let all: BTreeMap<String, String> = all.into_iter().collect();
        TemplateFingerprints::new(&all, |kind, _| kind == ResourceKind::Env)
    };
    let mut fleet = Fleet::new().applied();
    let outline = |fleet: &Fleet| -> Vec<String> {
        let of = |job: PlannedJob| {
            let change = job.changes.first().map(|change| &change.path);
            let left: Vec<String> = job.effects[0].fingerprints.values().cloned().collect();
            format!("{} {change:?} {left:?}", job.resource)
        };
        fleet.plan().jobs.into_iter().map(of).collect()
    };
    assert_eq!(outline(&fleet), [""; 0]);
    fleet.templates = templates(Some("new"));
    let new = outline(&fleet);
    assert_eq!(new.len(), 2, "{new:?}");
    assert_eq!(fleet.plan().records, []);
    fleet.recorded_fingerprints = fleet.templates.of(ResourceKind::Env).clone();
    // The other environment has not got it yet.
    assert_eq!(outline(&fleet), new[1..]);
    fleet.recorded.remove(&id("env/acme/staging"));
    fleet.wanted.remove(&id("env/acme/staging"));
    assert_eq!(outline(&fleet), [""; 0]);
    fleet.templates = templates(Some("changed"));
    assert_eq!(outline(&fleet).len(), 1);
    fleet.templates = templates(None);
    let gone = outline(&fleet);
    assert!(gone[0].ends_with("[\"\"]"), "{gone:?}");
    // What is made has what there is.
    let mut fleet = Fleet::new();
    fleet.templates = templates(Some("new"));
    let made: Vec<usize> = fleet
        .plan()
        .jobs
        .iter()
        .flat_map(|job| &job.effects)
        .map(|effect| effect.fingerprints.len())
        .collect();
    assert_eq!(made, [0, 0, 1, 1]);
}

#[test]
fn a_target_brings_what_it_needs_and_nothing_else() {
    let mut fleet = Fleet::new();
    fleet.want(
        "node/web-2",
        json!({"name": "web-2", "host": "203.0.113.11"}),
    );
    fleet.choice.targets = vec![id("site/acme")];
    let outline = fleet.outline();
    assert!(
        !outline.iter().any(|line| line.contains("web-2")),
        "{outline:?}"
    );
    assert!(outline[0].contains("node/web-1"), "{outline:?}");
    // Its jobs read the fleet's document, which is not recorded yet.
    assert_eq!(outline.last().map(String::as_str), Some("record fleet"));
    assert!(fleet.plan().partial);
    fleet.choice.excludes = vec![id("fleet")];
    assert_eq!(fleet.outline(), Vec::<String>::new());
}

#[test]
fn a_target_brings_what_its_jobs_read_of_the_fleet_and_of_the_node() {
    let mut fleet = Fleet::new().applied();
    fleet.set("fleet", "sources", json!({"wordpress": {"path": "a.zip"}}));
    fleet.set("node/web-1", "labels", json!({"rack": "b"}));
    fleet.choice.targets = vec![id("env/acme/production")];
    // Nothing needs them.
    assert_eq!(fleet.outline(), Vec::<String>::new());
    fleet.choice.rerun = vec![id("env/acme/production")];
    assert_eq!(fleet.outline()[2..], ["record fleet", "record node/web-1"]);
    // As recorded already, it can be left out.
    fleet.choice.excludes = vec![id("fleet")];
    assert_eq!(fleet.outline()[2..], ["record node/web-1"]);
}

#[test]
fn an_exclusion_takes_what_needs_it_along() {
    let mut fleet = Fleet::new();
    fleet.choice.excludes = vec![id("site/acme")];
    assert_eq!(
        fleet.outline(),
        ["j0 node_provision node/web-1 ", "record fleet"]
    );
}

#[test]
fn sources_on_a_ring_are_blocked() {
    let mut fleet = Fleet::new().applied();
    fleet.want("env/acme/a", json!({"type": "clone", "from": "b"}));
    fleet.want("env/acme/b", json!({"type": "clone", "from": "a"}));
    let outline = fleet.outline();
    assert!(
        outline.iter().all(|line| line.starts_with("cycle")),
        "{outline:?}"
    );
}

#[test]
fn drift_is_put_back_with_its_reason_and_once() {
    let mut fleet = Fleet::new().applied();
    let found = "Apply the environment's files".to_owned();
    let drifted = ["env/acme/production", "env/acme/gone"];
    fleet.choice.heal = drifted.map(|of| (id(of), found.clone())).into();
    assert_eq!(
        fleet.outline(),
        [
            "j0 env_configure env/acme/production ",
            "j1 health_check env/acme/production j0",
        ]
    );
    assert_eq!(
        fleet.plan().jobs[0].reason,
        "drift: Apply the environment's files"
    );
    // A change of the resource puts it back as well.
    fleet.set("env/acme/production", "php", json!({"memory": "512M"}));
    assert_eq!(fleet.outline(), ["j0 env_configure env/acme/production "]);
}

#[test]
fn a_rerun_plans_the_jobs_of_a_resource_that_did_not_change() {
    let mut fleet = Fleet::new().applied();
    fleet.choice.rerun = vec![id("node/web-1"), id("env/acme/staging")];
    assert_eq!(
        fleet.outline(),
        [
            "j0 node_provision node/web-1 ",
            "j1 env_create env/acme/staging j0",
            "j2 env_configure env/acme/staging j0,j1",
            "j3 health_check env/acme/staging j0,j1,j2",
        ]
    );
    assert!(fleet.plan().jobs.iter().all(|job| job.effects.is_empty()));
}

#[test]
fn what_a_failed_job_left_is_done_again_although_nothing_differs() {
    let mut fleet = Fleet::new().applied();
    fleet.unsettled = vec![id("env/acme/production")];
    assert_eq!(
        fleet.outline(),
        [
            "j0 env_configure env/acme/production ",
            "j1 health_check env/acme/production j0",
        ]
    );
    // A change of the resource brings its own job.
    fleet.set("env/acme/production", "php", json!({"memory": "512M"}));
    assert_eq!(fleet.outline(), ["j0 env_configure env/acme/production "]);
}

#[test]
fn a_token_runs_once_and_never_again() {
    let purge = |token: &str| json!({"purge": {"token": token}});
    let production = "env/acme/production";
    let mut fleet = Fleet::new().applied();
    fleet.set(production, "cache", purge("a"));
    assert_eq!(
        fleet.outline(),
        ["j0 cache_purge env/acme/production "],
        "a new token is carried out"
    );
    assert_eq!(fleet.plan().jobs[0].action, Action::Run);

    // One that ran before is only written down, by whatever way it comes back.
    fleet.used_tokens = [(id(production), JobType::CachePurge)].into();
    assert_eq!(fleet.outline(), ["record env/acme/production"]);
    fleet.used_tokens.clear();
    let mut fleet = fleet.applied();
    assert_eq!(fleet.outline(), Vec::<String>::new());
    fleet
        .wanted
        .get_mut(&id(production))
        .expect("wanted")
        .fields_mut()
        .remove("cache");
    assert_eq!(fleet.outline(), ["record env/acme/production"], "its end");

    // A new environment has nothing that could be emptied.
    let mut fleet = Fleet::new();
    fleet.set("env/acme/staging", "cache", purge("a"));
    let jobs = fleet.outline();
    assert!(
        !jobs.iter().any(|job| job.contains("cache_purge")),
        "{jobs:?}"
    );
}

#[test]
fn jobs_of_one_environment_come_one_after_the_other() {
    let production = "env/acme/production";
    let mut fleet = Fleet::new().applied();
    fleet.set(production, "php", json!({"memory": "512M"}));
    fleet.set(
        production,
        "cache",
        json!({"page": true, "purge": {"token": "a"}}),
    );
    assert_eq!(
        fleet.outline(),
        [
            "j0 env_configure env/acme/production ",
            "j1 env_cache_toggle env/acme/production j0",
            "j2 cache_purge env/acme/production j0,j1",
        ]
    );
}
