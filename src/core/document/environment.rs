//! The kind `Environment`: production, staging or a clone of a site.

use super::Moved;
use super::choice::{Drift, choice};
use super::layer::{block, kind};
use super::scalar::{
    BackupId, Cidr, ConstantName, CookieName, Date, Duration, GitRef, HeaderName, HostName,
    HttpStatus, IniKey, Keep, OptionName, PhpSize, PhpVersion, Rate, RedirectStatus,
    RedirectTarget, RelativePath, Schedule, SecretRef, Slug, SshPublicKey, TableName, Text, Token,
    UnixUser, UrlPath, Value, WafRule, Workers,
};

choice! {
    /// The word `Environment`.
    EnvironmentKind {
        Environment = "Environment",
    }
}

choice! {
    /// What an environment is for.
    EnvironmentType {
        /// What the public sees; every site has exactly one.
        Production = "production",
        /// A copy for preparing changes, which can be promoted.
        Staging = "staging",
        /// A copy for trying things out.
        Clone = "clone",
    }
}

choice! {
    /// How the certificate authority checks that a domain points here.
    Challenge {
        /// By a file that the web server serves.
        Http01 = "http-01",
        /// By a DNS record, through the fleet's `preview.dns01`.
        Dns01 = "dns-01",
    }
}

choice! {
    /// What the web application firewall does.
    WafMode {
        /// Nothing.
        Off = "off",
        /// Write down what it would block.
        Log = "log",
        /// Block.
        Block = "block",
    }
}

choice! {
    /// What happens to mail that WordPress sends.
    Mail {
        /// It is sent.
        Send = "send",
        /// It is kept on the node for reading and not sent.
        Capture = "capture",
        /// It is thrown away.
        Drop = "drop",
    }
}

choice! {
    /// Where the uploads of a copy come from.
    Uploads {
        /// They are copied.
        Copy = "copy",
        /// Missing ones are fetched from the environment that it was copied from.
        Proxy = "proxy",
        /// There are none.
        None = "none",
    }
}

choice! {
    /// What a backup holds.
    BackupScope {
        /// The database.
        Db = "db",
        /// The files.
        Files = "files",
        /// Both.
        Full = "full",
    }
}

choice! {
    /// What of production a promotion leaves alone.
    PromotionPreset {
        /// Posts, terms, comments and uploads.
        ContentProtect = "content-protect",
        /// Those, and the orders and customers of WooCommerce.
        CommerceProtect = "commerce-protect",
    }
}

kind! {
    /// An environment of a site: production, staging or a clone.
    EnvironmentDocument, EnvironmentDefaults => Environment {
        own {
            /// The kind of this document.
            kind: EnvironmentKind,
            /// The site that it belongs to.
            site: Slug,
            /// The name of the environment; its id is `env/<site>/<name>`.
            name: Slug,
            /// What the environment is for.
            r#type: EnvironmentType,
            /// The environment of the same site that a staging or clone is made from.
            from?: Slug,
            /// How long a staging or clone lives.
            expires?: Duration,
            /// The domains that visitors use; only the preview URL without them.
            domains: Vec<Domain> = Vec::new(),
            /// Brings what this environment has to another one of the site, once.
            promote?: Promote,
            /// Brings what another environment of the site has here, once.
            sync?: Sync,
            /// Brings a backup back, once.
            restore?: Restore,
            /// The id that the environment had before it was renamed.
            moved?: Moved,
        }
        shared {
            /// The node that it runs on; the site's without it.
            node?: Slug,
            /// What differs from the site's `code`.
            code: EnvironmentCodeFields => EnvironmentCode,
            /// How PHP runs.
            php: PhpFields => Php,
            /// What is cached.
            cache: CacheFields => Cache,
            /// How the web server answers.
            http: HttpFields => Http,
            /// What keeps a copy from being taken for the real site.
            safety: SafetyFields => Safety,
            /// Scheduled tasks of WordPress.
            cron: CronFields => Cron,
            /// Users who may transfer files.
            sftp: Vec<SftpUser> = Vec::new(),
            /// Constants of `wp-config.php`.
            constants%: ConstantName => Value,
            /// Options of WordPress that Pressluft keeps.
            options%: OptionName => Value,
            /// Regular backups.
            backups: BackupsFields => Backups,
            /// What a promotion to this environment leaves alone.
            promotion: PromotionFields => Promotion,
            /// When the environment counts as healthy.
            health: HealthFields => Health,
            /// Whether visitors see a maintenance page.
            maintenance: bool = false,
            /// What to do about drift; the fleet's `reconcile.drift` without it.
            drift?: Drift,
            /// Whether the environment may never be destroyed. It is recorded, so taking it
            /// out and removing the environment take two commits.
            protect: bool = false,
            /// Whether all jobs of the environment are held back.
            suspend: bool = false,
        }
    }
}

block! {
    /// What differs from the site's `code`.
    EnvironmentCodeFields => EnvironmentCode {
        /// The tag, branch or commit; the site's without it.
        r#ref?: GitRef,
    }
}

/// A domain of an environment.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// The domain name.
    pub name: HostName,
    /// Whether it is the address of the site, to which WordPress sends visitors.
    #[serde(default)]
    pub primary: bool,
    /// Whether it only leads to the primary domain.
    #[serde(default)]
    pub redirect: bool,
    /// How the certificate authority checks the domain; `http-01` without it.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub challenge: Option<Challenge>,
}

block! {
    /// How PHP runs.
    PhpFields => Php {
        /// The version; the node must have it.
        version: PhpVersion = PhpVersion::standard(),
        /// How much memory one request may take (`memory_limit`).
        memory: PhpSize = PhpSize::mebibytes(256),
        /// How many requests run at the same time.
        workers: Workers = Workers::FEW,
        /// Other settings of PHP.
        ini%: IniKey => Value,
    }
}

block! {
    /// What is cached.
    CacheFields => Cache {
        /// Whether whole pages are cached for visitors who are not logged in.
        page: bool = false,
        /// Whether WordPress keeps objects in Redis.
        object: bool = false,
        /// How long a page stays in the cache.
        ttl: Duration = Duration::seconds(600),
        /// Paths that are never cached, besides those that WordPress and WooCommerce need.
        bypass_paths: Vec<UrlPath> = Vec::new(),
        /// Cookies whose visitors get no cached pages, besides those of WordPress.
        bypass_cookies: Vec<CookieName> = Vec::new(),
        /// Empties the cache, once.
        purge?: Purge,
    }
}

/// Empties the cache, once.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// Runs once for each token, ever.
    pub token: Token,
}

block! {
    /// How the web server answers.
    HttpFields => Http {
        /// Asks for a name and a password.
        basic_auth?: BasicAuth,
        /// Addresses that lead elsewhere.
        redirects: Vec<Redirect> = Vec::new(),
        /// Headers that every answer gets.
        headers%: HeaderName => Text,
        /// Whether browsers are told to use TLS only. They remember it for a year.
        hsts: bool = false,
        /// The web application firewall.
        waf: WafFields => Waf,
        /// Whether `xmlrpc.php` answers.
        xmlrpc: bool = false,
        /// How many requests one address may make.
        rate_limit?: Rate,
        /// The networks that may see the site; all, when empty.
        ip_allow: Vec<Cidr> = Vec::new(),
    }
}

/// Asks for a name and a password.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The name.
    pub user: UnixUser,
    /// The password.
    pub password: SecretRef,
}

fn permanently() -> RedirectStatus {
    RedirectStatus::permanently()
}

/// An address that leads elsewhere.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// The path that leads elsewhere.
    pub from: UrlPath,
    /// Where it leads.
    pub to: RedirectTarget,
    /// The status of the answer: 301, 302, 307 or 308.
    #[serde(default = "permanently")]
    pub status: RedirectStatus,
}

block! {
    /// The web application firewall.
    WafFields => Waf {
        /// What it does.
        mode: WafMode = WafMode::Off,
        /// Rules that are left out.
        exclude: Vec<WafRule> = Vec::new(),
    }
}

block! {
    /// What keeps a copy from being taken for the real site. The defaults of production are
    /// those of a public site, and those of staging and clones are safe.
    SafetyFields => Safety {
        /// Whether search engines are kept away; true except on production.
        noindex!: bool,
        /// What happens to mail; `capture` except on production, where it is sent.
        mail!: Mail,
        /// Asks for a name and a password: a secret of the form `user:password`.
        basic_auth?: SecretRef,
        /// Whether WordPress may make requests to other hosts.
        outbound_http: bool = true,
        /// Where uploads come from when the environment is made.
        uploads: Uploads = Uploads::Copy,
    }
}

block! {
    /// Scheduled tasks of WordPress.
    CronFields => Cron {
        /// How often tasks that are due are run; `0s` is never. Without it every five minutes
        /// in production, and never in a copy: a copy must not send what production sends.
        interval!: Duration,
    }
}

/// A user who may transfer files.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct SftpUser {
    /// The name, unique in the environment.
    pub name: Slug,
    /// The public keys that may log in.
    pub keys: Vec<SshPublicKey>,
    /// The last day of the access.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<Date>,
}

block! {
    /// Regular backups.
    BackupsFields => Backups {
        /// When; never without it.
        schedule?: Schedule,
        /// What a backup holds.
        scope: BackupScope = BackupScope::Full,
        /// How many are kept.
        keep: RetentionFields => Retention,
        /// Whether each backup is read back after it was made.
        verify: bool = true,
    }
}

block! {
    /// How many backups are kept.
    RetentionFields => Retention {
        /// The last one of so many days.
        daily: Keep = Keep::WEEK,
        /// The last one of so many weeks.
        weekly: Keep = Keep::MONTH,
        /// The last one of so many months.
        monthly: Keep = Keep::HALF_YEAR,
    }
}

block! {
    /// What a promotion to this environment leaves alone.
    PromotionFields => Promotion {
        /// A list of tables and paths for a kind of site.
        preset: PromotionPreset = PromotionPreset::ContentProtect,
        /// Further tables, without the prefix.
        tables: Vec<TableName> = Vec::new(),
        /// Further paths.
        paths: Vec<RelativePath> = Vec::new(),
    }
}

/// Brings what this environment has to another one of the site, once.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// The environment that gets it.
    pub to: Slug,
    /// Runs once for each token, ever.
    pub token: Token,
}

fn yes() -> bool {
    true
}

/// Brings what another environment of the site has here, once.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// The environment that it comes from.
    pub from: Slug,
    /// Runs once for each token, ever.
    pub token: Token,
    /// Whether the database comes along.
    #[serde(default = "yes")]
    pub db: bool,
    /// Whether the files come along.
    #[serde(default = "yes")]
    pub files: bool,
    /// Whether names, addresses and orders of people are replaced on the way.
    #[serde(default)]
    pub scrub: bool,
}

/// Brings a backup back, once.
#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    bitcode::Encode,
    bitcode::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Which one.
    pub backup: BackupId,
    /// Runs once for each token, ever.
    pub token: Token,
}

block! {
    /// When the environment counts as healthy.
    HealthFields => Health {
        /// The pages that are looked at.
        paths: Vec<UrlPath> = vec![UrlPath::root()],
        /// The status that they must answer with.
        expect: HttpStatus = HttpStatus::OK,
        /// How long an answer may take.
        timeout: Duration = Duration::seconds(10),
        /// When it is also looked at without a change; never without it.
        schedule?: Schedule,
    }
}
