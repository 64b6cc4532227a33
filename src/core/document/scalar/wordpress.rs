//! Names that end up in the files of PHP, WordPress and nginx.

use super::{Malformed, Scalar, only, printable, quoted, scalar_impls, text_scalar};
use crate::core::document::read::nearest;
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

/// The settings of PHP that a document may set, sorted. None of them names a file, a program, a
/// library or a function: PHP loads some of those before any code of the site runs, and wherever it
/// is started.
const INI: &[&str] = &[
    "allow_url_fopen",
    "arg_separator.input",
    "arg_separator.output",
    "auto_globals_jit",
    "bcmath.scale",
    "date.default_latitude",
    "date.default_longitude",
    "date.timezone",
    "default_charset",
    "default_mimetype",
    "default_socket_timeout",
    "display_errors",
    "display_startup_errors",
    "enable_post_data_reading",
    "error_reporting",
    "exif.decode_jis_intel",
    "exif.decode_jis_motorola",
    "exif.decode_unicode_intel",
    "exif.decode_unicode_motorola",
    "exif.encode_jis",
    "exif.encode_unicode",
    "expose_php",
    "gd.jpeg_ignore_warning",
    "hard_timeout",
    "html_errors",
    "igbinary.compact_strings",
    "ignore_repeated_errors",
    "ignore_repeated_source",
    "ignore_user_abort",
    "imagick.locale_fix",
    "imagick.progress_monitor",
    "imagick.skip_version_check",
    "implicit_flush",
    "internal_encoding",
    "intl.default_locale",
    "intl.error_level",
    "intl.use_exceptions",
    "max_execution_time",
    "max_file_uploads",
    "max_input_nesting_level",
    "max_input_time",
    "max_input_vars",
    "max_multipart_body_parts",
    "mbstring.detect_order",
    "mbstring.http_output_conv_mimetypes",
    "mbstring.language",
    "mbstring.regex_retry_limit",
    "mbstring.regex_stack_limit",
    "mbstring.strict_detection",
    "mbstring.substitute_character",
    "mysqli.allow_persistent",
    "mysqli.max_links",
    "mysqli.max_persistent",
    "opcache.dups_fix",
    "opcache.enable",
    "opcache.enable_cli",
    "opcache.enable_file_override",
    "opcache.file_update_protection",
    "opcache.force_restart_timeout",
    "opcache.huge_code_pages",
    "opcache.interned_strings_buffer",
    "opcache.jit",
    "opcache.jit_buffer_size",
    "opcache.jit_hot_func",
    "opcache.jit_hot_loop",
    "opcache.jit_hot_return",
    "opcache.jit_hot_side_exit",
    "opcache.max_accelerated_files",
    "opcache.max_file_size",
    "opcache.max_wasted_percentage",
    "opcache.optimization_level",
    "opcache.protect_memory",
    "opcache.record_warnings",
    "opcache.revalidate_freq",
    "opcache.revalidate_path",
    "opcache.save_comments",
    "opcache.use_cwd",
    "opcache.validate_permission",
    "opcache.validate_root",
    "opcache.validate_timestamps",
    "output_buffering",
    "pcre.backtrack_limit",
    "pcre.jit",
    "pcre.recursion_limit",
    "post_max_size",
    "precision",
    "realpath_cache_size",
    "realpath_cache_ttl",
    "register_argc_argv",
    "request_order",
    "serialize_precision",
    "session.cache_expire",
    "session.cache_limiter",
    "session.cookie_domain",
    "session.cookie_httponly",
    "session.cookie_lifetime",
    "session.cookie_path",
    "session.cookie_samesite",
    "session.cookie_secure",
    "session.gc_divisor",
    "session.gc_maxlifetime",
    "session.gc_probability",
    "session.lazy_write",
    "session.name",
    "session.referer_check",
    "session.serialize_handler",
    "session.sid_bits_per_character",
    "session.sid_length",
    "session.trans_sid_hosts",
    "session.trans_sid_tags",
    "session.upload_progress.cleanup",
    "session.upload_progress.enabled",
    "session.upload_progress.freq",
    "session.upload_progress.min_freq",
    "session.upload_progress.name",
    "session.upload_progress.prefix",
    "session.use_cookies",
    "session.use_only_cookies",
    "session.use_strict_mode",
    "session.use_trans_sid",
    "short_open_tag",
    "soap.wsdl_cache",
    "soap.wsdl_cache_enabled",
    "soap.wsdl_cache_limit",
    "soap.wsdl_cache_ttl",
    "unserialize_max_depth",
    "upload_max_filesize",
    "url_rewriter.hosts",
    "url_rewriter.tags",
    "user_agent",
    "variables_order",
    "zend.assertions",
    "zend.detect_unicode",
    "zend.enable_gc",
    "zend.exception_ignore_args",
    "zend.exception_string_param_max_len",
    "zend.multibyte",
    "zlib.output_compression",
    "zlib.output_compression_level",
];

fn ini_key(text: &str) -> Result<(), Malformed> {
    if INI.binary_search(&text).is_ok() {
        return Ok(());
    }
    if text == "memory_limit" {
        return Err(
            Malformed::new("`memory_limit` is set by `php.memory`").hint("use `php.memory`")
        );
    }
    let message = format!(
        "{} is not among the settings of PHP that a document may set",
        quoted(text)
    );
    let near = nearest(text, INI.iter().copied());
    Err(Malformed::new(message).hint(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it; docs/nodes.md says which there are".to_owned(),
    }))
}

/// What `wp-config.php` gets from Pressluft itself, and what moves or leaves out the files that WordPress reads: the must-use
/// plugin that keeps mail, search engines and the theme in their place is one of them.
const MANAGED_CONSTANTS: [&str; 45] = [
    "ABSPATH",
    "AUTH_KEY",
    "AUTH_SALT",
    "BLOGUPLOADDIR",
    "DB_CHARSET",
    "DB_COLLATE",
    "DB_HOST",
    "DB_NAME",
    "DB_PASSWORD",
    "DB_USER",
    "DISABLE_WP_CRON",
    "LANGDIR",
    "LOGGED_IN_KEY",
    "LOGGED_IN_SALT",
    "MUPLUGINDIR",
    "NONCE_KEY",
    "NONCE_SALT",
    "PLUGINDIR",
    "SECURE_AUTH_KEY",
    "SECURE_AUTH_SALT",
    "SHORTINIT",
    "STYLESHEETPATH",
    "TEMPLATEPATH",
    "UPLOADBLOGSDIR",
    "UPLOADS",
    "WPINC",
    "WPMU_PLUGIN_DIR",
    "WPMU_PLUGIN_URL",
    "WP_CACHE",
    "WP_CACHE_KEY_SALT",
    "WP_CONTENT_DIR",
    "WP_CONTENT_URL",
    "WP_ENVIRONMENT_TYPE",
    "WP_HOME",
    "WP_INSTALLING",
    "WP_LANG_DIR",
    "WP_PLUGIN_DIR",
    "WP_PLUGIN_URL",
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
