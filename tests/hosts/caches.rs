//! The caches of environments as visitors, editors and neighbours meet them.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::World;

const ENVIRONMENT: &str = "env/acme/production";
const USER: &str = "wp_acme_production";
const DROP_IN: &str = include_str!("caches/object-cache.php");
const PROBE: &str = include_str!("caches/probe.php");

const SITE: &str = "kind: Site\nname: acme\ntitle: Acme\nnode: web-1\n\
     admin: {user: owner, email: owner@acme.example}\n---\n\
     kind: Environment\nsite: acme\nname: production\ntype: production\n\
     CACHE\n---\n\
     kind: Environment\nsite: acme\nname: staging\ntype: staging\nfrom: production\n\
     cache: {page: true, object: true}\n";
const CACHE: &str = "cache: {page: true, object: true, ttl: 1h, bypass_paths: [/shop/], bypass_cookies: [acme_vip]}";

#[test]
fn caches_serve_visitors_and_nobody_else() {
    let world = World::new("cache", 1);
    let source = world.source("tested-object-cache.php", DROP_IN);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: cache\nSOURCES\n",
    );
    world.edit(
        "pressluft.yaml",
        "sources: {",
        &format!("sources: {{object_cache: {source}, "),
    );
    world.write(
        "nodes.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\nredis: {maxmemory: 20MiB}\n",
    );
    apply(&world, CACHE);
    for environment in ["production", "staging"] {
        place_probe(&world, environment);
    }
    guests_share_pages_and_nobody_else_does(&world);
    what_the_document_names_is_never_cached(&world);
    a_new_post_is_seen_soon(&world);
    objects_are_kept_and_flushed(&world);
    neighbours_are_out_of_reach(&world);
    a_site_that_asks_without_end_holds_up_nobody(&world);
    a_page_outlives_its_site(&world);
    caches_go_without_a_trace(&world);
}

fn apply(world: &World, cache: &str) {
    world.write("sites/acme.yaml", &SITE.replace("CACHE", cache));
    world.commit("Other caches");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    for job in world.jobs() {
        assert_eq!(job["attempt_count"], 1, "{}", world.show(&job));
    }
    world.pressluft(&["drift"]).expect(0);
    let plan = world.pressluft(&["plan", "--json"]).expect(0).lines();
    assert_eq!(plan.iter().find(|line| line["type"] == "planned_job"), None);
}

fn place_probe(world: &World, environment: &str) {
    let probe = PROBE.replace('\'', "'\\''");
    world.ssh(
        1,
        &format!(
            "cd /var/www/sites/acme/{environment}/current/wp-content && printf %s '{probe}' >probe.php && \
             chgrp wp_acme_{environment} probe.php && chmod 640 probe.php"
        ),
    );
}

fn name(world: &World, environment: &str) -> String {
    let host = world.ip(1).replace('.', "-");
    match environment {
        "production" => format!("acme.{host}.sslip.io"),
        other => format!("{other}--acme.{host}.sslip.io"),
    }
}

/// What curl prints for a request to an environment, its words after the address.
fn curl(world: &World, environment: &str, path: &str, more: &[&str]) -> String {
    let name = name(world, environment);
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60", "--resolve"])
        .arg(format!("{name}:80:{}", world.ip(1)))
        .args(more)
        .arg(format!("http://{name}{path}"))
        .output()
        .expect("curl runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Waits for something that comes about by itself.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(30), "not after 30 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The word of `X-Cache` for a request.
fn cached(world: &World, path: &str, more: &[&str]) -> String {
    let more = [&["-o", "/dev/null", "-D", "-"], more].concat();
    let head = curl(world, "production", path, &more).to_lowercase();
    let status = head
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    assert_ne!(status, "502", "{head}");
    let word = head
        .lines()
        .find_map(|line| line.strip_prefix("x-cache: "))
        .unwrap_or_default();
    word.trim().to_owned()
}

fn page(world: &World, path: &str) -> String {
    curl(world, "production", path, &[])
}

/// What the code of an environment answers.
fn done(world: &World, environment: &str, query: &str) -> Value {
    let path = format!("/wp-content/probe.php?{query}");
    let text = curl(world, environment, &path, &[]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{query}: {error}: {text}"))
}

fn guests_share_pages_and_nobody_else_does(world: &World) {
    world.pressluft(&["purge", ENVIRONMENT]).expect(0);
    assert_eq!(cached(world, "/", &[]), "miss");
    // A thousand guests in one go.
    let name = name(world, "production");
    let list = world.dir.path().join("guests");
    let one = format!("url = \"http://{name}/\"\noutput = /dev/null\n");
    std::fs::write(&list, one.repeat(1000)).expect("written");
    let list = list.display().to_string();
    let resolve = format!("{name}:80:{}", world.ip(1));
    let output = Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "120",
            "--resolve",
            &resolve,
            "-K",
            &list,
        ])
        .args(["-w", "%header{x-cache}\\n"])
        .output()
        .expect("curl runs");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(words.lines().filter(|word| *word == "HIT").count(), 1000);

    // Where somebody comes from makes no other page, and nobody's own is kept for the others.
    assert_eq!(cached(world, "/?utm_source=mail&fbclid=abc", &[]), "hit");
    assert_eq!(cached(world, "/about-nothing/?gclid=MARK-7", &[]), "miss");
    assert_eq!(cached(world, "/hello-world/?gclid=MARK-7", &[]), "miss");
    assert_eq!(cached(world, "/hello-world/", &[]), "hit");
    assert!(!page(world, "/hello-world/").contains("MARK-7"));

    for more in [
        &["-b", "wordpress_logged_in_0123=anna"][..],
        &["-b", "a=b; wordpress_0123456789abcdef=x"],
        &["-b", "wp-postpass_1=x"],
        &["-b", "comment_author_1=anna"],
        &["-b", "woocommerce_items_in_cart=1"],
        &["-b", "x=y; wp_woocommerce_session_ab=z"],
        &["-d", "a=b"],
        &["-u", "anna:secret"],
    ] {
        let word = cached(world, "/", more);
        assert!(["bypass", ""].contains(&word.as_str()), "{more:?}: {word}");
    }
    for path in [
        "/?s=word",
        "/?p=1&utm_source=x",
        "/feed/",
        "/wp-login.php",
        "/wp-json/",
        "/cart/",
        "/my-account/orders/",
        "/wp-sitemap.xml",
    ] {
        for _ in 0..2 {
            let word = cached(world, path, &[]);
            assert!(word != "hit" && word != "stale", "{path}: {word}");
        }
    }
    // Who only looks at the head does not leave an empty page behind.
    world.pressluft(&["purge", ENVIRONMENT]).expect(0);
    assert_eq!(cached(world, "/", &["-I"]), "miss");
    assert!(page(world, "/").contains("</html>"));
}

fn what_the_document_names_is_never_cached(world: &World) {
    done(world, "production", "do=publish&type=page&title=Shop");
    for path in ["/shop/", "/sh%6Fp/", "/shop"] {
        for _ in 0..2 {
            assert_ne!(cached(world, path, &[]), "hit", "{path}");
        }
    }
    assert_eq!(cached(world, "/", &["-b", "acme_vip=1"]), "bypass");
}

fn a_new_post_is_seen_soon(world: &World) {
    until("a page is kept", || cached(world, "/", &[]) == "hit");
    done(world, "production", "do=publish&title=Fresh-from-the-oven");
    until("the new post is seen", || {
        page(world, "/").contains("Fresh-from-the-oven")
    });

    // What changes behind WordPress's back stays until the cache is emptied, and from then on
    // nobody is shown it: whoever asks while it is emptied may see either.
    until("a page is kept", || cached(world, "/", &[]) == "hit");
    done(
        world,
        "production",
        "do=title&title=Renamed-behind-its-back",
    );
    world.ssh(
        1,
        "redis-cli -s /run/pressluft-redis/wp_acme_production/redis.sock FLUSHALL",
    );
    assert!(!page(world, "/").contains("Renamed-behind-its-back"));
    let is_over = AtomicBool::new(false);
    let late = std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut late = Vec::new();
                    while late.len() < 100 {
                        let began_after = is_over.load(Ordering::SeqCst);
                        let shown = page(world, "/");
                        if began_after {
                            late.push(shown.contains("Renamed-behind-its-back"));
                        }
                    }
                    late
                })
            })
            .collect();
        world.pressluft(&["purge", ENVIRONMENT]).expect(0);
        is_over.store(true, Ordering::SeqCst);
        let seen = visitors.into_iter().map(|visitor| visitor.join());
        seen.flat_map(|late| late.expect("a visitor"))
            .collect::<Vec<_>>()
    });
    assert_eq!(late.len(), 200);
    assert!(
        late.iter().all(|is_new| *is_new),
        "an old page after the purge"
    );
    // As the document has it: a look would tell.
    done(world, "production", "do=title&title=Acme");
    world.pressluft(&["purge", ENVIRONMENT]).expect(0);
}

fn objects_are_kept_and_flushed(world: &World) {
    done(world, "production", "do=keep&value=warm");
    assert_eq!(done(world, "production", "do=kept"), json!([true, "warm"]));
    // Another environment has its own, and its own room.
    done(world, "staging", "do=keep&value=other");
    let flushed = "setpriv --reuid wp_acme_production --regid wp_acme_production --init-groups env HOME=/nonexistent \
         php /usr/local/bin/wp --path=/var/www/sites/acme/production/current cache flush";
    let said = world.ssh(1, flushed);
    assert!(said.contains("Success"), "{said}");
    assert_eq!(done(world, "production", "do=kept"), json!([true, false]));
    assert_eq!(done(world, "staging", "do=kept"), json!([true, "other"]));
    done(world, "production", "do=keep&value=warm");
    world.pressluft(&["purge", ENVIRONMENT]).expect(0);
    assert_eq!(done(world, "production", "do=kept"), json!([true, false]));
    assert_eq!(done(world, "production", "do=flush"), json!(true));
    assert_eq!(done(world, "staging", "do=kept"), json!([true, "other"]));
    let most = world.ssh(
        1,
        "redis-cli -s /run/pressluft-redis/wp_acme_production/redis.sock CONFIG GET maxmemory | tail -1",
    );
    assert_eq!(most.trim(), (20 << 20).to_string());
    // A token purges once, however often it comes back.
    let purges = |world: &World| {
        let jobs = world.jobs();
        jobs.iter()
            .filter(|job| job["job_type"] == "cache_purge")
            .count()
    };
    let before = purges(world);
    let with = |token: &str| CACHE.replace("ttl:", &format!("purge: {{token: {token}}}, ttl:"));
    apply(world, &with("relaunch"));
    assert_eq!(purges(world), before + 1);
    apply(world, CACHE);
    apply(world, &with("relaunch"));
    assert_eq!(purges(world), before + 1);
}

fn neighbours_are_out_of_reach(world: &World) {
    let found = done(world, "production", "do=reach&of=wp_acme_staging");
    assert_eq!(found, json!([]));
    let own = done(world, "production", &format!("do=reach&of={USER}"));
    assert!(own.to_string().contains("its socket"), "{own}");
}

/// A flag that is no file, put back as often as it is taken: others are served meanwhile.
fn a_site_that_asks_without_end_holds_up_nobody(world: &World) {
    done(world, "production", "do=flood");
    let tmp = "/var/www/sites/acme/production/tmp";
    until("the flag is taken away", || {
        let names = world.ssh(1, &format!("ls -A {tmp}"));
        names.contains(".purge-pages-")
    });
    let flood = format!("for i in $(seq 200); do touch {tmp}/purge-pages; sleep 0.1; done");
    world.ssh(1, &flood);
    let state = "systemctl is-active pressluft-purge-wp_acme_production.path";
    assert_eq!(world.ssh(1, state).trim(), "active");
    // About one in two seconds at first; a storm would be many times as much.
    let asked = world.ssh(1, "cat /run/pressluft/asked-wp_acme_production");
    let count: u32 = asked
        .split_whitespace()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .expect("a count");
    assert!((2..=24).contains(&count), "{asked}");
    let (head, _) = world.visit(1, &name(world, "staging"), "/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

/// While PHP is down, what was there is still shown.
fn a_page_outlives_its_site(world: &World) {
    apply(world, &CACHE.replace("ttl: 1h", "ttl: 1s"));
    assert_eq!(cached(world, "/", &[]), "miss");
    let unit = "pressluft-php-wp_acme_production";
    world.ssh(1, &format!("systemctl stop {unit}.socket {unit}.service"));
    std::thread::sleep(Duration::from_secs(2));
    let words: Vec<String> = (0..3).map(|_| cached(world, "/", &[])).collect();
    world.ssh(1, &format!("systemctl start {unit}.socket"));
    assert!(words.iter().any(|word| word == "stale"), "{words:?}");
    assert!(!words.iter().any(|word| word == "miss"), "{words:?}");
}

fn caches_go_without_a_trace(world: &World) {
    apply(world, "cache: {page: false}");
    assert_eq!(cached(world, "/", &[]), "");
    assert_eq!(done(world, "production", "do=kept"), json!([null, false]));
    let left = world.ssh(
        1,
        "systemctl list-units --all --no-legend 'pressluft-redis-wp_acme_production*' 'pressluft-purge-wp_acme_production*'; \
         ls /etc/systemd/system /etc/pressluft/redis | grep -E 'redis|purge' | grep production; \
         find /var/cache/pressluft/wp_acme_production -type f",
    );
    assert_eq!(left.trim(), "");
    apply(world, CACHE);
    assert_eq!(cached(world, "/", &[]), "miss");
}
