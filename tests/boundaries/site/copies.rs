//! Copies of a site's environment, made of what the site has prepared.

use std::time::{Duration, Instant};

use super::{ROOT, USER, as_site, nothing_runs, sql};
use crate::support::World;

const COPY: &str = "/var/www/sites/acme/staging";

/// Rows C2 and M4: the case of two character sets and others beside it, and files with holes.
pub(super) fn a_copy_takes_no_programs_along(world: &World) {
    let hostile = "USE wp_acme_production; \
        CREATE TABLE `a\n\\! touch /tmp/pwned\nx` (a INT COMMENT '\n\\\\! touch /tmp/pwned\n') COMMENT '*/; \\\\! touch /tmp/pwned\n'; \
        CREATE TABLE `NULL` (a INT); CREATE TABLE `$HOME ${HOME} %n \"x\"` (a INT); CREATE TABLE `-e` (a INT); \
        CREATE TABLE m (a INT) ENGINE=MERGE; CREATE VIEW v AS SELECT SLEEP(30); CREATE SEQUENCE q; \
        CREATE DEFINER=root@localhost PROCEDURE p() GRANT ALL ON *.* TO wp_acme_production@localhost; \
        CREATE DEFINER=wp_acme_production@localhost EVENT e ON SCHEDULE EVERY 1 DAY \
        DO GRANT ALL ON *.* TO wp_acme_production@localhost;";
    sql(world, hostile);
    // The body ends elsewhere for whoever reads it in the other character set.
    world.ssh(
        1,
        r#"printf 'set names gbk;\ndelimiter //\ncreate definer=wp_acme_production@localhost trigger g before update on wp_posts for each row set @a = "\351\\\\";;\ngrant all on *.* to wp_acme_production@localhost;;\n"' | mariadb wp_acme_production"#,
    );
    as_site(
        world,
        &format!(
            "cd {ROOT}/shared/uploads && truncate -s 3G holes && mkfifo fifo && ln -s /etc/shadow link && \
             cp /bin/true su && chmod 6755 su && mkdir -p a/b && echo whole >a/b/c"
        ),
    );
    world.write(
        "sites/staging.yaml",
        "kind: Environment\nsite: acme\nname: staging\ntype: staging\nfrom: production\n",
    );
    world.commit("A copy");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);

    let jobs = world.jobs();
    let job = jobs
        .iter()
        .rev()
        .find(|job| job["job_type"] == "env_create");
    let shown = world.show(job.expect("a job")).to_string();
    for left in [
        "trigger `g`",
        "view `v`",
        "sequence `q`",
        "routine `p`",
        "event `e`",
        "table `m`",
    ] {
        assert!(shown.contains(left), "no `{left}` in {shown}");
    }
    let tables = sql(world, "SHOW TABLES FROM wp_acme_staging");
    for name in ["a\\n\\\\! touch", "NULL", "${HOME} %n", "-e", "wp_posts"] {
        assert!(tables.contains(name), "no `{name}` in {tables}");
    }
    let programs = "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'wp_acme_staging'; \
         SELECT COUNT(*) FROM mysql.proc WHERE db = 'wp_acme_staging'; \
         SELECT COUNT(*) FROM mysql.event WHERE db = 'wp_acme_staging'; \
         SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'wp_acme_staging' \
         AND TABLE_TYPE <> 'BASE TABLE'; \
         SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE 'pressluft%'; \
         SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE 'wp%' AND JSON_VALUE(Priv, '$.access') <> 0";
    assert_eq!(sql(world, programs).replace('\n', ""), "000000");
    world.ssh(
        1,
        &format!(
            "test ! -e /tmp/pwned && cd {COPY}/shared/uploads && test $(stat -c %s holes) = 3221225472 && \
             test $(du -sk . | cut -f1) -lt 2000 && test -L link && test ! -u su && test ! -g su && \
             test \"$(cat a/b/c)\" = whole"
        ),
    );
}

/// Rows M4 and Y5: whoever stops the programs of its own copy, or keeps a table locked, holds neither the job nor the node's
/// lock.
pub(super) fn a_copy_that_is_held_ends(world: &World) {
    as_site(
        world,
        &format!("head -c 200000000 /dev/urandom >{ROOT}/shared/uploads/large"),
    );
    world.write(
        "sites/held.yaml",
        "kind: Environment\nsite: acme\nname: held\ntype: clone\nfrom: production\n",
    );
    world.commit("A copy that is held");
    let stopped = format!(
        "setpriv --reuid {USER} --regid {USER} --init-groups timeout 100 \
         sh -c 'while :; do pkill -STOP -u {USER} tar; sleep 0.02; done'"
    );
    // The site's account may do so too; root has no password to look for.
    let locked = format!("timeout 100 mariadb -e 'CREATE TABLE {USER}.zz AS SELECT SLEEP(90)'");
    for (holding, told) in [(stopped, "stood still"), (locked, "")] {
        world.ssh(
            1,
            &format!("nohup {holding} >/dev/null 2>&1 </dev/null & echo $! >/run/holder; sleep 1"),
        );
        let begin = Instant::now();
        let ran = world.pressluft(&["apply", "--auto-approve", "--wait", "1s"]);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(90), "{holding}: {took:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(told), "no `{told}` in {said}");
        let tried = "env_create env/acme/held: started";
        assert!(said.contains(tried), "no `{tried}` in {said}");
        world.ssh(
            1,
            "kill $(cat /run/holder); flock -n /run/pressluft/fence.lock true",
        );
        nothing_runs(world);
    }
    sql(world, "DROP TABLE IF EXISTS wp_acme_production.zz");
}
