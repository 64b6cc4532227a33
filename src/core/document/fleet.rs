//! The kind `Fleet`: what holds for everything.

use super::choice::{Drift, choice};
use super::layer::{block, kind};
use super::scalar::{
    AcmeDirectory, AgeRecipient, BackupRepository, Batch, Count, Duration, Email, Grantee,
    HookPoint, HostName, Locale, Parallel, Percent, RelativePath, SecretPattern, SecretRef, Sha256,
    Sha512, Slug, Source, SourcePath, SourceUrl, Version, Window, WordPressSlug,
};
use super::{EnvironmentDefaults, NodeDefaults, SiteDefaults};
use crate::core::secret_owner::User;

choice! {
    /// The word `Fleet`.
    FleetKind {
        Fleet = "Fleet",
    }
}

choice! {
    /// What happens to a resource whose document disappeared.
    Prune {
        /// Report it and leave it alone.
        Report = "report",
        /// Destroy it, within `max_destroy`, after a verified final backup.
        Destroy = "destroy",
    }
}

choice! {
    /// How Ansible is run.
    AnsibleEngine {
        /// A process that stays loaded between jobs.
        Warm = "warm",
        /// One `ansible-playbook` for each attempt.
        Plain = "plain",
    }
}

choice! {
    /// A provider of DNS whose records can be changed to prove the ownership of a domain.
    DnsProvider {
        Cloudflare = "cloudflare",
        Digitalocean = "digitalocean",
        Dnsimple = "dnsimple",
        Dnsmadeeasy = "dnsmadeeasy",
        Gehirn = "gehirn",
        Google = "google",
        Linode = "linode",
        Luadns = "luadns",
        Nsone = "nsone",
        Ovh = "ovh",
        Rfc2136 = "rfc2136",
        Route53 = "route53",
        Sakuracloud = "sakuracloud",
    }
}

choice! {
    /// What a notification is sent about.
    NotifyEvent {
        /// A job failed for good, or a commit has errors or is not trusted.
        Failed = "failed",
        /// A resource that had failed works again.
        Recovered = "recovered",
        /// A node differs from what was applied.
        Drifted = "drifted",
        /// A job succeeded.
        Succeeded = "succeeded",
        /// A plan has steps that cannot run.
        Blocked = "blocked",
        /// A node cannot be reached.
        Unreachable = "unreachable",
        /// Nothing is left to do for a revision of the fleet repo.
        Converged = "converged",
    }
}

choice! {
    /// The shape of a notification.
    NotifyFormat {
        /// A JSON object of Pressluft's own.
        Json = "json",
        /// What Slack, Mattermost and Rocket.Chat read.
        Slack = "slack",
        /// What Discord reads.
        Discord = "discord",
        /// Plain text.
        Text = "text",
    }
}

kind! {
    /// What holds for the whole fleet. There is one, in `pressluft.yaml` at the root.
    FleetDocument, FleetDefaults => Fleet {
        own {
            /// The kind of this document.
            kind: FleetKind,
            /// The version of the document format.
            version: FormatVersion,
            /// The name of the fleet, for people.
            name: Slug,
            /// How secrets that stand in the fleet repo are encrypted, and who may use which.
            secrets: SecretsFields => Secrets,
            /// Who may change what.
            ownership: OwnershipFields => Ownership,
            /// Where environments can be seen before their domains point here.
            preview: PreviewFields => Preview,
            /// Where TLS certificates come from.
            acme: AcmeFields => Acme,
            /// Where backups go.
            backups: FleetBackupsFields => FleetBackups,
            /// How the fleet is kept the way the repository says.
            reconcile: ReconcileFields => Reconcile,
            /// How a change that concerns many resources is spread over them.
            rollout: RolloutFields => Rollout,
            /// How Ansible is run.
            ansible: AnsibleFields => Ansible,
            /// Playbooks of the fleet repo that run before or after jobs of a type.
            hooks: Vec<Hook> = Vec::new(),
            /// Where software is downloaded from, for mirrors and fleets without internet.
            sources: SourcesFields => Sources,
            /// Plugins that no site may have.
            deny_plugins: Vec<WordPressSlug> = Vec::new(),
            /// Settings laid under every document of a kind.
            defaults: DefaultsFields => Defaults,
            /// Who is told about what.
            notify: Vec<Notify> = Vec::new(),
        }
        shared {}
    }
}

/// The version of the document format, which is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bitcode::Encode, bitcode::Decode, serde::Serialize)]
#[serde(transparent)]
pub struct FormatVersion(u8);

impl<'de> serde::Deserialize<'de> for FormatVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Ok(Self(1)),
            _ => Err(serde::de::Error::custom("the only version is 1")),
        }
    }
}

impl schemars::JsonSchema for FormatVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FormatVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 1, "maximum": 1,
            "description": "The version of the document format.", "examples": [1],
        })
    }
}

block! {
    /// How secrets that stand in the fleet repo are encrypted, and who may use which.
    SecretsFields => Secrets {
        /// The age keys that `secrets/<name>.age` is encrypted to.
        recipients: Vec<AgeRecipient> = Vec::new(),
        /// Who may use secrets that are not their own. Those of a site are `sites/<site>/…`,
        /// those of a node `nodes/<node>/…`, all others are the fleet's.
        grants: Vec<Grant> = Vec::new(),
    }
}

/// Lets others than its owner use a secret.
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
pub struct Grant {
    /// The name of the secret, without `secret:`, or the beginning that several names share
    /// and `/*`.
    pub secret: SecretPattern,
    /// Who may use it.
    pub to: Vec<Grantee>,
}

impl Grant {
    /// Whether it is about the secret `name`.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.secret.covers(name)
    }

    /// Whether it is for `user`.
    #[must_use]
    pub fn is_for(&self, user: &User) -> bool {
        self.to.iter().any(|grantee| grantee.is(user))
    }
}

block! {
    /// Who may change what, for code owners of the git host.
    OwnershipFields => Ownership {
        /// Whether each document has to stand in the place of its owner: those of a site in
        /// `sites/<site>.yaml` or below `sites/<site>/`, nodes in `nodes.yaml` or below `nodes/`.
        by_path: bool = false,
    }
}

block! {
    /// Where environments can be seen before their domains point here.
    PreviewFields => Preview {
        /// A domain whose wildcard record points at the nodes; `<label>.<ip>.sslip.io` is
        /// used without it.
        domain?: HostName,
        /// How a wildcard certificate for the domain is obtained.
        dns01?: Dns01,
    }
}

/// How the ownership of a domain is proven by a DNS record.
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
pub struct Dns01 {
    /// Who serves the zone.
    pub provider: DnsProvider,
    /// The credentials file of the provider's certbot plugin.
    pub credentials: SecretRef,
}

block! {
    /// Where TLS certificates come from.
    AcmeFields => Acme {
        /// Who is told when a certificate is about to expire.
        email?: Email,
        /// The certificate authority.
        directory: AcmeDirectory = AcmeDirectory::standard(),
    }
}

block! {
    /// Where backups go.
    FleetBackupsFields => FleetBackups {
        /// The restic repository.
        repository?: BackupRepository,
        /// What restic needs to reach the repository: lines of `NAME=value`.
        credentials?: SecretRef,
        /// What the repository is encrypted with.
        password?: SecretRef,
    }
}

block! {
    /// How the fleet is kept the way the repository says.
    ReconcileFields => Reconcile {
        /// How often `pressluft serve` looks for a new commit.
        interval: Duration = Duration::seconds(60),
        /// What happens to a resource whose document disappeared.
        prune: Prune = Prune::Report,
        /// How much one plan may destroy.
        max_destroy: MaxDestroyFields => MaxDestroy,
        /// What to do about nodes that differ from what was applied.
        drift: Drift = Drift::Report,
        /// How many nodes are worked on at the same time.
        max_parallel_nodes: Parallel = Parallel::STANDARD,
        /// When `pressluft serve` may apply changes; always, when empty.
        windows: Vec<Window> = Vec::new(),
    }
}

block! {
    /// How much one plan may destroy; the smaller of the two counts.
    MaxDestroyFields => MaxDestroy {
        /// So many sites and environments.
        count: Count = Count::ONE,
        /// Such a share of them, in percent.
        percent: Percent = Percent::TENTH,
    }
}

block! {
    /// How a change that concerns many resources is spread over them.
    RolloutFields => Rollout {
        /// How many go first, alone.
        canary: Count = Count::ONE,
        /// How many go together after that: a count or a share.
        batch: Batch = Batch::Percent(Percent::QUARTER),
        /// How many may fail before the rest is held back.
        max_failures: Count = Count::ONE,
        /// How long to watch after each step.
        soak: Duration = Duration::seconds(120),
    }
}

block! {
    /// How Ansible is run.
    AnsibleFields => Ansible {
        /// `warm` keeps a process loaded between jobs, `plain` starts a new one each time.
        engine: AnsibleEngine = AnsibleEngine::Warm,
    }
}

/// A playbook of the fleet repo that runs before or after jobs of a type.
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
pub struct Hook {
    /// `before:` or `after:` and a job type, such as `after:env_deploy`.
    pub on: HookPoint,
    /// The playbook, from the root of the fleet repo.
    pub playbook: RelativePath,
}

block! {
    /// Where software is downloaded from. Without these, from the official places, checked
    /// against pinned checksums.
    SourcesFields => Sources {
        /// A `wordpress.zip`.
        wordpress: SourceFields => SourceFile,
        /// A `wp-cli.phar`.
        wp_cli: SourceFields => SourceFile,
        /// The `object-cache.php` of a plugin for Redis, one file.
        object_cache: SourceFields => SourceFile,
        /// A folder of `<plugin>.<version>.zip`: an address, or a path below the directory of
        /// sources of the control plane.
        plugins?: Source,
        /// Translations, as WordPress.org publishes them. Where there are any, nothing is asked of
        /// WordPress.org. Where one is for WordPress, a language of a site that none is for is an error.
        languages: Vec<LanguagePack> = Vec::new(),
    }
}

/// How many language packs a fleet may list.
pub const MOST_LANGUAGE_PACKS: usize = 1000;

/// The translations of WordPress, or of a plugin or a theme, into one language: a zip file.
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
pub struct LanguagePack {
    /// The language.
    pub locale: Locale,
    /// The plugin that it is for. Without a plugin or theme it is for WordPress, and may hold those
    /// of plugins and themes too, in the directories `plugins` and `themes`.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub plugin: Option<WordPressSlug>,
    /// The theme that it is for.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub theme: Option<WordPressSlug>,
    /// The version of it that it is for; all those that no other one is for, without it.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<Version>,
    /// A plain file below the directory of sources of the control plane (`sources.directory` of
    /// `pressluft.toml`).
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub path: Option<SourcePath>,
    /// The node downloads it from there.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub url: Option<SourceUrl>,
    /// The digest that the file must have.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sha256: Option<Sha256>,
    /// The same, for those who publish this one.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sha512: Option<Sha512>,
}

block! {
    /// A file that jobs take to nodes: where it is, and what it must be.
    SourceFields => SourceFile {
        /// A plain file below the directory of sources of the control plane (`sources.directory`
        /// of `pressluft.toml`).
        path?: SourcePath,
        /// The node downloads it from there.
        url?: SourceUrl,
        /// The digest that the file must have.
        sha256?: Sha256,
        /// The same, for those who publish this one.
        sha512?: Sha512,
    }
}

block! {
    /// Settings laid under every document of a kind. Maps merge key by key; lists and single
    /// values of a document replace these.
    DefaultsFields => Defaults {
        /// For every node.
        node&: NodeDefaults,
        /// For every site.
        site&: SiteDefaults,
        /// For every environment.
        environment&: EnvironmentDefaults,
    }
}

fn all_bad_news() -> Vec<NotifyEvent> {
    vec![
        NotifyEvent::Failed,
        NotifyEvent::Recovered,
        NotifyEvent::Drifted,
    ]
}

fn json() -> NotifyFormat {
    NotifyFormat::Json
}

/// Who is told about what.
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
pub struct Notify {
    /// The address that a notification is sent to; it often holds a key, so it is a secret.
    pub webhook: SecretRef,
    /// What to tell about.
    #[serde(default = "all_bad_news")]
    pub on: Vec<NotifyEvent>,
    /// The shape of the message.
    #[serde(default = "json")]
    pub format: NotifyFormat,
}
