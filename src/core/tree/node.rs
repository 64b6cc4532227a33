//! The files of a node itself: services, firewall, SSH, updates.

use minijinja::{Value as View, context};
use serde_json::Value;

use super::context::Named;
use super::hidden::hide;
use super::templates::seen;
use super::units::{drop_in, no_unit, unit};
use super::values::{bytes, php_versions};
use super::window::{Moment, calendars};
use super::{Builder, Item, RenderContext, RenderError, Templates, Tree};

const MIB: u64 = 1 << 20;

/// The tree that `node_provision` applies.
///
/// # Errors
/// [`RenderError`] when the node's facts are not known, or a value has no safe form.
pub fn node_tree(ctx: &RenderContext<'_>, templates: &Templates) -> Result<Tree, RenderError> {
    let facts = ctx.facts.ok_or(RenderError::Missing("the node's facts"))?;
    let node = ctx.node;
    let versions = php_versions(node)?;
    let ubuntu = facts.distribution == "ubuntu";
    let container = facts.virtualization.as_deref().is_some_and(is_container);
    let swap = bytes(&node["swap"], "swap")?.filter(|_| !container);
    let window = node["patching"]["window"].as_str();
    let reboot = window.filter(|_| node["patching"]["reboot"] == "if-needed");
    let calendars = |moment| window.map(|text| calendars(text, moment)).transpose();
    let megabytes = facts.memory_bytes / MIB;
    let buffer_pool = bytes(&node["database"]["buffer_pool"], "database.buffer_pool")?
        .map_or((megabytes / 4).clamp(128, 16_384), |size| size / MIB);
    let opcache = bytes(&node["php"]["opcache"], "php.opcache")?
        .ok_or(RenderError::Missing("`php.opcache`"))?;
    let control_address = facts.control_address.as_deref();
    let view = context! {
        node => seen(node),
        facts => seen(facts),
        container,
        control_address,
        opcache_megabytes => opcache / MIB,
        buffer_pool_megabytes => buffer_pool,
        database_memory_max_megabytes => buffer_pool + (megabytes / 4).max(512),
        max_connections => (megabytes / 16).clamp(100, 1000),
        fail2ban_allow => fail2ban_allow(node, control_address),
        ssh_ports => node["ssh"]["port"].to_string(),
        ssh_allow => seen(&node["firewall"]["ssh_allow"]),
        firewall_open => open_ports(node)?,
        swap_bytes => swap,
        patching_calendars => calendars(Moment::Begin)?,
        reboot_calendars => calendars(Moment::Middle)?,
    };
    // Everybody on the node may read most of these files: none of them sees a secret.
    let render = |name: &str| templates.render(name, &view, &Named::Hidden);

    let mut tree = Builder::default();
    checks_and_reloads(&mut tree, &versions, ubuntu);

    for (path, mode) in [
        ("/var/www", "0755"),
        ("/var/www/sites", "0711"),
        ("/var/www/acme", "0755"),
        ("/var/www/acme/.well-known", "0755"),
        ("/var/www/acme/.well-known/acme-challenge", "0755"),
        ("/var/lib/pressluft", "0700"),
        ("/var/lib/pressluft/cache", "0700"),
        ("/var/lib/pressluft/sites", "0700"),
        ("/usr/local/lib/pressluft", "0755"),
        ("/var/cache/pressluft", "0711"),
    ] {
        tree.push(Item::directory(path, mode));
    }
    for below in ["", "/php", "/redis"] {
        tree.push(Item::directory(format!("/etc/pressluft{below}"), "0711"));
    }
    tree.push(Item::directory("/var/log/pressluft", "0750").owned("root", "adm", Some("0750")));
    hide(&mut tree, &render)?;

    // nginx
    tree.push(Item::directory("/etc/nginx/pressluft", "0750").owned(
        "root",
        "www-data",
        Some("0750"),
    ));
    for (path, template) in [
        ("/etc/nginx/nginx.conf", "nginx/nginx.conf"),
        ("/etc/nginx/snippets/pressluft-php.conf", "nginx/php.conf"),
        ("/etc/nginx/snippets/pressluft-deny.conf", "nginx/deny.conf"),
        (
            "/etc/nginx/sites-enabled/000-default.conf",
            "nginx/default.conf",
        ),
    ] {
        tree.push(
            Item::file(path, render(template)?)
                .checked("nginx")
                .then("reload-nginx"),
        );
    }
    tree.push(
        Item::absent("/etc/nginx/sites-enabled/default")
            .checked("nginx")
            .then("reload-nginx"),
    );

    // PHP
    for version in &versions {
        let reload = format!("reload-php{version}");
        let base = format!("/etc/php/{version}");
        let ini = render("php/node.ini")?;
        for sapi in ["fpm", "cli"] {
            let path = format!("{base}/{sapi}/conf.d/99-pressluft.ini");
            tree.push(Item::file(path, ini.clone()).then(&reload));
        }
        let pool = templates.render("php/node-pool.conf", &context! { version }, &Named::Hidden)?;
        tree.push(Item::file(format!("{base}/fpm/pool.d/pressluft.conf"), pool).then(&reload));
        tree.push(Item::absent(format!("{base}/fpm/pool.d/www.conf")).then(&reload));
    }

    // MariaDB, and the Redis of the package: each environment that asks for one has its own.
    tree.push(
        Item::file(
            "/etc/mysql/mariadb.conf.d/99-pressluft.cnf",
            render("mariadb/pressluft.cnf")?,
        )
        .then("restart-mariadb"),
    );
    drop_in(
        &mut tree,
        "mariadb.service",
        render("systemd/mariadb.conf")?,
    );
    tree.push(
        Item::link("/etc/systemd/system/redis-server.service", "/dev/null")
            .then("daemon-reload")
            .then("stop-redis"),
    );
    tree.push(
        Item::file(
            "/usr/local/lib/pressluft/purge-pages",
            render("nginx/purge.sh")?,
        )
        .root("0755"),
    );

    // The way in, who is kept out, and where sites do not get
    tree.push(Item::directory("/etc/nftables.d", "0750"));
    tree.push(
        Item::file("/etc/nftables.conf", render("nftables/nftables.conf")?)
            .root("0755")
            .checked("nft")
            .then("nftables"),
    );
    for (path, template) in [
        ("/etc/fail2ban/jail.local", "fail2ban/jail.local"),
        (
            "/etc/fail2ban/filter.d/pressluft-login.conf",
            "fail2ban/login.conf",
        ),
        (
            "/etc/fail2ban/filter.d/pressluft-xmlrpc.conf",
            "fail2ban/xmlrpc.conf",
        ),
    ] {
        tree.push(Item::file(path, render(template)?).then("fail2ban"));
    }
    tree.push(
        Item::file(
            "/etc/ssh/sshd_config.d/10-pressluft.conf",
            render("ssh/sshd.conf")?,
        )
        .root("0600")
        .checked("sshd")
        .then("reload-ssh"),
    );
    if ubuntu {
        tree.push(Item::directory("/etc/systemd/system/ssh.socket.d", "0755"));
        tree.push(
            unit("ssh.socket.d/pressluft.conf", render("ssh/socket.conf")?).then("ssh-socket"),
        );
    }

    // Updates and reboots
    tree.push(Item::file(
        "/etc/apt/apt.conf.d/20auto-upgrades",
        render("apt/auto-upgrades")?,
    ));
    tree.push(Item::file(
        "/etc/apt/apt.conf.d/52pressluft-upgrades",
        render("apt/unattended-upgrades")?,
    ));
    tree.push(Item::directory(
        "/etc/systemd/system/apt-daily-upgrade.timer.d",
        "0755",
    ));
    let timer = "apt-daily-upgrade.timer.d/pressluft.conf";
    tree.push(
        match window {
            Some(_) => unit(timer, render("apt/upgrade.timer")?),
            None => no_unit(timer),
        }
        .then("upgrade-timer"),
    );
    let wanted = "/etc/systemd/system/timers.target.wants/pressluft-reboot.timer";
    if reboot.is_some() {
        tree.push(unit(
            "pressluft-reboot.service",
            render("systemd/reboot.service")?,
        ));
        tree.push(
            unit("pressluft-reboot.timer", render("systemd/reboot.timer")?).then("reboot-timer"),
        );
        tree.push(Item::link(
            wanted,
            "/etc/systemd/system/pressluft-reboot.timer",
        ));
    } else {
        tree.push(no_unit("pressluft-reboot.service"));
        tree.push(no_unit("pressluft-reboot.timer").then("no-reboot-timer"));
        tree.push(Item::absent(wanted));
    }

    // The kernel and the logs
    tree.push(
        Item::file(
            "/etc/sysctl.d/60-pressluft.conf",
            render("sysctl/pressluft.conf")?,
        )
        .then("sysctl"),
    );
    let wanted = "/etc/systemd/system/swap.target.wants/pressluft-swap.service";
    if swap.is_some() {
        tree.push(unit("pressluft-swap.service", render("systemd/swap.service")?).then("swap"));
        tree.push(Item::directory(
            "/etc/systemd/system/swap.target.wants",
            "0755",
        ));
        tree.push(Item::link(
            wanted,
            "/etc/systemd/system/pressluft-swap.service",
        ));
    }
    tree.push(Item::file(
        "/etc/logrotate.d/pressluft",
        render("logrotate/node.conf")?,
    ));
    drop_in(
        &mut tree,
        "logrotate.service",
        render("systemd/logrotate.conf")?,
    );
    tree.push(Item::directory("/etc/systemd/journald.conf.d", "0755"));
    tree.push(
        Item::file(
            "/etc/systemd/journald.conf.d/pressluft.conf",
            render("systemd/journald.conf")?,
        )
        .then("journald"),
    );
    for below in ["", "/renewal-hooks", "/renewal-hooks/deploy"] {
        tree.push(Item::directory(format!("/etc/letsencrypt{below}"), "0755"));
    }
    tree.push(
        Item::file(
            "/etc/letsencrypt/renewal-hooks/deploy/pressluft-nginx",
            render("certbot/deploy.sh")?,
        )
        .root("0755"),
    );
    Ok(tree.finish())
}

/// Handlers run in this order: the firewall knows a new SSH port before sshd does.
fn checks_and_reloads(tree: &mut Builder, versions: &[String], ubuntu: bool) {
    tree.validator("nginx", &["nginx", "-t"]);
    tree.validator("nft", &["nft", "-c", "-f", "%s"]);
    // sshd wants its directory, which the socket unit makes only with the first connection.
    tree.validator(
        "sshd",
        &["sh", "-c", "mkdir -p -m 0755 /run/sshd && exec sshd -t"],
    );

    tree.handler(
        "sysusers",
        &["systemd-sysusers", "/etc/sysusers.d/pressluft.conf"],
    );
    tree.handler("daemon-reload", &["systemctl", "daemon-reload"]);
    tree.handler(
        "tmpfiles",
        &[
            "systemd-tmpfiles",
            "--create",
            "/etc/tmpfiles.d/pressluft.conf",
        ],
    );
    // The group of those who see all has to be theirs before the rest is hidden from them.
    tree.handler(
        "proc",
        &[
            "sh",
            "-c",
            "systemctl try-restart systemd-logind polkit; systemctl restart pressluft-proc",
        ],
    );
    tree.handler("close-logs", &["chmod", "-R", "o=", "/var/log/nginx"]);
    tree.handler(
        "sysctl",
        &[
            "/usr/lib/systemd/systemd-sysctl",
            "/etc/sysctl.d/60-pressluft.conf",
        ],
    );
    tree.handler("journald", &["systemctl", "restart", "systemd-journald"]);
    tree.handler("nftables", &["nft", "-f", "/etc/nftables.conf"]);
    if ubuntu {
        tree.handler("ssh-socket", &["systemctl", "try-restart", "ssh.socket"]);
    }
    tree.handler("reload-ssh", &["systemctl", "try-reload-or-restart", "ssh"]);
    tree.handler("swap", &["systemctl", "restart", "pressluft-swap.service"]);
    tree.handler("restart-mariadb", &["systemctl", "restart", "mariadb"]);
    tree.handler("stop-redis", &["systemctl", "stop", "redis-server.service"]);
    for version in versions {
        let unit = format!("php{version}-fpm");
        tree.handler(
            format!("reload-php{version}"),
            &["systemctl", "reload-or-restart", &unit],
        );
    }
    tree.handler("reload-nginx", &["systemctl", "reload-or-restart", "nginx"]);
    tree.handler("fail2ban", &["systemctl", "reload-or-restart", "fail2ban"]);
    tree.handler(
        "upgrade-timer",
        &["systemctl", "try-restart", "apt-daily-upgrade.timer"],
    );
    tree.handler(
        "reboot-timer",
        &["systemctl", "restart", "pressluft-reboot.timer"],
    );
    tree.handler(
        "no-reboot-timer",
        &["systemctl", "stop", "pressluft-reboot.timer"],
    );
}

fn is_container(kind: &str) -> bool {
    matches!(
        kind,
        "systemd-nspawn" | "lxc" | "lxc-libvirt" | "docker" | "podman" | "openvz"
    )
}

fn fail2ban_allow(node: &Value, control_address: Option<&str>) -> Vec<String> {
    let listed = node["fail2ban"]["allow"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut addresses: Vec<String> = listed
        .iter()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect();
    addresses.extend(control_address.map(ToOwned::to_owned));
    addresses.dedup();
    addresses
}

/// `8080/tcp` as the words of a rule.
fn open_ports(node: &Value) -> Result<Vec<View>, RenderError> {
    let listed = node["firewall"]["open"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    listed
        .iter()
        .map(|value| {
            let text = value.as_str().unwrap_or_default();
            let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            match (port.parse::<u16>(), protocol) {
                (Ok(port), "tcp" | "udp") if port > 0 => Ok(context! { protocol, range => port }),
                _ => Err(RenderError::Value {
                    field: "firewall.open",
                    value: value.to_string(),
                    reason: "a port is written like `8080/tcp`",
                }),
            }
        })
        .collect()
}
