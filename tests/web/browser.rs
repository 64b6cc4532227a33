//! The pages in a real browser: live, by keyboard, at every width, light and dark.

use std::path::{Path, PathBuf};

use pressluft::core::event::TaskStatus;
use pressluft::core::job::{ErrorCode, JobType};
use pressluft::store::{NewTaskEvent, Outcome};

use crate::webdriver::Browser;
use crate::world::{FIRST, PASSWORD, World, job, task};

const TASKS: &str = "document.querySelectorAll('.tasks .task').length";

fn log_in(browser: &Browser, world: &World, next: &str) {
    browser.open(&format!("http://{}{next}", world.address));
    assert_eq!(browser.path(), "/login");
    browser.write("[name=user]", "anna");
    browser.write("[name=password]", PASSWORD);
    browser.click(".login button");
    browser.wait(
        "the page behind the login",
        "return location.pathname !== '/login'",
    );
}

/// The page of a job that runs.
fn running(world: &mut World) -> String {
    let one = job(JobType::EnvConfigure, "env/acme/production", "web-1");
    let path = format!("/jobs/{}", one.id);
    world.queue(&[one], FIRST);
    world.claim();
    path
}

/// Pictures stay for people to look at.
fn pictures() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

#[test]
fn a_job_is_watched_until_it_fails() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut world = World::with_fleet();
    let one = job(JobType::EnvConfigure, "env/acme/production", "web-1");
    let path = format!("/jobs/{}", one.id);
    world.queue(&[one], FIRST);
    log_in(&browser, &world, &path);
    assert_eq!(browser.path(), path);
    browser.wait_for("It waits for its turn.");
    browser.script("window.sameDocument = true");

    let claim = world.claim();
    browser.wait_for("Attempt 1");
    world.tell(&claim, task("Gather what the node is", TaskStatus::Ok, 0.3));
    browser.wait("the first task", &format!("return {TASKS} === 1"));
    let mut changed = task("Apply the files", TaskStatus::Changed, 1.2);
    changed.diff = Some("--- a\n+++ b\n-memory = 256M\n+memory = 512M\n".to_owned());
    world.tell(&claim, changed);
    browser.wait("the second task", &format!("return {TASKS} === 2"));
    browser.click(".diff summary");
    browser.wait_for("+memory = 512M");
    let hostile = NewTaskEvent {
        message: Some("<img src=x onerror=\"window.broken = 1\"> \\u{1b}[31mred".to_owned()),
        ..task("Reload <b>PHP</b>", TaskStatus::Failed, 2.0)
    };
    world.tell(&claim, hostile);
    browser.wait_for("Reload <b>PHP</b>");
    browser.wait_for("<img src=x");
    assert!(!browser.text().contains("[31m"));
    assert_eq!(browser.script("return window.broken || 0"), 0);

    let outcome = Outcome::Failed {
        code: ErrorCode::AnsibleHostFailed,
        message: "Reload PHP: it refuses its configuration".to_owned(),
    };
    world.end(&claim, outcome, &[]);
    browser.wait_for("ANSIBLE_HOST_FAILED");
    browser.wait_for("What to do:");
    browser.wait(
        "the end",
        "return !document.querySelector('main').dataset.live",
    );
    assert_eq!(
        browser.script("return window.sameDocument"),
        true,
        "it was loaded anew"
    );
    assert_eq!(browser.script(&format!("return {TASKS}")), 3);
    browser.picture(&pictures().join("watched-job.png"));

    browser.click(".who button");
    browser.wait("the login", "return location.pathname === '/login'");
    browser.open(&format!("http://{}{path}", world.address));
    assert_eq!(browser.path(), "/login");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_overview_keeps_itself_up_to_date_and_the_focus_where_it_was() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut world = World::with_fleet();
    log_in(&browser, &world, "/");
    browser.press("\u{e004}");
    let focused = "return document.activeElement.className";
    assert_eq!(
        browser.script(focused),
        "skip",
        "the first key leads past the navigation"
    );
    browser.script(
        "window.sameDocument = true; document.querySelector('a[href=\"/sites/acme\"]').focus()",
    );
    let one = job(JobType::HealthCheck, "env/quarry/production", "web-3");
    world.queue(&[one], FIRST);
    world.claim();
    browser.wait_for("health check env/quarry/production");
    let focused = browser.script("return document.activeElement.getAttribute('href')");
    assert_eq!(focused, "/sites/acme");
    assert_eq!(browser.script("return window.sameDocument"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_page_whose_server_is_gone_says_so() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut world = World::with_fleet();
    let path = running(&mut world);
    // The filters of a list come along through the login, and whoever is logged in does not see it again.
    let list = "/jobs?status=running&node=web-1";
    log_in(&browser, &world, list);
    let here = "return location.pathname + location.search";
    assert_eq!(browser.script(here), list);
    browser.open(&format!("http://{}/login?next={path}", world.address));
    assert_eq!(browser.path(), path);
    browser.wait_for("Attempt 1");
    let turning =
        "return getComputedStyle(document.querySelector('main .i.t-running')).animationName";
    let lost = "return document.getElementById('lost').hidden";
    browser.open(&format!("http://{}/", world.address));
    assert_eq!(browser.script(turning), "turn");
    assert_eq!(browser.script(lost), true);
    assert!(browser.text().contains("As of "), "{}", browser.text());
    world.stop();
    browser.wait_for("No answer since ");
    assert_eq!(browser.script(turning), "none");
    browser.picture(&pictures().join("lost.png"));
}

/// Its page asks for nothing by itself: it is told, or not.
#[test]
fn a_running_job_whose_server_is_gone_says_so_too() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut world = World::with_fleet();
    let path = running(&mut world);
    log_in(&browser, &world, &path);
    browser.wait_for("Attempt 1");
    let lost = "return document.getElementById('lost').hidden";
    assert_eq!(browser.script(lost), true);
    world.stop();
    browser.wait_for("No answer since ");
}

#[test]
fn every_page_fits_every_screen() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut world = World::with_fleet();
    let failed = world.ask("/api/jobs?status=failed").json();
    let failed = failed["items"][0]["id"].as_str().expect("an id").to_owned();
    let one = job(JobType::EnvConfigure, "env/acme/production", "web-1");
    let waiting = job(JobType::HealthCheck, "env/acme/staging", "web-1");
    let running = one.id;
    world.queue(&[one, waiting], FIRST);
    let claim = world.claim();
    for (name, status, seconds) in [
        ("Gather what the node is", TaskStatus::Ok, 0.4),
        ("Install the packages of the node", TaskStatus::Skipped, 0.1),
        (
            "Apply the files of the environment",
            TaskStatus::Changed,
            1.7,
        ),
    ] {
        world.tell(&claim, task(name, status, seconds));
    }
    world.judge();
    for scheme in ["light", "dark"] {
        browser.look(1440, scheme);
        browser.open(&format!("http://{}/login", world.address));
        browser.picture(&pictures().join(format!("login-1440-{scheme}.png")));
    }
    log_in(&browser, &world, "/");
    let pages = [
        ("overview", "/".to_owned()),
        ("jobs", "/jobs".to_owned()),
        ("job-failed", format!("/jobs/{failed}")),
        ("job-running", format!("/jobs/{running}")),
        ("node", "/nodes/web-2".to_owned()),
        ("site", "/sites/florist".to_owned()),
        (
            "environment",
            "/sites/acme/environments/production".to_owned(),
        ),
        (
            "environment-failed",
            "/sites/florist/environments/staging".to_owned(),
        ),
        ("revisions", "/revisions".to_owned()),
        ("audit", "/audit".to_owned()),
        ("nowhere", "/nowhere".to_owned()),
    ];
    for (name, path) in &pages {
        for width in [375, 768, 1440] {
            for scheme in ["light", "dark"] {
                browser.look(width, scheme);
                browser.open(&format!("http://{}{path}", world.address));
                let needed = browser.script("return document.documentElement.scrollWidth");
                assert!(
                    needed
                        .as_u64()
                        .is_some_and(|needed| needed <= u64::from(width)),
                    "{name} needs {needed} of {width} pixels"
                );
                let cut = browser.script(
                    "return [...document.querySelectorAll('.card')]
                        .filter((card) => card.scrollWidth > card.clientWidth + 1)
                        .map((card) => card.innerText.slice(0, 40)).join()",
                );
                assert_eq!(cut, "", "{name} cuts something off at {width} pixels");
                let file = format!("{name}-{width}-{scheme}.png");
                browser.picture(&pictures().join(file));
            }
        }
    }
    let complaints: Vec<String> = browser
        .complaints()
        .into_iter()
        .filter(|complaint| !complaint.contains("/nowhere"))
        .collect();
    assert_eq!(complaints, Vec::<String>::new());
}
