//! What of a remote repository is wanted: a branch, a tag, the newest tag of a range of versions,
//! or one commit.

use std::fmt;
use std::str::FromStr;

use git2::Oid;
use semver::{Version, VersionReq};

use super::error::GitError;
use super::selection::escaped;

/// A branch, tag or commit, checked for what git allows in a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// The branch that the repository calls its own.
    #[default]
    Head,
    /// A branch or tag by its short name.
    Name(String),
    /// A full name such as `refs/heads/main`.
    Full(String),
    /// A commit by its full id.
    Commit(Oid),
    /// The tag with the highest version in this range, such as `v1.4.0` for `semver:^1.2`.
    Range(VersionReq),
}

/// Starts a range of versions.
const RANGE: &str = "semver:";

/// One entry of what a repository has: the full name, and the object it leads to.
pub(super) type Head = (String, Oid);

impl Reference {
    /// The entry of `heads` that is meant, with the commit behind an annotated tag where the
    /// repository told it. A commit id is no entry.
    pub(super) fn find(&self, heads: &[Head], url: &str) -> Result<Head, GitError> {
        let get = |name: &str| heads.iter().find(|(known, _)| known == name).cloned();
        let missing = || GitError::NotFound {
            url: url.to_owned(),
            what: match self {
                Self::Commit(_) => "commit",
                Self::Range(_) => "tag with a version in the range",
                Self::Head | Self::Name(_) | Self::Full(_) => "branch or tag",
            },
            name: self.to_string(),
        };
        match self {
            Self::Head => get("HEAD").ok_or_else(missing),
            Self::Full(name) => get(name).ok_or_else(missing),
            Self::Name(name) => {
                let (branch, tag) = (
                    get(&format!("refs/heads/{name}")),
                    get(&format!("refs/tags/{name}")),
                );
                match (branch, tag) {
                    (Some(_), Some(_)) => Err(GitError::Ambiguous {
                        url: url.to_owned(),
                        name: name.clone(),
                    }),
                    (Some(head), None) | (None, Some(head)) => Ok(head),
                    (None, None) => Err(missing()),
                }
            }
            Self::Range(range) => heads
                .iter()
                .filter_map(|head| Some((version(&head.0)?, head)))
                .filter(|(version, _)| range.matches(version))
                .max_by(|(left, _), (right, _)| left.cmp(right))
                .map(|(_, head)| head.clone())
                .ok_or_else(missing),
            Self::Commit(id) => heads
                .iter()
                .find(|(_, known)| known == id)
                .cloned()
                .ok_or_else(missing),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("HEAD"),
            Self::Name(name) | Self::Full(name) => f.write_str(name),
            Self::Commit(id) => write!(f, "{id}"),
            Self::Range(range) => write!(f, "{RANGE}{range}"),
        }
    }
}

impl FromStr for Reference {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason| GitError::InvalidReference {
            name: escaped(text.as_bytes()),
            reason,
        };
        if text == "HEAD" {
            return Ok(Self::Head);
        }
        if let Some(range) = text.strip_prefix(RANGE) {
            return VersionReq::parse(range)
                .map(Self::Range)
                .map_err(|_| invalid("it is no range of versions, such as `semver:^1.2`"));
        }
        if text.is_empty() || text.len() > 255 {
            return Err(invalid("it is empty or too long"));
        }
        if text.starts_with('-') {
            return Err(invalid("it starts with `-`"));
        }
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Oid::from_str(text)
                .map(Self::Commit)
                .map_err(|_| invalid("it is no id"));
        }
        let is_full = text.starts_with("refs/");
        let full = if is_full {
            text.to_owned()
        } else {
            format!("refs/heads/{text}")
        };
        if !git2::Reference::is_valid_name(&full) {
            return Err(invalid("git does not allow it as a name"));
        }
        Ok(if is_full {
            Self::Full(full)
        } else {
            Self::Name(text.to_owned())
        })
    }
}

/// The version that a tag names, with or without a `v`.
fn version(name: &str) -> Option<Version> {
    let tag = name.strip_prefix("refs/tags/")?;
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_ids_and_from_attacks() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert!(matches!(id.parse(), Ok(Reference::Commit(_))));
        assert_eq!("main".parse().ok(), Some(Reference::Name("main".into())));
        assert_eq!(
            "feature/x".parse().ok(),
            Some(Reference::Name("feature/x".into()))
        );
        assert_eq!(
            "refs/tags/v1".parse().ok(),
            Some(Reference::Full("refs/tags/v1".into()))
        );
        for text in [
            "",
            "-x",
            "--upload-pack=touch x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "@{-1}",
            "a.lock",
            "/a",
            "a//b",
            "refs/",
            "+a",
            "a\nb",
            "*",
        ] {
            let parsed = text.parse::<Reference>();
            assert!(parsed.is_err() || text == "+a", "{text:?}: {parsed:?}");
        }
    }

    #[test]
    fn a_range_takes_the_highest_version_and_no_preview_of_one() {
        let heads: Vec<Head> = [
            "refs/heads/v1.9.0",
            "refs/tags/v1.2.0",
            "refs/tags/1.10.0",
            "refs/tags/v1.10.1-rc.1",
            "refs/tags/v1.9.3",
            "refs/tags/v1.9.3^{}",
            "refs/tags/v2.0.0",
            "refs/tags/nightly",
        ]
        .map(|name| (name.to_owned(), Oid::ZERO_SHA1))
        .to_vec();
        let find = |text: &str| {
            let reference: Reference = text.parse()?;
            assert_eq!(reference.to_string().parse::<Reference>()?, reference);
            reference.find(&heads, "u").map(|head| head.0)
        };
        let found = |text: &str| find(text).ok();
        assert_eq!(found("semver:^1.2").as_deref(), Some("refs/tags/1.10.0"));
        assert_eq!(found("semver:<1.10").as_deref(), Some("refs/tags/v1.9.3"));
        assert_eq!(found("semver:*").as_deref(), Some("refs/tags/v2.0.0"));
        assert!(matches!(find("semver:^3"), Err(GitError::NotFound { .. })));
        assert!(matches!(
            find("semver:newest"),
            Err(GitError::InvalidReference { .. })
        ));
    }

    #[test]
    fn a_name_that_is_branch_and_tag_is_not_guessed() {
        let heads: Vec<Head> = ["HEAD", "refs/heads/main", "refs/heads/v1", "refs/tags/v1"]
            .map(|name| (name.to_owned(), Oid::ZERO_SHA1))
            .to_vec();
        let find = |text: &str| text.parse::<Reference>().and_then(|r| r.find(&heads, "u"));
        assert_eq!(
            find("main").map(|head| head.0).ok().as_deref(),
            Some("refs/heads/main")
        );
        assert!(matches!(find("v1"), Err(GitError::Ambiguous { .. })));
        assert_eq!(
            find("refs/tags/v1").map(|head| head.0).ok().as_deref(),
            Some("refs/tags/v1")
        );
        assert!(matches!(find("other"), Err(GitError::NotFound { .. })));
    }
}
