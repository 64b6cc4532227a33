//! An environment's own PHP: its units, its settings, and what it may take of the node.

use serde_json::Value;

use super::units::unit;
use super::values::bytes;
use super::{Builder, Item, RenderError};
use crate::core::names::EnvironmentNames;

const MIB: u64 = 1 << 20;
/// What the programs of PHP take beside what scripts do.
const PHP_MEGABYTES: u64 = 128;
/// WP-CLI itself and the files of WordPress, beside what scripts take.
const CLI_MEGABYTES: u64 = 192;

/// What one environment may take of the node.
pub(super) struct Limits {
    pub(super) memory_megabytes: u64,
    pub(super) cron_megabytes: u64,
    pub(super) tasks: u64,
}

impl Limits {
    pub(super) fn of(env: &Value, node: &Value) -> Result<Self, RenderError> {
        let workers = &env["php"]["workers"];
        let workers = workers
            .as_u64()
            .ok_or(RenderError::Missing("`php.workers`"))?;
        let script = bytes(&env["php"]["memory"], "php.memory")?
            .ok_or(RenderError::Missing("`php.memory`"))?
            .div_ceil(MIB);
        let opcache = bytes(&node["php"]["opcache"], "php.opcache")?
            .ok_or(RenderError::Missing("`php.opcache`"))?;
        Ok(Self {
            memory_megabytes: workers
                .saturating_mul(script)
                .saturating_add(opcache.div_ceil(MIB) + PHP_MEGABYTES),
            cron_megabytes: script.saturating_add(CLI_MEGABYTES),
            tasks: workers.saturating_mul(8).saturating_add(16),
        })
    }
}

/// The files of an environment's own PHP.
pub(super) struct Php {
    pub(super) fpm: String,
    pub(super) ini: String,
    /// Whether the settings hold a secret.
    pub(super) secret: bool,
    pub(super) service: String,
    pub(super) socket: String,
}

impl Php {
    pub(super) fn place(self, tree: &mut Builder, names: &EnvironmentNames, versions: &[String]) {
        let system = names.system.as_str();
        for below in ["", "/php"] {
            tree.push(Item::directory(format!("/etc/pressluft{below}"), "0711"));
        }
        let folder = format!("/etc/pressluft/php/{system}");
        tree.push(Item::directory(&folder, "0750").owned("root", system, Some("0750")));
        let own = |name: &str, content: String| {
            Item::file(format!("{folder}/{name}"), content)
                .owned("root", system, Some("0640"))
                .checked("php-fpm")
                .then("reload-php")
        };
        let check = Item::file(format!("{folder}/check.conf"), without_logs(&self.fpm));
        tree.push(check.owned("root", system, Some("0640")).checked("php-fpm"));
        tree.push(own("fpm.conf", self.fpm));
        let mut ini = own("environment.ini", self.ini);
        ini.sensitive = self.secret;
        tree.push(ini);

        let socket = format!("pressluft-php-{system}.socket");
        let service = format!("pressluft-php-{system}.service");
        tree.push(unit(&service, self.service).then("restart-php"));
        tree.push(unit(&socket, self.socket).then("php-socket"));
        let wanted = "/etc/systemd/system/sockets.target.wants";
        tree.push(Item::directory(wanted, "0755"));
        tree.push(
            Item::link(
                format!("{wanted}/{socket}"),
                format!("/etc/systemd/system/{socket}"),
            )
            .then("daemon-reload"),
        );
        // Where environments shared one PHP, each had a file here.
        for version in versions {
            let pool = format!("/etc/php/{version}/fpm/pool.d/{system}.conf");
            tree.push(Item::absent(pool).then(format!("reload-php{version}")));
        }
    }
}

/// The settings of PHP-FPM with nothing in the place of each log that reading them opens.
fn without_logs(settings: &str) -> String {
    settings
        .split_inclusive('\n')
        .map(|line| match line.split_once('=') {
            Some((name, _)) if matches!(name.trim(), "error_log" | "slowlog" | "access.log") => {
                format!("{} = /dev/null\n", name.trim())
            }
            _ => line.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::without_logs;

    #[test]
    fn a_check_opens_no_log() {
        let settings = "[global]\nerror_log = /a/php-fpm.log\n[pool]\n  slowlog=/a/slow.log\n\
                        request_slowlog_timeout = 5s\naccess.log\t= /a/access.log\n\
                        php_admin_value[error_log] = /a/php.log";
        assert_eq!(
            without_logs(settings),
            "[global]\nerror_log = /dev/null\n[pool]\nslowlog = /dev/null\n\
             request_slowlog_timeout = 5s\naccess.log = /dev/null\n\
             php_admin_value[error_log] = /a/php.log"
        );
    }
}
