//! A site against its neighbours: what it sees of them, what it reaches of the node, and what it can take from them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::in_turn;
use crate::support::World;

const USER: &str = "wp_acme_production";
const ROOT: &str = "/var/www/sites/acme/production";
const NEIGHBOUR: &str = "zebrafish";
const ENVIRONMENT: &str = "env/acme/production";
const PHP: &str = "/etc/pressluft/php/wp_acme_production";

#[test]
fn neighbours_are_out_of_sight_and_out_of_reach() {
    let world = World::new("neigh", 1);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: neighbours\nSOURCES\n---\nkind: Node\nname: web-1\nhost: HOST1\n",
    );
    for site in ["acme", NEIGHBOUR] {
        world.write(
            &format!("sites/{site}.yaml"),
            &format!(
                "kind: Site\nname: {site}\ntitle: {site}\nnode: web-1\n\
                 admin: {{user: owner, email: owner@{site}.example}}\n---\n\
                 kind: Environment\nsite: {site}\nname: production\ntype: production\n\
                 php: {{memory: 128M, workers: 2}}\n\
                 cron: {{interval: 1d}}\nsafety: {{mail: capture}}\n"
            ),
        );
    }
    world.commit("Two sites");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    world.pressluft(&["drift"]).expect(0);
    for name in [name(&world, "acme"), name(&world, NEIGHBOUR)] {
        let (head, _) = world.visit(1, &name, "/");
        assert!(head.starts_with("HTTP/1.1 200"), "{name}: {head}");
    }

    services(&world);
    in_turn(
        &world,
        cases![
            a_request_sees_nothing,
            a_task_sees_nothing,
            without_the_limits_of_php_the_sandbox_holds,
            without_the_sandbox_there_is_much_to_see,
            without_the_firewall_all_is_in_reach,
            logs_stay_closed,
            no_log_keeps_the_node_busy,
            a_pipe_in_the_place_of_a_log_holds_nobody_up,
            code_from_uploads_does_not_run,
            what_a_user_has_too_much_is_taken,
            no_change_costs_a_request,
            the_shared_php_goes_unnoticed,
        ],
    );
    world.pressluft(&["drift"]).expect(0);
}

fn name(world: &World, site: &str) -> String {
    format!("{site}.{}.sslip.io", world.ip(1).replace('.', "-"))
}

fn rerun(world: &World, id: &str) {
    world
        .pressluft(&["apply", "--auto-approve", "--rerun", id])
        .expect(0);
}

/// Puts a file on the host, readable for the site.
fn put(world: &World, path: &str, text: &str) {
    let text = text.replace('\'', "'\\''");
    world.ssh(
        1,
        &format!("printf %s '{text}' >{path} && chown root:{USER} {path} && chmod 640 {path}"),
    );
}

/// What a cloud says about its machine, and a service of the node that is for nobody but the node.
fn services(world: &World) {
    put(
        world,
        "/usr/local/bin/probe.sh",
        include_str!("neighbours/probe.sh"),
    );
    world.ssh(
        1,
        "chmod 755 /usr/local/bin/probe.sh && mkdir /root/web && echo keys >/root/web/index.html && \
         ip address add 169.254.169.254/32 dev lo && \
         systemd-run --quiet --unit=inner python3 -m http.server 9090 --bind :: --directory /root/web",
    );
    let reached = world.ssh(
        1,
        "sleep 1; curl -s http://127.0.0.1:9090/ && curl -s -o /dev/null http://169.254.169.254/ -w '%{errormsg}' || true",
    );
    assert!(
        reached.contains("keys") && !reached.contains("refused"),
        "root reaches both: {reached}"
    );
}

#[track_caller]
fn nothing_found(text: &str, works: usize) {
    let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("FOUND"), 0, "{text}");
    assert_eq!(count("works"), works, "{text}");
    assert!(text.trim_end().ends_with("END"), "{text}");
}

fn a_request_sees_nothing(world: &World) {
    let script = format!("{ROOT}/current/probe.php");
    put(world, &script, include_str!("neighbours/probe.php"));
    let path = format!("/probe.php?neighbour={NEIGHBOUR}");
    let (_, body) = world.visit(1, &name(world, "acme"), &path);
    nothing_found(&body, 6);
    world.ssh(1, &format!("rm {script}"));
    let mail = world.ssh(1, &format!("cat {ROOT}/mail/*.eml"));
    assert!(mail.contains("a@b.example"), "{mail}");
}

/// A task of the site runs what is due, and sees as little as a request.
fn a_task_sees_nothing(world: &World) {
    let unit = format!("pressluft-cron-{USER}.service");
    let plugin = format!("{ROOT}/current/wp-content/mu-plugins/probe.php");
    put(
        world,
        &plugin,
        "<?php add_action( 'pressluft_probe', static function () {\n\
         $text = ini_get( 'open_basedir' ) . ' ';\n\
         $text .= function_exists( 'exec' ) ? 'exec' : 'closed';\n\
         $text .= @file_get_contents( '/etc/passwd' ) ? ' passwd' : '';\n\
         file_put_contents( WP_CONTENT_DIR . '/uploads/due.txt', $text ); } );\n\
         add_action( 'init', static function () { wp_schedule_single_event( time() - 1, 'pressluft_probe' ); } );\n",
    );
    world.ssh(1, &format!("systemctl start {unit}"));
    let due = world.ssh(1, &format!("cat {ROOT}/shared/uploads/due.txt"));
    assert_eq!(due.trim(), format!("{ROOT}/:/usr/local/bin/wp closed"));
    world.ssh(1, &format!("rm {plugin}"));

    let folder = format!("/etc/systemd/system/{unit}.d");
    let probe = format!(
        "[Service]\\nExecCondition=\\nExecStart=\\nExecStart=/bin/sh /usr/local/bin/probe.sh {NEIGHBOUR} {}\\n\
         StandardOutput=file:/root/probe\\n",
        world.ip(1)
    );
    let text = world.ssh(
        1,
        &format!(
            "mkdir {folder} && printf '{probe}' >{folder}/probe.conf && systemctl daemon-reload && \
             systemctl start {unit}; cat /root/probe; rm -r {folder} && systemctl daemon-reload"
        ),
    );
    nothing_found(&text, 4);
}

/// Whoever gets past `open_basedir` and `disable_functions` has what the sandbox leaves.
fn without_the_limits_of_php_the_sandbox_holds(world: &World) {
    let script = format!("{ROOT}/current/probe.php");
    let call = format!(
        "<?php passthru( 'sh /usr/local/bin/probe.sh {NEIGHBOUR} {} 2>&1' );\n",
        world.ip(1)
    );
    put(world, &script, &call);
    world.ssh(
        1,
        &format!(
            "sed -i '/open_basedir/d;/disable_functions/d' {PHP}/fpm.conf {PHP}/environment.ini && \
             systemctl restart pressluft-php-{USER}.service"
        ),
    );
    let (_, body) = world.visit(1, &name(world, "acme"), "/probe.php");
    nothing_found(&body, 4);
    // Services that start anew are there again, under the same names.
    world.ssh(1, "systemctl restart mariadb");
    let (_, body) = world.visit(1, &name(world, "acme"), "/probe.php");
    nothing_found(&body, 4);
    world.ssh(1, &format!("rm {script}"));
    world.pressluft(&["drift", ENVIRONMENT]).expect(2);
    rerun(world, ENVIRONMENT);
    let limits = world.ssh(1, &format!("grep -c open_basedir {PHP}/fpm.conf"));
    assert_ne!(limits.trim(), "0");
}

/// Runs the probe as the site's user, in no sandbox.
fn outside(world: &World) -> String {
    let address = world.ip(1);
    world.ssh(
        1,
        &format!(
            "setpriv --reuid {USER} --regid {USER} --init-groups env TMPDIR={ROOT}/tmp \
             sh /usr/local/bin/probe.sh {NEIGHBOUR} {address}"
        ),
    )
}

/// The probe finds what is there to be found; what the whole node hides stays hidden.
fn without_the_sandbox_there_is_much_to_see(world: &World) {
    let text = outside(world);
    for place in [
        "names in /etc/nginx",
        "names in /etc/systemd/system",
        "names in /sys/fs/cgroup",
        "names in /run/dbus",
        "the neighbour's directory",
        "units by D-Bus",
    ] {
        assert!(
            text.contains(&format!("FOUND {place}\n")),
            "{place}: {text}"
        );
    }
    for place in [
        "names in /var/log/nginx",
        "names in /etc/nginx/sites-enabled",
        "names in /run/pressluft-php",
        "a process of another user",
        "metadata",
        "a service",
    ] {
        assert!(!text.contains(&format!("FOUND {place}")), "{place}: {text}");
    }
    world.ssh(1, "systemctl stop pressluft-proc");
    assert!(outside(world).contains("FOUND a process of another user\n"));
    world.ssh(1, "systemctl start pressluft-proc");
}

/// The rules are what keeps them out; a rule set that is loaded anew keeps the users, and a look misses them.
fn without_the_firewall_all_is_in_reach(world: &World) {
    let all = [
        "FOUND a service on loopback\n",
        "FOUND a service on loopback, IPv6\n",
        "FOUND a service on the node's own address\n",
    ];
    world.ssh(1, "nft flush set inet pressluft sites");
    let text = outside(world);
    assert!(all.iter().all(|line| text.contains(line)), "{text}");
    assert!(!text.contains("FOUND metadata"), "{text}");
    world.pressluft(&["drift", ENVIRONMENT]).expect(2);
    rerun(world, ENVIRONMENT);
    let text = outside(world);
    assert!(!all.iter().any(|line| text.contains(line)), "{text}");

    world.ssh(
        1,
        "nft flush set inet pressluft metadata4; nft flush set inet pressluft sites",
    );
    assert!(outside(world).contains("FOUND metadata\n"));
    world.ssh(1, "nft -f /etc/nftables.conf");
    let text = outside(world);
    assert!(!text.contains("FOUND metadata"), "{text}");
    assert!(!all.iter().any(|line| text.contains(line)), "{text}");
    let both = world.ssh(
        1,
        "nft list set inet pressluft sites | grep elements | tr , '\\n' | wc -l",
    );
    assert_eq!(both.trim(), "2");
    // Names that nobody has any more do not keep the rule set from loading.
    world.ssh(
        1,
        "echo 'add element inet pressluft sites { 4242 } # wp_gone_production' >>/etc/nftables.d/pressluft-sites.nft && \
         nft -f /etc/nftables.conf",
    );
    rerun(world, ENVIRONMENT);
    let left = world.ssh(
        1,
        "grep -c gone /etc/nftables.d/pressluft-sites.nft || true",
    );
    assert_eq!(left.trim(), "0");
    world.ssh(1, "nft -f /etc/nftables.conf");
}

/// Nobody else reads a log, a new one after a rotation neither, and what a site made of its own is no work of root's.
fn logs_stay_closed(world: &World) {
    let open = "find /var/log/nginx -perm /o=rwx ! -type l; find /etc/nginx/sites-enabled/wp_* /etc/pressluft/php/wp_* -perm /o=rwx";
    assert_eq!(world.ssh(1, open).trim(), "");
    world.ssh(1, "logrotate --force /etc/logrotate.d/nginx");
    thread::sleep(Duration::from_secs(1));
    world.visit(1, &name(world, "acme"), "/wp-login.php?key=reset");
    assert_eq!(world.ssh(1, open).trim(), "");
    let log = format!("/var/log/nginx/{USER}.access.log");
    let written = world.ssh(1, &format!("grep -c key=reset {log} || true"));
    assert_eq!(written.trim(), "1", "it is written on after a rotation");
    let login = world.ssh(1, "grep -c key=reset /var/log/nginx/login.log || true");
    assert_eq!(login.trim(), "0");
    own_logs_are_rotated_with_own_rights(world);
}

fn own_logs_are_rotated_with_own_rights(world: &World) {
    let logs = format!("{ROOT}/logs");
    let before = world.ssh(1, "sha256sum /etc/shadow");
    world.ssh(
        1,
        &format!(
            "cd {logs} && rm -f *.log.* && \
             for name in debug php-slow php-fpm; do test ! -e $name.log || mv $name.log $name.kept; done && \
             setpriv --reuid {USER} --regid {USER} --init-groups sh -c 'umask 077 && echo own >>php.log && \
             ln -s /etc/shadow debug.log && mkfifo php-slow.log && truncate -s 15T other.log' && \
             (umask 077 && echo secret >php-fpm.log) && \
             (timeout 60 logrotate --force /etc/logrotate.d/pressluft-{USER} || test $? != 124)"
        ),
    );
    let found = world.ssh(1, &format!("ls {logs}"));
    assert!(found.contains("php.log.1\n"), "{found}");
    for name in ["debug.log.1", "php-slow.log.1", "php-fpm.log.1"] {
        assert!(!found.contains(name), "rotated with more rights: {found}");
    }
    assert!(!found.contains("other.log.1"), "not one of ours: {found}");
    assert_eq!(world.ssh(1, "sha256sum /etc/shadow"), before);
    world.ssh(
        1,
        &format!(
            "cd {logs} && rm -f debug.log php-slow.log php-fpm.log other.log *.log.* && \
             for name in debug php-slow php-fpm; do test ! -e $name.kept || mv $name.kept $name.log; done"
        ),
    );
}

/// Whoever reads a log of holes is busy with it for hours.
fn no_log_keeps_the_node_busy(world: &World) {
    let script = format!("{ROOT}/current/holes.php");
    let log = format!("{ROOT}/logs/debug.log");
    put(
        world,
        &script,
        &format!("<?php ftruncate( fopen( '{log}', 'c' ), 15 << 40 );"),
    );
    world.visit(1, &name(world, "acme"), "/holes.php");
    let size = world.ssh(1, &format!("stat -c %s {log}"));
    let size: u64 = size.trim().parse().expect("a number");
    assert!(size <= 8 << 30, "a log of {size} bytes");
    world.ssh(1, &format!("rm -f {script} {log}"));
}

/// Rows Y2 and Y6: neither the check of PHP's settings nor PHP itself waits for a pipe of the site, or follows a link of it.
fn a_pipe_in_the_place_of_a_log_holds_nobody_up(world: &World) {
    let planted = "/dev/shm/planted";
    world.ssh(
        1,
        &format!(
            "cd {ROOT}/logs && setpriv --reuid {USER} --regid {USER} --init-groups \
             sh -c 'rm -f php-fpm.log php-slow.log && mkfifo php-fpm.log && ln -s {planted} php-slow.log' && \
             echo '; by hand' >>{PHP}/fpm.conf && echo '# by hand' >>/etc/systemd/system/pressluft-php-{USER}.service"
        ),
    );
    let begin = Instant::now();
    rerun(world, ENVIRONMENT);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(25), "the job took {took:?}");
    let found = world.ssh(
        1,
        &format!("ls {planted} 2>/dev/null; stat -c %F {ROOT}/logs/php-fpm.log"),
    );
    assert_eq!(found.trim(), "regular file", "what is at {planted}");
    let (head, _) = world.visit(1, &name(world, "acme"), "/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

/// Values of the database that name files of WordPress do not lead to the uploads.
fn code_from_uploads_does_not_run(world: &World) {
    let uploads = format!("{ROOT}/shared/uploads");
    let mark = "<?php file_put_contents( WP_CONTENT_DIR . '/uploads/ran', 'x' );";
    let sql = |statement: &str| world.ssh(1, &format!("mariadb {USER} -BN -e \"{statement}\""));
    let get = |name: &str| {
        let statement = format!("SELECT option_value FROM wp_options WHERE option_name = '{name}'");
        sql(&statement).trim().to_owned()
    };
    world.ssh(
        1,
        &format!(
            "mkdir -p {uploads}/evil && cd {uploads} && printf '/*\\nTheme Name: Evil\\n*/' >evil/style.css && \
             for f in evil/functions.php evil/index.php evil.l10n.php; do echo \"{mark}\" >$f; done && \
             touch evil.mo && chown -R {USER}:{USER} evil evil.mo evil.l10n.php && \
             install -d -g {USER} -m 750 {ROOT}/current/wp-content/languages"
        ),
    );
    let site = name(world, "acme");
    for (option, value) in [
        ("template", "../uploads/evil"),
        ("stylesheet", "../uploads/evil"),
        ("WPLANG", "../uploads/evil"),
    ] {
        let before = get(option);
        sql(&format!(
            "REPLACE INTO wp_options (option_name, option_value, autoload) VALUES ('{option}', '{value}', 'yes')"
        ));
        for path in ["/", "/wp-login.php"] {
            let (head, _) = world.visit(1, &site, path);
            assert!(head.starts_with("HTTP/1.1 200"), "{option} {path}: {head}");
        }
        world.ssh(1, &format!("systemctl start pressluft-cron-{USER}.service"));
        let ran = world.ssh(1, &format!("ls {uploads} | grep -cx ran || true"));
        assert_eq!(ran.trim(), "0", "{option}");
        sql(&format!(
            "UPDATE wp_options SET option_value = '{before}' WHERE option_name = '{option}'"
        ));
    }
    let (head, _) = world.visit(1, &site, "/wp-content/uploads/evil/index.php");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    world.ssh(
        1,
        &format!("rm -r {uploads}/evil* {ROOT}/current/wp-content/languages"),
    );
}

/// Groups and a password that somebody gave the user are told, and taken.
fn what_a_user_has_too_much_is_taken(world: &World) {
    world.ssh(
        1,
        &format!(
            "usermod -aG adm,wp_{NEIGHBOUR}_production {USER} && echo {USER}:guess | chpasswd"
        ),
    );
    let found = world
        .pressluft(&["drift", ENVIRONMENT, "--json"])
        .expect(2)
        .stdout;
    assert!(found.contains("Have the environment's user"), "{found}");
    rerun(world, ENVIRONMENT);
    assert_eq!(world.ssh(1, &format!("id -nG {USER}")).trim(), USER);
    let shadow = world.ssh(1, &format!("getent shadow {USER} | cut -d: -f2"));
    assert_eq!(shadow.trim(), "!");
    world.pressluft(&["drift", ENVIRONMENT]).expect(0);
}

/// Every answer that both sites gave while `work` was done.
fn answers_meanwhile(world: &World, work: impl FnOnce()) -> Vec<String> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let visitors: Vec<_> = [name(world, "acme"), name(world, NEIGHBOUR)]
            .into_iter()
            .map(|site| {
                let done = &done;
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let (head, _) = world.visit(1, &site, "/wp-login.php");
                        let status = head.lines().next().unwrap_or_default().trim().to_owned();
                        answers.push(format!("{site} {status}"));
                        thread::sleep(Duration::from_millis(20));
                    }
                    answers
                })
            })
            .collect();
        work();
        done.store(true, Ordering::Relaxed);
        let answers = visitors.into_iter().map(|visitor| visitor.join());
        answers
            .flat_map(|answers| answers.expect("a visitor"))
            .collect()
    })
}

#[track_caller]
fn all_answered(answers: &[String]) {
    assert!(answers.len() >= 4, "{answers:?}");
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.ends_with("HTTP/1.1 200 OK"))
        .collect();
    assert!(failed.is_empty(), "{failed:?} of {}", answers.len());
}

/// Neither the site that changes nor its neighbour loses a request, whether PHP reads its settings again or starts anew.
fn no_change_costs_a_request(world: &World) {
    let process = |site: &str| {
        let unit = format!("pressluft-php-wp_{site}_production.service");
        world.ssh(
            1,
            &format!("systemctl show --property=MainPID,ActiveEnterTimestampMonotonic {unit}"),
        )
    };
    let before = process(NEIGHBOUR);
    let answers = answers_meanwhile(world, || {
        world.edit("sites/acme.yaml", "128M", "192M");
        world.commit("More memory");
        world.pressluft(&["apply", "--auto-approve"]).expect(0);
        world.ssh(1, &format!("systemctl reload pressluft-php-{USER}.service"));
    });
    all_answered(&answers);
    assert_eq!(process(NEIGHBOUR), before);
    let limit = world.ssh(
        1,
        &format!("systemctl show --property=MemoryMax pressluft-php-{USER}.service"),
    );
    // Two workers of 192 MiB, 256 MiB of opcode cache, and 128 MiB.
    assert_eq!(
        limit.trim(),
        format!("MemoryMax={}", (2 * 192 + 256 + 128) << 20)
    );

    // An update of PHP starts the package's own unit anew, and the node's settings reload it.
    let answers = answers_meanwhile(world, || {
        world.ssh(
            1,
            "systemctl restart php8.2-fpm && sleep 3 && systemctl reload php8.2-fpm && sleep 3",
        );
    });
    all_answered(&answers);
    assert_ne!(process(NEIGHBOUR), before);
}

/// Where an environment is still a pool of the PHP that all share, it gets its own, and nobody notices.
fn the_shared_php_goes_unnoticed(world: &World) {
    let pool = format!("/etc/php/8.2/fpm/pool.d/{USER}.conf");
    let vhost = format!("/etc/nginx/sites-enabled/{USER}.conf");
    let units = "/etc/systemd/system";
    world.ssh(
        1,
        &format!(
            "printf '[{USER}]\\nuser = {USER}\\ngroup = {USER}\\nlisten = /run/php/{USER}.sock\\n\
             listen.owner = www-data\\nlisten.mode = 0660\\npm = ondemand\\npm.max_children = 2\\n' >{pool} && \
             systemctl reload php8.2-fpm && sleep 1 && \
             sed -i 's|/run/pressluft-php/|/run/php/|' {vhost} && systemctl reload nginx && sleep 1 && \
             systemctl stop pressluft-php-{USER}.socket pressluft-php-{USER}.service && \
             rm -r {PHP} {units}/pressluft-php-{USER}.* {units}/sockets.target.wants/pressluft-php-{USER}.socket && \
             systemctl daemon-reload"
        ),
    );
    let answers = answers_meanwhile(world, || {
        rerun(world, ENVIRONMENT);
        thread::sleep(Duration::from_secs(2));
    });
    all_answered(&answers);
    let left = world.ssh(
        1,
        &format!("ls {pool} /run/php/{USER}.sock 2>/dev/null || true"),
    );
    assert_eq!(left.trim(), "");
}
