//! Names that end up in the files of PHP, WordPress and nginx.

use super::{Malformed, Scalar, only, printable, quoted, scalar_impls, text_scalar};
use crate::core::id::ResourceId;

text_scalar! {
    /// A PHP version: major and minor number.
    PhpVersion, "php-version", ["8.2", "8.3", "8.4"], php_version
}

text_scalar! {
    /// The name of a PHP setting.
    IniKey, "php-ini-key", ["upload_max_filesize", "opcache.jit"], ini_key
}

text_scalar! {
    /// The name of a PHP constant.
    ConstantName, "php-constant", ["WP_DEBUG", "DISALLOW_FILE_EDIT"], constant_name
}

text_scalar! {
    /// The name of a WordPress option.
    OptionName, "option-name", ["posts_per_page"], option_name
}

text_scalar! {
    /// The name of a cookie.
    CookieName, "cookie-name", ["acme_no_cache"], cookie_name
}

text_scalar! {
    /// The name of an HTTP header.
    HeaderName, "header-name", ["X-Frame-Options"], header_name
}

text_scalar! {
    /// The slug of a plugin or theme.
    WordPressSlug, "wordpress-slug", ["woocommerce", "twentytwentyfive"], wordpress_slug
}

text_scalar! {
    /// The name of a database table, without the site's prefix.
    TableName, "table-name", ["posts", "woocommerce_order_items"], table_name
}

text_scalar! {
    /// The number of a firewall rule.
    WafRule, "waf-rule", ["942100"], waf_rule
}

impl PhpVersion {
    /// The version of a node and an environment that name none.
    #[must_use]
    pub fn standard() -> Self {
        Self("8.2".to_owned())
    }
}

fn php_version(text: &str) -> Result<(), Malformed> {
    let known = ["8.2", "8.3", "8.4", "8.5"];
    if known.contains(&text) {
        return Ok(());
    }
    Err(
        Malformed::new(format!("{} is not a supported PHP version", quoted(text)))
            .hint("write one of `8.2`, `8.3`, `8.4`, `8.5`"),
    )
}

/// Settings that decide where PHP of one environment may look, which the pool fixes.
const FIXED_INI: [&str; 14] = [
    "open_basedir",
    "disable_functions",
    "disable_classes",
    "extension",
    "zend_extension",
    "extension_dir",
    "auto_prepend_file",
    "auto_append_file",
    "sendmail_path",
    "session.save_path",
    "sys_temp_dir",
    "upload_tmp_dir",
    "error_log",
    "memory_limit",
];

fn ini_key(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
    only(
        text,
        "the name of a PHP setting",
        80,
        allowed,
        "lower-case letters, digits, `.`, `_`",
    )?;
    if text == "memory_limit" {
        return Err(
            Malformed::new("`memory_limit` is set by `php.memory`").hint("use `php.memory`")
        );
    }
    if FIXED_INI.contains(&text) {
        return Err(Malformed::new(format!("`{text}` is managed by Pressluft")).hint("remove it"));
    }
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('.') {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "{} is not the name of a PHP setting",
        quoted(text)
    )))
}

/// What `wp-config.php` gets from Pressluft itself.
const MANAGED_CONSTANTS: [&str; 29] = [
    "ABSPATH",
    "AUTH_KEY",
    "AUTH_SALT",
    "DB_CHARSET",
    "DB_COLLATE",
    "DB_HOST",
    "DB_NAME",
    "DB_PASSWORD",
    "DB_USER",
    "DISABLE_WP_CRON",
    "LOGGED_IN_KEY",
    "LOGGED_IN_SALT",
    "NONCE_KEY",
    "NONCE_SALT",
    "SECURE_AUTH_KEY",
    "SECURE_AUTH_SALT",
    "WP_CACHE",
    "WP_CACHE_KEY_SALT",
    "WP_CONTENT_DIR",
    "WP_CONTENT_URL",
    "WP_ENVIRONMENT_TYPE",
    "WP_HOME",
    "WP_REDIS_HOST",
    "WP_REDIS_PASSWORD",
    "WP_REDIS_PATH",
    "WP_REDIS_PREFIX",
    "WP_REDIS_SCHEME",
    "WP_REDIS_USERNAME",
    "WP_SITEURL",
];

fn constant_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    only(
        text,
        "the name of a constant",
        100,
        allowed,
        "letters, digits and `_`",
    )?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(
            Malformed::new(format!("{} is not the name of a constant", quoted(text)))
                .hint("begin with a letter"),
        );
    }
    let upper = text.to_ascii_uppercase();
    if matches!(upper.as_str(), "TRUE" | "FALSE" | "NULL") || upper.starts_with("__") {
        return Err(Malformed::new(format!("`{text}` is a word of PHP itself")));
    }
    if MANAGED_CONSTANTS.contains(&upper.as_str()) {
        return Err(Malformed::new(format!("`{text}` is managed by Pressluft")).hint("remove it"));
    }
    Ok(())
}

/// Options that other fields decide, or that would take a site away from its owner.
const MANAGED_OPTIONS: [&str; 8] = [
    "siteurl",
    "home",
    "blog_public",
    "blogname",
    "active_plugins",
    "template",
    "stylesheet",
    "admin_email",
];

fn option_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    only(
        text,
        "the name of an option",
        191,
        allowed,
        "letters, digits, `_`, `-`, `.` and `:`",
    )?;
    if text.starts_with('-') {
        return Err(
            Malformed::new(format!("{} is not the name of an option", quoted(text)))
                .hint("begin with a letter or `_`"),
        );
    }
    if MANAGED_OPTIONS.contains(&text) {
        return Err(Malformed::new(format!("`{text}` is managed by Pressluft")).hint("remove it"));
    }
    Ok(())
}

fn cookie_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    only(
        text,
        "the name of a cookie",
        100,
        allowed,
        "letters, digits, `_`, `-` and `.`",
    )
}

fn header_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    only(
        text,
        "the name of a header",
        80,
        allowed,
        "letters, digits and `-`",
    )?;
    if text.starts_with('-') || text.ends_with('-') {
        return Err(Malformed::new(format!(
            "{} is not the name of a header",
            quoted(text)
        )));
    }
    let lower = text.to_ascii_lowercase();
    if lower == "strict-transport-security" {
        return Err(Malformed::new("HSTS is set by `http.hsts`").hint("use `http.hsts`"));
    }
    let managed = [
        "connection",
        "content-length",
        "content-encoding",
        "date",
        "server",
        "transfer-encoding",
    ];
    if managed.contains(&lower.as_str()) {
        return Err(Malformed::new(format!("`{text}` is set by the web server")).hint("remove it"));
    }
    Ok(())
}

fn wordpress_slug(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    only(
        text,
        "the slug of a plugin or theme",
        100,
        allowed,
        "letters, digits, `-`, `_`, `.`",
    )?;
    if text.starts_with(['-', '.']) || text.contains("..") {
        return Err(Malformed::new(format!(
            "{} is not the slug of a plugin or theme",
            quoted(text)
        )));
    }
    Ok(())
}

fn table_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    only(
        text,
        "the name of a table",
        60,
        allowed,
        "letters, digits and `_`",
    )
}

fn waf_rule(text: &str) -> Result<(), Malformed> {
    only(
        text,
        "the number of a rule",
        10,
        |c| c.is_ascii_digit(),
        "digits",
    )
}

/// The id of a resource, as in `moved.from`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct ResourceRef(String);

impl ResourceRef {
    /// The id, or none for text that was never one.
    #[must_use]
    pub fn id(&self) -> Option<ResourceId> {
        self.0.parse().ok()
    }
}

impl std::fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for ResourceRef {
    const FORMAT: &'static str = "resource-id";
    const DESCRIPTION: &'static str = "The id of a node, site or environment.";
    const EXAMPLES: &'static [&'static str] = &["node/web-1", "site/acme", "env/acme/staging"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        printable(text)?;
        let slugs = text
            .split('/')
            .skip(1)
            .all(|part| super::Slug::parse(part).is_ok());
        match text.parse::<ResourceId>() {
            Ok(id) if slugs && id != ResourceId::Fleet => Ok(Self(id.to_string())),
            _ => Err(
                Malformed::new(format!("{} is not the id of a resource", quoted(text)))
                    .hint("write `node/NAME`, `site/NAME` or `env/SITE/NAME`"),
            ),
        }
    }
}

scalar_impls!(ResourceRef);
