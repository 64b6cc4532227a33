//! The pages as they are served: whole without a script, and text only ever text.

use pressluft::core::event::TaskStatus;
use pressluft::core::job::JobType;
use pressluft::store::NewTaskEvent;
use serde_json::{Value, json};

use crate::client::{Reply, get};
use crate::world::{BROKEN, FIRST, PASSWORD, SECOND, World, job, task};

struct Browser {
    world: World,
    cookie: String,
}

impl Browser {
    fn new() -> Self {
        let world = World::with_fleet();
        let cookie = world.login("anna", PASSWORD).cookie().expect("a cookie");
        Self { world, cookie }
    }

    fn open(&self, path: &str) -> Reply {
        let reply = get(path)
            .with("Cookie", &self.cookie)
            .with("Accept", "text/html")
            .send(self.world.address);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        reply
    }
}

fn has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "`{text}` is missing in\n{page}");
    }
}

#[test]
fn the_overview_tells_how_the_fleet_stands() {
    let browser = Browser::new();
    let page = browser.open("/").text();
    has(
        &page,
        &[
            "web-1",
            "web-2",
            "web-3",
            "/sites/acme",
            "/sites/florist/environments/staging",
            "ANSIBLE_HOST_FAILED",
            "php-fpm refuses its configuration",
            "not-supported",
            "cannot be carried out by this version",
            "Give acme more memory and &lt;b&gt;patience&lt;/b&gt;",
            "Anna Ops",
            "anna",
        ],
    );
    assert!(
        !page.contains("<b>patience"),
        "a commit message is not HTML"
    );
}

#[test]
fn a_job_is_told_with_its_timeline() {
    let browser = Browser::new();
    let jobs = browser.open("/jobs?status=failed").text();
    let start = jobs.find("/jobs/0").expect("a job");
    let path = &jobs[start..start + 42];
    let page = browser.open(path).text();
    has(
        &page,
        &[
            "ANSIBLE_HOST_FAILED",
            "What to do:",
            "Attempt 1",
            "Gather what the node is",
            "Reload PHP-FPM",
            "+pm.max_children = 8",
            "d-add",
            "php.memory",
            "256M",
            "512M",
            "php-fpm: &lt;script&gt;alert(1)&lt;/script&gt; in pool.conf on line 7",
        ],
    );
    assert!(!page.contains("[31m"), "terminal codes are shown");
    assert!(!page.contains("<script>"), "what a node says is not HTML");
    assert!(!page.contains("data-live"), "it has ended");
}

#[test]
fn a_running_job_is_live_and_a_long_one_comes_in_pages() {
    let mut browser = Browser::new();
    let one = job(JobType::EnvConfigure, "env/acme/production", "web-1");
    let path = format!("/jobs/{}", one.id);
    browser.world.queue(&[one], FIRST);
    has(
        &browser.open(&path).text(),
        &["It waits for its turn.", "data-live"],
    );
    let claim = browser.world.claim();
    for n in 1..=700 {
        let task: NewTaskEvent = task(&format!("task number {n}."), TaskStatus::Ok, 0.1);
        browser.world.tell(&claim, task);
    }
    let last = browser.open(&path).text();
    has(
        &last,
        &[
            "task number 700.",
            "Earlier tasks are left out",
            "data-place=\"1.700\"",
        ],
    );
    assert!(!last.contains("task number 1."), "only the last ones");
    let first = browser.open(&format!("{path}?from=0.0")).text();
    has(
        &first,
        &["task number 1.", "task number 500.", "from=1.500"],
    );
    assert!(!first.contains("task number 501.") && !first.contains("data-live"));
    has(
        &browser.open("/").text(),
        &["env configure", "env/acme/production"],
    );
}

#[test]
fn resources_have_pages_of_their_own() {
    let browser = Browser::new();
    has(
        &browser.open("/nodes/web-2").text(),
        &[
            "web-2",
            "env/florist/staging",
            "192.0.2.10",
            "fleet/sites.yaml:12",
            "Last jobs",
        ],
    );
    has(
        &browser.open("/sites/florist").text(),
        &[
            "The florist",
            "production",
            "staging",
            "staging.florist.example",
            "failed",
        ],
    );
    has(
        &browser.open("/sites/acme/environments/production").text(),
        &[
            "http://acme.192-0-2-10.sslip.io",
            "production.acme.example",
            "TLS active",
            "20261120T101500",
            "WordPress 6.8.2",
            "php.memory",
        ],
    );
    has(
        &browser.open("/revisions").text(),
        &[
            &FIRST[..10],
            &SECOND[..10],
            "Bring the bakery online",
            "Anna Ops",
        ],
    );
    has(
        &browser.open("/audit").text(),
        &[
            "plan queued",
            "job failed",
            "login succeeded",
            "worker:1",
            "cli:anna",
        ],
    );
    for path in [
        "/nodes/none",
        "/sites/none",
        "/sites/acme/environments/none",
    ] {
        let reply = get(path)
            .with("Cookie", &browser.cookie)
            .with("Accept", "text/html")
            .send(browser.world.address);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.text().contains("there is no such"), "{path}");
    }
}

#[test]
fn an_empty_database_has_pages_too() {
    let world = World::new();
    let cookie = world.login("anna", PASSWORD).cookie().expect("a cookie");
    for path in ["/", "/jobs", "/revisions", "/audit"] {
        let reply = get(path).with("Cookie", &cookie).send(world.address);
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[test]
fn a_revision_tells_what_became_of_it() {
    let mut browser = Browser::new();
    browser.world.judge();
    let page = browser.open("/revisions").text();
    has(
        &page,
        &[
            "in force",
            "invalid",
            "sites/acme.yaml:1<",
            "is no &lt;b&gt;node&lt;/b&gt;",
            "did you mean",
            "and 17 more",
        ],
    );
    assert_eq!(page.matches("in force").count(), 1);
    let overview = browser.open("/").text();
    has(
        &overview,
        &["in force", "invalid", &format!("/revisions#{BROKEN}")],
    );
    let asked = get("/api/revisions").with("Cookie", &browser.cookie);
    let told = asked.send(browser.world.address).json();
    let verdicts: Vec<(&Value, &Value)> = told["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| (&item["verdict"], &item["in_force"]))
        .collect();
    assert_eq!(
        verdicts,
        [
            (&json!("invalid"), &json!(false)),
            (&json!("accepted"), &json!(true)),
            (&json!(null), &json!(false)),
        ]
    );
    assert_eq!(told["items"][0]["diagnostics_total"], 22);
    assert_eq!(told["items"][0]["diagnostics"][0]["line"], 1);
}
