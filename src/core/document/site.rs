//! The kind `Site`: one WordPress with all its environments.

use super::Moved;
use super::choice::choice;
use super::layer::{block, kind};
use super::scalar::{
    Command, Email, GitRef, GitUrl, Locale, RelativePath, Releases, Sha256, Slug, Source, Text,
    Token, UnixUser, Version, Window, WordPressSlug,
};

choice! {
    /// The word `Site`.
    SiteKind {
        Site = "Site",
    }
}

choice! {
    /// Whether a plugin or theme is there and works.
    ExtensionState {
        /// Installed and active.
        Active = "active",
        /// Installed and not active.
        Inactive = "inactive",
        /// Not installed; removed when found.
        Absent = "absent",
    }
}

choice! {
    /// A part of WordPress that can be updated.
    UpdateScope {
        /// WordPress itself.
        Core = "core",
        /// Plugins.
        Plugins = "plugins",
        /// Themes.
        Themes = "themes",
        /// Translations.
        Translations = "translations",
    }
}

kind! {
    /// One WordPress with all its environments. A site needs an environment of the type
    /// `production`.
    SiteDocument, SiteDefaults => Site {
        own {
            /// The kind of this document.
            kind: SiteKind,
            /// The name of the site; its id is `site/<name>`.
            name: Slug,
            /// The title of the WordPress site; the name without it.
            title!: Text,
            /// Brings an existing site in, once.
            import?: Import,
            /// The id that the site had before it was renamed.
            moved?: Moved,
        }
        shared {
            /// The node that the site runs on.
            node!: Slug,
            /// The first administrator of WordPress.
            admin: AdminFields => Admin,
            /// The language of WordPress.
            locale: Locale = Locale::standard(),
            /// WordPress itself.
            wordpress: WordPressFields => WordPress,
            /// Code of the site in a git repository.
            code: CodeFields => Code,
            /// Plugins that Pressluft keeps; others are left alone.
            plugins: Vec<Extension> = Vec::new(),
            /// Themes that Pressluft keeps; others are left alone.
            themes: Vec<Extension> = Vec::new(),
            /// Automatic updates.
            updates: UpdatesFields => Updates,
            /// Whether the site may never be destroyed. It is recorded, so taking it out and
            /// removing the site take two commits.
            protect: bool = false,
            /// Whether all jobs of the site are held back.
            suspend: bool = false,
        }
    }
}

block! {
    /// The first administrator of WordPress.
    AdminFields => Admin {
        /// The login name; the name of the site without it.
        user!: UnixUser,
        /// The e-mail address.
        email!: Email,
    }
}

block! {
    /// WordPress itself.
    WordPressFields => WordPress {
        /// The exact version; that of the fleet's source without it.
        version?: Version,
    }
}

block! {
    /// Code of the site in a git repository. Without `git` the site is plain WordPress.
    CodeFields => Code {
        /// The repository.
        git?: GitUrl,
        /// The tag, branch or commit that is deployed.
        r#ref: GitRef = GitRef::standard(),
        /// The directory of the repository that becomes `wp-content`.
        path: RelativePath = RelativePath::wp_content(),
        /// Commands that run in the checkout before a release is made of it.
        build: Vec<Command> = Vec::new(),
        /// Paths below `wp-content` that all releases share, besides `uploads`.
        shared: Vec<RelativePath> = Vec::new(),
        /// How many releases are kept for going back.
        keep_releases: Releases = Releases::STANDARD,
    }
}

fn active() -> ExtensionState {
    ExtensionState::Active
}

/// A plugin or theme.
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
pub struct Extension {
    /// The slug, as in the WordPress directory.
    pub name: WordPressSlug,
    /// The exact version; the newest one at the time of installation without it.
    #[serde(
        default,
        deserialize_with = "super::layer::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<Version>,
    /// Whether it is there and works.
    #[serde(default = "active")]
    pub state: ExtensionState,
}

/// Brings an existing site in, once.
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
pub struct Import {
    /// A `tar.gz` with `db.sql` and `files/`: an address, or a path below the directory of
    /// sources of the control plane.
    pub archive: Source,
    /// The digest that the archive must have.
    pub sha256: Sha256,
    /// Runs once for each token, ever.
    pub token: Token,
}

block! {
    /// Automatic updates. Nothing is updated on its own while `scope` is empty.
    UpdatesFields => Updates {
        /// What is updated.
        scope: Vec<UpdateScope> = Vec::new(),
        /// When.
        window?: Window,
        /// The environment on which an update must succeed first.
        gate?: Slug,
        /// Plugins and themes that are not updated.
        exclude: Vec<WordPressSlug> = Vec::new(),
    }
}
