//! A site against its node: what it wrote is interpreted with its own rights, in bounds.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::copies::{a_copy_takes_no_programs_along, a_copy_that_is_held_ends};
use super::in_turn;
use crate::support::World;

mod copies;

const FLEET: &str = "site";
const USER: &str = "wp_acme_production";
const ROOT: &str = "/var/www/sites/acme/production";
/// What a check may take in all, with what one execution on a busy machine takes beside it.
const HEALTH_TIMEOUT: u64 = 5;
const HEALTH_MOST: Duration = Duration::from_secs(15);

#[test]
fn what_a_site_wrote_stays_in_its_place() {
    let world = World::new(FLEET, 1);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: site\nSOURCES\n---\nkind: Node\nname: web-1\nhost: HOST1\n",
    );
    world.write(
        "sites/acme.yaml",
        "kind: Site\nname: acme\ntitle: Acme\nnode: web-1\n\
         admin: {user: owner, email: owner@acme.example}\n---\n\
         kind: Environment\nsite: acme\nname: production\ntype: production\n\
         php: {memory: 128M, workers: 2}\n",
    );
    world.commit("A site");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    world.pressluft(&["drift"]).expect(0);

    in_turn(
        &world,
        cases![
            wp_cli_reads_nothing_of_the_site,
            programs_of_the_site_are_bounded,
            pages_are_read_in_time,
            options_are_asked_for_as_the_site,
            wider_rights_are_told_and_revoked,
            what_lets_a_user_further_is_told,
            a_copy_takes_no_programs_along,
            a_copy_that_is_held_ends,
        ],
    );
    nothing_is_left(&world);
}

/// Runs a command on the host as the site's user.
fn as_site(world: &World, script: &str) -> String {
    let encoded = script.replace('\'', "'\\''");
    let drop = format!("setpriv --reuid {USER} --regid {USER} --init-groups");
    world.ssh(1, &format!("{drop} sh -c '{encoded}'"))
}

fn sql(world: &World, statements: &str) -> String {
    let encoded = statements.replace('\'', "'\\''");
    world.ssh(1, &format!("mariadb -BN -e '{encoded}'"))
}

/// The answer of the host to one request, as the control plane would send it.
fn ask(request: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boundaries/ask");
    let mut child = Command::new(script)
        .arg("1")
        .env("FLEET_NAME", FLEET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(request.to_string().as_bytes())
        .expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("an answer")
}

/// What a health check finds, in words, and how long it took.
fn health(world: &World) -> (String, Duration) {
    let url = format!("http://acme.{}.sslip.io", world.ip(1).replace('.', "-"));
    let options = json!({
        "system": USER, "root": ROOT, "php": "8.2", "url": url, "domains": [], "paths": ["/"],
        "expect": 200, "timeout": HEALTH_TIMEOUT, "login": null, "maintenance": false,
    });
    let begin = Instant::now();
    let answer = ask(&json!({"program": "health", "options": options}));
    let took = begin.elapsed();
    assert!(answer["checks"].is_object(), "{answer}");
    (answer["findings"].to_string(), took)
}

/// Code of the site, of a plugin for example, that runs wherever WordPress does.
fn code(world: &World, php: &str) {
    let folder = format!("{ROOT}/current/wp-content/mu-plugins");
    let encoded = php.replace('\'', "'\\''");
    world.ssh(
        1,
        &format!(
            // By a name of its own, or what PHP remembers of the last one would run.
            "rm -f {folder}/hostile*; file=$(mktemp {folder}/hostile-XXXXXX.php) && \
             printf %s '<?php {encoded}' >$file && chgrp {USER} $file && chmod 0640 $file"
        ),
    );
}

fn no_code(world: &World) {
    world.ssh(
        1,
        &format!("rm -f {ROOT}/current/wp-content/mu-plugins/hostile*"),
    );
    assert_eq!(health(world).0, "[]");
}

/// Row H5: neither configuration nor packages of the site are part of WP-CLI.
fn wp_cli_reads_nothing_of_the_site(world: &World) {
    let home = format!("{ROOT}/tmp");
    as_site(
        world,
        &format!(
            "mkdir -p {home}/.wp-cli/packages/vendor; echo \"<?php touch('{home}/ran');\" >{home}/x.php; \
             cp {home}/x.php {home}/.wp-cli/packages/vendor/autoload.php; \
             echo \"require: [{home}/x.php]\" >{home}/.wp-cli/config.yml; \
             cp {home}/.wp-cli/config.yml {home}/wp-cli.yml; cp {home}/.wp-cli/config.yml {home}/../shared/uploads/wp-cli.yml"
        ),
    );
    // One in the release, as a deployment could bring it along.
    world.ssh(
        1,
        &format!("cp {home}/wp-cli.yml {ROOT}/current/wp-cli.yml && chgrp {USER} {ROOT}/current/wp-cli.yml"),
    );
    assert_eq!(health(world).0, "[]");
    let ran = world.ssh(1, &format!("ls {home} | grep -cx ran || true"));
    assert_eq!(ran.trim(), "0", "code of the site ran in WP-CLI");
    world.ssh(
        1,
        &format!(
            "rm -r {home}/.wp-cli {home}/x.php {home}/wp-cli.yml \
             {ROOT}/current/wp-cli.yml {ROOT}/shared/uploads/wp-cli.yml"
        ),
    );
}

/// Row H5: a program that floods, hangs, eats or starts others ends, and its check with it.
fn programs_of_the_site_are_bounded(world: &World) {
    let flood = "for ($i = 0; $i < 500; $i++) fwrite(STREAM, str_repeat(\"x\", 1 << 20));";
    let eat =
        "ini_set(\"memory_limit\", -1); $a = []; while (true) $a[] = str_repeat(\"x\", 1 << 22);";
    for (php, finding) in [
        (flood.replace("STREAM", "STDOUT"), "printed more than"),
        (flood.replace("STREAM", "STDERR"), "printed more than"),
        ("while (true) sleep(1);".to_owned(), "did not end within"),
        (eat.to_owned(), "WordPress"),
        (
            "FFI::cdef(\"int fork();\")->fork();".to_owned(),
            "FFI API is restricted",
        ),
        (
            "if (function_exists(\"exec\")) exec(\"sleep 300 &\"); else die(\"no exec\");"
                .to_owned(),
            "did not answer",
        ),
        (
            "if (@file_get_contents(\"/etc/passwd\") === false) die(\"no file\");".to_owned(),
            "did not answer",
        ),
        (
            "echo \"\\x1e\", str_repeat(\"[\", 900000); exit;".to_owned(),
            "did not answer",
        ),
    ] {
        code(world, &format!("if (defined(\"WP_CLI\")) {{ {php} }}"));
        let (found, took) = health(world);
        assert!(found.contains(finding), "{php}: {found}");
        assert!(took < HEALTH_MOST, "{php}: {took:?}");
        nothing_runs(world);
    }
    let log = format!("{ROOT}/logs/debug.log");
    code(
        world,
        &format!("if (defined(\"WP_CLI\")) ftruncate(fopen(\"{log}\", \"c\"), 15 << 40);"),
    );
    health(world);
    let size = world.ssh(1, &format!("stat -c %s {log}; rm {log}"));
    let size: u64 = size.trim().parse().expect("a number");
    assert!(size <= 8 << 30, "a log of {size} bytes");
    no_code(world);
}

/// Row H2: a check costs a bounded time and no more than the rights of nobody.
fn pages_are_read_in_time(world: &World) {
    for page in ["<form", "<script", "<style></", "<script </script "] {
        code(
            world,
            &format!("if (!defined(\"WP_CLI\")) {{ echo str_repeat(\"{page}\", 800000); exit; }}"),
        );
        let (_, took) = health(world);
        assert!(took < HEALTH_MOST, "{page}: {took:?}");
    }
    let endless =
        "header(\"X-Accel-Buffering: no\"); while (true) { echo \"x\"; flush(); sleep(2); }";
    let elsewhere = "header(\"Location: http://\" . $_SERVER[\"HTTP_HOST\"] . \":6379/\"); exit;";
    for (php, finding) in [
        (endless, "no whole answer within"),
        ("sleep(60);", "no whole answer within"),
        (elsewhere, "is not the web server"),
        ("echo \"Uncaught Error\"; exit;", "it says `uncaught`"),
    ] {
        code(world, &format!("if (!defined(\"WP_CLI\")) {{ {php} }}"));
        let (found, took) = health(world);
        assert!(found.contains(finding), "{php}: {found}");
        assert!(took < HEALTH_MOST, "{php}: {took:?}");
        // Those that still sleep hold all workers of the site.
        world.ssh(
            1,
            &format!("pkill -KILL -u {USER} -f 'php-fpm: pool' || true"),
        );
    }
    no_code(world);
}

/// Row M1: what computes its rows has no rights of root and not much time, and a view is none of ours.
fn options_are_asked_for_as_the_site(world: &World) {
    let hidden = "RENAME TABLE wp_acme_production.wp_options TO wp_acme_production.o;";
    let view = "CREATE VIEW wp_acme_production.wp_options AS SELECT option_id, option_name, \
                CONCAT(option_value, SLEEP(30)) option_value, autoload FROM wp_acme_production.o;";
    sql(world, &format!("{hidden}{view}"));
    let begin = Instant::now();
    let ran = world.pressluft(&["drift", "--json"]);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(25), "the look took {took:?}");
    assert!(
        ran.stdout
            .contains("the database has the view `wp_options`"),
        "{}",
        ran.stdout
    );
    sql(
        world,
        "DROP VIEW wp_acme_production.wp_options; \
         RENAME TABLE wp_acme_production.o TO wp_acme_production.wp_options;",
    );
    world.pressluft(&["drift"]).expect(0);
}

fn configure(world: &World) {
    let words = ["apply", "--auto-approve", "--rerun", "env/acme/production"];
    world.pressluft(&words).expect(0);
}

/// Rows C2 and M3: all rights of the account are compared, told and revoked.
fn wider_rights_are_told_and_revoked(world: &World) {
    let account = "wp_acme_production@localhost";
    let limit = sql(
        world,
        "SELECT JSON_VALUE(Priv, '$.max_user_connections') FROM mysql.global_priv \
         WHERE User = 'wp_acme_production'",
    );
    assert_eq!(limit.trim(), "14");
    sql(
        world,
        "CREATE DATABASE other; CREATE ROLE wide; CREATE TABLE other.t (a INT);",
    );
    // Each with the words that tell it.
    let cases = [
        (
            format!("GRANT ALL ON *.* TO {account} WITH GRANT OPTION"),
            "for all databases",
        ),
        (
            format!("GRANT SELECT ON other.* TO {account}"),
            "SELECT in the database `other`",
        ),
        (
            format!("GRANT SELECT ON other.t TO {account}"),
            "table `other`.`t`",
        ),
        (
            format!("GRANT SELECT (a) ON other.t TO {account}"),
            "column `other`.`t`.`a`",
        ),
        (
            format!("GRANT wide TO {account}; SET DEFAULT ROLE wide FOR {account}"),
            "role `wide`",
        ),
        (
            format!("GRANT PROXY ON root@localhost TO {account}"),
            "the place of `root`",
        ),
        (
            format!("GRANT EVENT ON `wp\\_acme\\_production`.* TO {account}"),
            "EVENT in its own database",
        ),
        (
            format!("GRANT SELECT ON wp_acme_production.* TO {account}"),
            "SELECT in the database `wp_acme_production`",
        ),
        (
            "CREATE USER wp_acme_production@`%`; GRANT SELECT ON other.* TO wp_acme_production@`%`"
                .to_owned(),
            "an account of the same name at host `%`",
        ),
    ];
    let orphan = "INSERT INTO mysql.db (Host, Db, User, Select_priv) \
                  VALUES ('%', 'other', 'wp_acme_production', 'Y'); FLUSH PRIVILEGES";
    let rights = |world: &World| {
        let rows = "SELECT User, Host, Priv FROM mysql.global_priv; SELECT * FROM mysql.tables_priv; \
                    SELECT * FROM mysql.columns_priv; SELECT User, Host, Db FROM mysql.db; \
                    SELECT User, Host FROM mysql.proxies_priv; SELECT * FROM mysql.roles_mapping";
        let shown = sql(world, &format!("SHOW GRANTS FOR {account}; {rows}"));
        // Whose default role is none says so from then on.
        shown.replace(",\"default_role\":\"\"", "")
    };
    let clean = rights(world);
    for round in [&cases[..], &[(orphan.to_owned(), "at host `%`")]] {
        for (statement, _) in round {
            sql(world, statement);
        }
        let drift = world.pressluft(&["drift", "--json"]).expect(2).stdout;
        for (statement, told) in round {
            assert!(drift.contains(told), "{statement}: {drift}");
        }
        configure(world);
        assert_eq!(rights(world), clean);
    }
    world.pressluft(&["drift"]).expect(0);
    sql(world, "DROP DATABASE other; DROP ROLE wide;");
}

/// What is by nobody's document is told as somebody's doing.
fn what_lets_a_user_further_is_told(world: &World) {
    // An access list that lets the user of the number 1 read, with nothing of it in the mode.
    let entries = "(1,4,-1),(2,4,1),(4,4,-1),(16,4,-1),(32,0,-1)";
    let let_in = format!(
        "python3 -c 'import os,struct; os.setxattr(\"{ROOT}/shared/wp-config.php\", \"system.posix_acl_access\", \
         struct.pack(\"<I\",2)+b\"\".join(struct.pack(\"<HHi\",*e) for e in [{entries}]))'"
    );
    world.ssh(
        1,
        &format!(
            "echo '%{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/x; chmod 0440 /etc/sudoers.d/x; \
             printf '%s\\n' 'wp\\x5facme_production ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/y; chmod 0440 /etc/sudoers.d/y; \
             echo '* * * * * {USER} true' >/etc/cron.d/x; mkdir {ROOT}/.ssh; \
             mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/{USER}; \
             printf '[Service]\nUser={USER}\nExecStart=/bin/true\n' >/etc/systemd/system/x.service; \
             useradd --non-unique --uid $(id -u {USER}) twin; useradd --gid {USER} guest; gpasswd -a games {USER}; \
             {let_in}; printf '[Service]\nUser={USER}\nExecStart=/bin/true\n' >/etc/systemd/system/pressluft-backup.service; \
             mkdir -p /etc/systemd/system/pressluft-php-{USER}.service.d /run/systemd/system/pressluft-.service.d; \
             printf '[Service]\nProtectSystem=no\n' >/etc/systemd/system/pressluft-php-{USER}.service.d/x.conf; \
             printf '[Service]\nNoNewPrivileges=no\n' >/run/systemd/system/pressluft-.service.d/x.conf; \
             systemctl daemon-reload; gpasswd -A games {USER}; usermod --expiredate 2099-01-01 {USER}; \
             printf 'runuser -u {USER} true\n' >/etc/cron.daily/x; chmod 0644 /var/log/nginx/{USER}.access.log; \
             mkdir -p /etc/ssh/keys; echo key >/etc/ssh/keys/{USER}; \
             echo 'AuthorizedKeysFile /etc/ssh/keys/%u' >/etc/ssh/sshd_config.d/99-x.conf; \
             chgrp games {ROOT}/current/wp-settings.php; cp /bin/true {ROOT}/tmp/su; chown {USER} {ROOT}/tmp/su; chmod 4755 {ROOT}/tmp/su; \
             chmod 0644 {ROOT}/current/wp-login.php {ROOT}/current/wp-content/themes/index.php"
        ),
    );
    sql(
        world,
        "USE wp_acme_production; CREATE TRIGGER t BEFORE INSERT ON wp_posts FOR EACH ROW SET @a = 1; \
         CREATE VIEW v AS SELECT 1; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1; \
         CREATE PROCEDURE p() SELECT 1; CREATE USER stranger@localhost; \
         GRANT SELECT ON wp_acme_production.* TO stranger@localhost; \
         CREATE USER monitor@localhost; GRANT SELECT, PROCESS ON *.* TO monitor@localhost; \
         CREATE DATABASE elsewhere; CREATE TABLE elsewhere.t (a INT); \
         CREATE TRIGGER elsewhere.far AFTER INSERT ON elsewhere.t FOR EACH ROW \
         UPDATE wp_acme_production.wp_options SET option_value = 1; \
         CREATE EVENT elsewhere.later ON SCHEDULE EVERY 1 DAY DO DELETE FROM wp_acme_production.wp_posts; \
         ALTER USER wp_acme_production@localhost PASSWORD EXPIRE",
    );
    let found = world.pressluft(&["drift", "--json"]).expect(2).stdout;
    for word in [
        "/etc/sudoers.d/x",
        "its user may use sudo",
        "/etc/cron.d/x",
        "/etc/systemd/system/x.service",
        "`twin` has the number of",
        "`guest` has the group of",
        "`games` was a member of the group",
        "acl user",
        "pressluft-backup.service` names its user",
        "service.d/x.conf` changes its unit `pressluft-php-",
        "pressluft-.service.d/x.conf` changes its unit `pressluft-cron-",
        "is changed by `games`",
        "/etc/cron.daily/x` names its user",
        "access.log` is open to others: 0644",
        "/etc/ssh/keys/wp_acme_production",
        "wp-settings.php belongs to group",
        "PROCESS, SELECT for all databases",
        "is about its database",
        "foreign event `elsewhere.later`",
        "password's end",
        ".ssh",
        "linger",
        "tmp/su` has set-id bits",
        "trigger `t`, defined by `root@localhost`",
        "view `v`",
        "event `e`",
        "procedure `p`",
        "stranger@localhost",
        "wp-login.php is read by",
        "wp-content/themes/index.php is read by",
    ] {
        assert!(found.contains(word), "no `{word}` in {found}");
    }
    world.ssh(
        1,
        &format!(
            "rm -r /etc/sudoers.d/x /etc/sudoers.d/y /etc/cron.d/x {ROOT}/.ssh /var/lib/systemd/linger/{USER} {ROOT}/tmp/su; \
             rm -r /etc/systemd/system/x.service /etc/systemd/system/pressluft-backup.service \
             /etc/systemd/system/pressluft-php-{USER}.service.d /run/systemd/system/pressluft-.service.d \
             /etc/cron.daily/x /etc/ssh/keys /etc/ssh/sshd_config.d/99-x.conf; systemctl daemon-reload; \
             gpasswd -A '' {USER}; chmod 0640 /var/log/nginx/{USER}.access.log; \
             chgrp {USER} {ROOT}/current/wp-settings.php; userdel --force twin; userdel guest; \
             chmod 0640 {ROOT}/current/wp-login.php {ROOT}/current/wp-content/themes/index.php"
        ),
    );
    sql(
        world,
        "USE wp_acme_production; DROP TRIGGER t; DROP VIEW v; DROP EVENT e; DROP PROCEDURE p; \
         DROP USER stranger@localhost; DROP USER monitor@localhost; DROP DATABASE elsewhere;",
    );
    // What others were given of ours, a job takes from them.
    configure(world);
    world.pressluft(&["drift"]).expect(0);
}

/// No program of a tenant's outlives what it was started for.
fn nothing_runs(world: &World) {
    let units = world.ssh(
        1,
        &format!(
            "systemctl list-units --all --no-legend 'pressluft-run-*'; \
             ps -u {USER} -o args= | grep -v php-fpm || true"
        ),
    );
    assert_eq!(units.trim(), "");
}

fn nothing_is_left(world: &World) {
    nothing_runs(world);
    let accounts = "SELECT User FROM mysql.global_priv WHERE User LIKE 'pressluft%'";
    assert_eq!(sql(world, accounts), "");
}
