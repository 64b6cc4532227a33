//! The templates: those in the binary, each replaceable by one from the fleet repo.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::context::Named;
use super::{RenderError, quoting};

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../ansible/templates/", $name)))),+]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "apt/auto-upgrades",
    "apt/unattended-upgrades",
    "apt/upgrade.timer",
    "certbot/deploy.sh",
    "fail2ban/jail.local",
    "fail2ban/login.conf",
    "fail2ban/xmlrpc.conf",
    "logrotate/environment.conf",
    "logrotate/node.conf",
    "mariadb/pressluft.cnf",
    "nftables/nftables.conf",
    "nginx/default.conf",
    "nginx/deny.conf",
    "nginx/htpasswd",
    "nginx/nginx.conf",
    "nginx/php.conf",
    "nginx/site.conf",
    "php/environment.ini",
    "php/fpm.conf",
    "php/node-pool.conf",
    "php/node.ini",
    "redis/acl.sh",
    "redis/redis.conf",
    "redis/user.acl",
    "ssh/socket.conf",
    "ssh/sshd.conf",
    "sysctl/pressluft.conf",
    "systemd/cron.service",
    "systemd/cron.timer",
    "systemd/journald.conf",
    "systemd/php.service",
    "systemd/php.socket",
    "systemd/proc-group.conf",
    "systemd/proc.service",
    "systemd/reboot.service",
    "systemd/reboot.timer",
    "systemd/redis.conf",
    "systemd/sandbox.conf",
    "systemd/swap.service",
    "systemd/sysusers.conf",
    "systemd/tmpfiles.conf",
    "wordpress/pressluft.php",
    "wordpress/wp-cli.yml",
    "wordpress/wp-config.php",
];

/// The source of every template by its path below `templates/`.
#[derive(Clone, Debug)]
pub struct Templates {
    sources: BTreeMap<&'static str, Cow<'static, str>>,
}

impl Templates {
    /// The templates of this version.
    #[must_use]
    pub fn embedded() -> Self {
        let sources = EMBEDDED
            .iter()
            .map(|(name, text)| (*name, Cow::Borrowed(*text)))
            .collect();
        Self { sources }
    }

    /// The paths of all templates, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.sources.keys().copied()
    }

    /// The same templates, but `text` for the one at `path`.
    ///
    /// # Errors
    /// [`RenderError::UnknownTemplate`] when there is nothing to replace at `path`.
    pub fn with_override(mut self, path: &str, text: String) -> Result<Self, RenderError> {
        let Some(source) = self.sources.get_mut(path) else {
            return Err(RenderError::UnknownTemplate(path.to_owned()));
        };
        *source = Cow::Owned(text);
        Ok(self)
    }

    /// Compiles all templates, for one tree.
    pub(super) fn renderer(&self, named: Named) -> Result<Renderer<'_>, RenderError> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_auto_escape_callback(|_| AutoEscape::None);
        let mut syntax = SyntaxConfig::builder();
        syntax
            .keep_trailing_newline(true)
            .trim_blocks(true)
            .lstrip_blocks(true);
        engine.set_syntax(
            syntax
                .build()
                .map_err(|error| failure("(syntax)", &error))?,
        );
        add_filters(&mut engine, named);
        for (name, source) in &self.sources {
            engine
                .add_template(name, source)
                .map_err(|error| failure(name, &error))?;
        }
        Ok(Renderer { engine })
    }
}

/// Templates that are ready to render.
#[derive(Debug)]
pub(super) struct Renderer<'a> {
    engine: Environment<'a>,
}

impl Renderer<'_> {
    pub(super) fn render(&self, name: &str, context: &Value) -> Result<String, RenderError> {
        self.engine
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(|error| failure(name, &error))
    }
}

/// The reason without the values: they may be secrets.
fn failure(name: &str, error: &Error) -> RenderError {
    let mut reason = match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    if let Some(line) = error.line() {
        reason = format!("line {line}: {reason}");
    }
    RenderError::Template {
        template: name.to_owned(),
        reason,
    }
}

fn add_filters(engine: &mut Environment<'_>, named: Named) {
    engine.add_filter("php_single_quoted", |text: &str| {
        quoting::php_single_quoted(text)
    });
    engine.add_filter("php_value", |value: Value| quoting::php_value(&value));
    engine.add_filter("nginx_literal", |text: &str| quoting::nginx_literal(text));
    engine.add_filter("nginx_value", |text: &str| quoting::nginx_value(text));
    engine.add_filter("header_name", |text: &str| quoting::header_name(text));
    engine.add_filter("host_name", |text: &str| quoting::host_name(text));
    engine.add_filter("ini_key", |text: &str| quoting::ini_key(text));
    engine.add_filter("ini_value", |value: Value| quoting::ini_value(&value));
    engine.add_filter("ip_network", |text: &str| quoting::ip_network(text));
    engine.add_filter("ip_family", |text: &str| quoting::ip_family(text));
    engine.add_filter("package_name", |text: &str| quoting::package_name(text));
    engine.add_filter("htpasswd_user", |text: &str| quoting::htpasswd_user(text));
    engine.add_filter("sha256", |text: &str| quoting::sha256(text));
    engine.add_filter("resolve", move |value: Value| -> Result<Value, Error> {
        let Some(text) = value.as_str() else {
            return Ok(value);
        };
        match named.resolve(text) {
            Ok(text) => Ok(Value::from(text)),
            Err(error) => Err(Error::new(ErrorKind::InvalidOperation, error.to_string())),
        }
    });
}

/// Any value as templates see it.
pub(super) fn seen<T: serde::Serialize>(value: T) -> Value {
    Value::from(Serde(value))
}
