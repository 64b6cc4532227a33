//! Each field that a job carries out has an effect that can be seen from outside of the files that it writes, and the
//! effect goes with the field. `docs/effects.md` names the function for each.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::languages;
use crate::support::World;

const USER: &str = "wp_acme_production";
const ROOT: &str = "/var/www/sites/acme/production";
const LOGIN: &str = "guest:0pen-Sesame-42";

const PLAIN: &str = "kind: Site\nname: acme\ntitle: Plain\nnode: web-1\n\
     admin: {user: owner, email: owner@acme.example}\n---\n\
     kind: Environment\nsite: acme\nname: production\ntype: production\nprotect: false\n";

/// Everything that a job carries out, and beside it what nobody does.
const SET: &str = "kind: Site\nname: acme\ntitle: 'Set & done'\nnode: web-1\nlocale: de_DE\n\
     admin: {user: owner, email: owner@acme.example}\n\
     plugins: [{name: akismet}]\nupdates: {scope: [core]}\n---\n\
     kind: Environment\nsite: acme\nname: production\ntype: production\nprotect: true\n\
     constants: {EFFECT: seen}\noptions: {posts_per_page: 7}\n\
     php: {memory: 192M, workers: 1, ini: {max_input_vars: '2345'}}\n\
     cron: {interval: 1h}\n\
     safety: {mail: capture, noindex: true, outbound_http: false}\n\
     http:\n  headers: {X-Effect: seen}\n  xmlrpc: true\n\
     \x20 redirects: [{from: /old, to: /new, status: 302}]\n  rate_limit: 5r/s\n\
     \x20 ip_allow: [GATEWAY]\n  basic_auth: {user: guest, password: 'secret:sites/acme/guest'}\n  hsts: true\n\
     domains: [{name: acme.example, primary: true}]\n\
     promotion: {preset: commerce-protect}\nsftp: [{name: anna, keys: [KEY]}]\n";

const NODE: &str = "kind: Node\nname: web-1\nhost: HOST1\n";
const NODE_SET: &str = "kind: Node\nname: web-1\nhost: HOST1\n\
     database: {buffer_pool: 192MiB}\nphp: {opcache: 128MiB}\n\
     fail2ban: {allow: [198.51.100.0/24]}\nfirewall: {open: [8080/tcp], ssh_allow: [203.0.113.0/24]}\n\
     patching: {hold: [redis-tools], window: 'sun 03:00-05:00 UTC', reboot: if-needed}\n";

/// Says what PHP and WordPress make of their settings.
const PROBE: &str = "<?php require dirname( __DIR__ ) . '/wp-load.php';\n\
     if ( isset( $_GET['sleep'] ) ) { sleep( (int) $_GET['sleep'] ); }\n\
     $out = isset( $_GET['out'] ) ? wp_remote_get( 'http://203.0.113.9/', array( 'timeout' => 1 ) ) : null;\n\
     $mail = isset( $_GET['mail'] ) ? wp_mail( 'a@b.example', 'Effect', 'body' ) : null;\n\
     $opcache = opcache_get_configuration();\n\
     header( 'Content-Type: application/json' );\n\
     echo json_encode( array( 'memory' => ini_get( 'memory_limit' ), 'vars' => ini_get( 'max_input_vars' ),\n\
     'constant' => defined( 'EFFECT' ) ? EFFECT : null, 'posts' => get_option( 'posts_per_page' ),\n\
     'opcache' => $opcache['directives']['opcache.memory_consumption'] >> 20, 'title' => get_bloginfo( 'name' ),\n\
     'settings' => __( 'Settings', 'akismet' ),\n\
     'out' => is_wp_error( $out ) ? $out->get_error_code() : null, 'mail' => $mail ) );\n";

#[test]
fn every_field_has_an_effect_and_the_effect_goes_with_it() {
    let world = World::new("effect", 2).with_own_sources("LANGUAGES");
    let packs = languages::packs(&world, "Seite fehlt");
    let file = world.dir.path().join("guest");
    std::fs::write(&file, LOGIN.split_once(':').expect("a colon").1).expect("written");
    let file = file.display().to_string();
    let words = ["secret", "set", "sites/acme/guest", "--from-file", &file];
    world.pressluft(&words).expect(0);
    let fleet = "kind: Fleet\nversion: 1\nname: effect\nSOURCES\n";
    world.write("pressluft.yaml", fleet);
    world.edit("pressluft.yaml", "LANGUAGES", &packs);
    let documents = |node: &str, site: &str| {
        world.write("nodes.yaml", node);
        let gateway = world.fleet(&["gateway"]).expect(0).stdout;
        let site = site.replace("GATEWAY", gateway.trim());
        world.write("sites/acme.yaml", &site.replace("KEY", KEY));
        world.write(
            "sites/staging.yaml",
            "kind: Environment\nsite: acme\nname: staging\ntype: staging\nfrom: production\n\
             safety: {uploads: proxy}\n",
        );
        world.commit("Another form");
        world.pressluft(&["apply", "--auto-approve"]).expect(0);
        for job in world.jobs() {
            assert_eq!(job["attempt_count"], 1, "{}", world.show(&job));
        }
        // What is blocked is neither brought about nor recorded.
        world.pressluft(&["drift"]).expect(0);
        let again = world.pressluft(&["plan", "--json"]).expect(0).lines();
        let left = again.iter().find(|line| line["type"] == "planned_job");
        assert_eq!(left, None);
        again
            .iter()
            .filter(|line| line["type"] == "blocked")
            .count()
    };

    assert_eq!(documents(NODE, PLAIN), 0);
    let probe = PROBE.replace('\'', "'\\''");
    world.ssh(
        1,
        &format!("cd {ROOT}/current/wp-content && printf %s '{probe}' >probe.php && chgrp {USER} probe.php && chmod 640 probe.php"),
    );
    nothing_is_set(&world);
    assert!(documents(NODE_SET, SET) >= 6);
    the_web_server_answers_as_asked(&world);
    php_runs_as_asked(&world);
    wordpress_is_as_asked(&world);
    languages::the_site_speaks_its_language(&world);
    a_copy_reads_uploads_of_its_source(&world);
    a_copy_is_rewritten_exactly(&world);
    the_node_is_as_asked(&world);
    assert_eq!(documents(NODE, PLAIN), 0);
    nothing_is_set(&world);
    languages::files_of_other_languages_stay(&world);
    visitors_see_the_maintenance_page(&world);
    a_template_of_the_fleet_rolls_out_and_back(&world);
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn name(world: &World) -> String {
    format!("acme.{}.sslip.io", world.ip(1).replace('.', "-"))
}

/// The status, the head and the body of an answer, with the login.
pub(crate) fn ask(world: &World, path: &str, more: &[&str]) -> (String, String, String) {
    let name = name(world);
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "60", "-u", LOGIN, "--resolve"])
        .arg(format!("{name}:80:{}", world.ip(1)))
        .args(more)
        .arg(format!("http://{name}{path}"))
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    (status.to_owned(), head.to_lowercase(), body.to_owned())
}

fn probe(world: &World, query: &str) -> Value {
    // The rate limit lets one through again soon.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (status, head, body) = ask(world, &format!("/wp-content/probe.php?{query}"), &[]);
    assert_eq!(status, "200", "{head} {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn nothing_is_set(world: &World) {
    let (status, head, body) = ask(world, "/", &["-u", ":"]);
    assert_eq!(status, "200");
    assert_eq!(languages::of_page(&body), "en-US");
    assert!(
        !head.contains("x-effect") && !head.contains("x-robots-tag"),
        "{head}"
    );
    assert_ne!(ask(world, "/old", &[]).0, "302");
    assert_ne!(ask(world, "/xmlrpc.php", &[]).0, "405");
    assert_eq!(from_elsewhere(world), "200");
    let found = probe(world, "out=1");
    assert_eq!(found["memory"], "256M");
    assert_eq!(found["constant"], Value::Null);
    assert_eq!(found["title"], "Plain");
    assert_eq!(found["settings"], "Settings");
    // Whether or not somebody answers there: it is asked.
    assert_ne!(found["out"], "http_request_not_executed");
    assert_eq!(open_port(world, 8080), "closed");
    assert_eq!(open_port(world, 22), "open");
    assert_eq!(world.ssh(1, "apt-mark showhold").trim(), "");
}

/// What another machine gets.
fn from_elsewhere(world: &World) -> String {
    let (name, address) = (name(world), world.ip(1));
    let ask = "curl -s -o /dev/null -w '%{http_code}'";
    let ask = format!("{ask} -u {LOGIN} --resolve {name}:80:{address} http://{name}/");
    world.ssh(2, &ask).trim().to_owned()
}

/// Whether another machine reaches a port of the node.
fn open_port(world: &World, port: u16) -> String {
    let listen = "systemctl is-active --quiet listen || systemd-run --quiet --unit=listen python3 -m http.server 8080";
    world.ssh(1, listen);
    let address = world.ip(1);
    let try_it = format!(
        "sleep 1; timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed"
    );
    world.ssh(2, &try_it).trim().to_owned()
}

fn the_web_server_answers_as_asked(world: &World) {
    assert_eq!(ask(world, "/", &["-u", ":"]).0, "401");
    let (status, head, _) = ask(world, "/", &[]);
    assert_eq!(status, "200");
    assert!(head.contains("\r\nx-effect: seen"), "{head}");
    assert!(head.contains("\r\nx-robots-tag: noindex"), "{head}");
    let (status, head, _) = ask(world, "/old", &[]);
    assert_eq!(status, "302");
    assert!(
        head.lines()
            .any(|line| line.starts_with("location:") && line.trim().ends_with("/new")),
        "{head}"
    );
    let (status, _, body) = ask(world, "/xmlrpc.php", &[]);
    assert_eq!(status, "405", "{body}");
    assert_eq!(from_elsewhere(world), "403");
    // PHP has the limit; files have none.
    let statuses: Vec<String> = (0..60)
        .map(|_| ask(world, "/wp-login.php", &[]).0)
        .collect();
    assert!(
        statuses.iter().any(|status| status == "429"),
        "{statuses:?}"
    );
}

fn php_runs_as_asked(world: &World) {
    let found = probe(world, "");
    assert_eq!(
        (&found["memory"], &found["vars"]),
        (&"192M".into(), &"2345".into())
    );
    assert_eq!(found["opcache"], 128);
    // One worker answers one request at a time.
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| ask(world, "/wp-content/probe.php?sleep=2", &[]));
        }
    });
    assert!(begin.elapsed().as_secs_f64() > 3.9, "{:?}", begin.elapsed());
}

fn wordpress_is_as_asked(world: &World) {
    let found = probe(world, "out=1&mail=1");
    assert_eq!(found["constant"], "seen");
    assert_eq!(found["posts"], "7");
    assert_eq!(found["title"], "Set &amp; done");
    assert_eq!(found["out"], "http_request_not_executed");
    assert_eq!(found["mail"], true);
    assert_eq!(found["settings"], "Einstellungen");
    let kept = world.ssh(1, &format!("cat {ROOT}/mail/*.eml"));
    assert!(kept.contains("a@b.example"), "{kept}");
    let timer = format!("systemctl show --property=TimersMonotonic pressluft-cron-{USER}.timer");
    let timer = world.ssh(1, &timer);
    assert!(timer.contains("OnUnitActiveUSec=1h"), "{timer}");
}

fn a_copy_reads_uploads_of_its_source(world: &World) {
    world.ssh(
        1,
        &format!("echo original >{ROOT}/shared/uploads/effect.txt && chown {USER}: {ROOT}/shared/uploads/effect.txt"),
    );
    let staging = format!("staging--{}", name(world));
    let (head, body) = world.visit(1, &staging, "/wp-content/uploads/effect.txt");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body.trim(), "original");
    let (head, _) = world.visit(1, &staging, "/");
    assert!(
        head.to_lowercase().contains("x-robots-tag: noindex"),
        "{head}"
    );
}

/// Addresses in tables of any name, in other spellings, and where they cannot be rewritten.
fn a_copy_is_rewritten_exactly(world: &World) {
    let (old, copy) = (name(world), format!("second--{}", name(world)));
    let object = |host: &str| {
        let url = format!("http://{host}/x");
        format!("O:7:\"Missing\":1:{{s:1:\"u\";s:{}:\"{url}\";}}", url.len())
    };
    let own = format!("C:3:\"Own\":{}:{{http://{old}}}", old.len() + 7);
    let text = |host: &str| {
        format!("https://{host}/a //{host} http:\\/\\/{host}\\/ http%3A%2F%2F{host} x@{host}")
    };
    let near = format!("http://{old}.org http://my{old} http://{old}:8443/ http://{old}-x.example");
    let sql = format!(
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES';\n\
         CREATE TABLE `odd ``name` (a INT, b VARCHAR(20), body TEXT, PRIMARY KEY (a, b));\n\
         INSERT INTO `odd ``name` VALUES (1, 'ä', '{text}'), (2, 'ö', '{near}');\n\
         CREATE TABLE nokey (line TEXT);\nINSERT INTO nokey VALUES ('{text}'), ('{text}'), ('none');\n\
         CREATE TABLE tight (url VARCHAR({tight}) PRIMARY KEY);\nINSERT INTO tight VALUES ('http://{old}');\n\
         INSERT INTO wp_options (option_name, option_value) VALUES ('effect', '{object}'), ('effect_own', '{own}');\n\
         CREATE SQL SECURITY DEFINER VIEW effect_view AS SELECT * FROM nokey;\n\
         CREATE DEFINER = gone@localhost TRIGGER effect_trigger BEFORE INSERT ON nokey FOR EACH ROW SET @a = 1;\n",
        text = text(&old),
        object = object(&old),
        tight = old.len() + 7,
    );
    world.ssh(1, &format!("mariadb {USER} <<'THE_END'\n{sql}THE_END\n"));
    world.write(
        "sites/second.yaml",
        "kind: Environment\nsite: acme\nname: second\ntype: clone\nfrom: production\n",
    );
    world.commit("A second copy");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let ask = |sql: &str| {
        let command = format!("mariadb -BNr wp_acme_second <<'THE_END'\n{sql};\nTHE_END\n");
        world.ssh(1, &command).trim_end().to_owned()
    };
    assert_eq!(ask("SELECT body FROM `odd ``name` WHERE a = 1"), {
        let text = text(&copy).replace("https:", "http:");
        text.replace(&format!("x@{copy}"), &format!("x@{old}"))
    });
    assert_eq!(ask("SELECT body FROM `odd ``name` WHERE a = 2"), near);
    let by_value =
        "SELECT COUNT(*) FROM nokey WHERE line = (SELECT body FROM `odd ``name` WHERE a = 1)";
    assert_eq!(ask(by_value), "2");
    assert_eq!(ask("SELECT url FROM tight"), format!("http://{old}"));
    let option = |name: &str| {
        ask(&format!(
            "SELECT option_value FROM wp_options WHERE option_name = '{name}'"
        ))
    };
    assert_eq!(
        (option("effect"), option("effect_own")),
        (object(&copy), own)
    );
    assert_eq!(option("home"), format!("http://{copy}"));
    let jobs = world.jobs();
    let made = jobs
        .iter()
        .find(|job| job["resource"] == "env/acme/second" && job["job_type"] == "env_create");
    let shown = world.show(made.expect("a job")).to_string();
    for told in [
        "not copied: view `effect_view`",
        "not copied: trigger `effect_trigger`",
        "not rewritten: `tight.url`: the database refused it (1)",
        "not rewritten: `wp_options.option_value`: in an object that writes itself (1)",
    ] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    // A look tells what may be a program of somebody else.
    let gone = "DROP VIEW effect_view; DROP TRIGGER effect_trigger";
    world.ssh(1, &format!("mariadb {USER} -e '{gone}'"));
}

fn the_node_is_as_asked(world: &World) {
    let pool = world.ssh(1, "mariadb -BN -e 'SELECT @@innodb_buffer_pool_size >> 20'");
    assert_eq!(pool.trim(), "192");
    let banned = world.ssh(1, "fail2ban-client get sshd ignoreip");
    assert!(banned.contains("198.51.100.0/24"), "{banned}");
    assert_eq!(open_port(world, 8080), "open");
    assert_eq!(open_port(world, 22), "closed");
    assert_eq!(world.ssh(1, "apt-mark showhold").trim(), "redis-tools");
    for timer in ["apt-daily-upgrade.timer", "pressluft-reboot.timer"] {
        let shown = world.ssh(
            1,
            &format!("systemctl show --property=TimersCalendar {timer}"),
        );
        assert!(
            shown.contains("Sun") && shown.contains("UTC"),
            "{timer}: {shown}"
        );
    }
    // Debian's timer makes up for a missed window as soon as it is started.
    let shown = world.ssh(
        1,
        "systemctl show --property=Persistent apt-daily-upgrade.timer",
    );
    assert_eq!(shown.trim(), "Persistent=no");
}

fn visitors_see_the_maintenance_page(world: &World) {
    world.edit("sites/acme.yaml", "protect: false", "maintenance: true");
    world.commit("Closed");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    assert_eq!(ask(world, "/", &[]).0, "503");
    world.edit("sites/acme.yaml", "maintenance: true", "maintenance: false");
    world.commit("Open");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    assert_eq!(ask(world, "/", &[]).0, "200");
}

fn a_template_of_the_fleet_rolls_out_and_back(world: &World) {
    const PATH: &str = "templates/nginx/site.conf";
    let ours = include_str!("../../ansible/templates/nginx/site.conf");
    let own = "    location = /of-the-fleet { return 200 'own {{ env.name }}'; }\n";
    let (before, after) = ours.split_once("    # Certificates").expect("a place");
    let planned = || -> Vec<String> {
        let lines = world.pressluft(&["plan", "--json"]).expect(0).lines();
        let jobs = lines.iter().filter(|line| line["type"] == "planned_job");
        let words = |job: &Value| format!("{} {}", job["job_type"], job["changes"][0]["path"]);
        jobs.map(words).collect()
    };
    assert_eq!(ask(world, "/of-the-fleet", &[]).0, "404");
    for (text, body) in [
        (
            Some(format!("{before}{own}    # Certificates{after}")),
            "own production",
        ),
        (None, "<"),
    ] {
        match text {
            Some(text) => {
                world.write(PATH, &text);
                world.git(&["add", PATH]);
            }
            None => world.git(&["rm", "-q", PATH]),
        }
        world.commit("Another template");
        // All environments, and not the node.
        let each = format!("\"env_configure\" \"{PATH}\"");
        assert_eq!(planned(), vec![each; 3]);
        world.pressluft(&["apply", "--auto-approve"]).expect(0);
        assert_eq!(planned(), [""; 0]);
        world.pressluft(&["drift"]).expect(0);
        let found = ask(world, "/of-the-fleet", &[]).2;
        assert!(found.starts_with(body), "{found}");
    }
}
