//! What there is to know of each type of job: a room for each, and one list of them.
//!
//! Whoever has to tell types apart asks the kind. A type without one cannot be run by this version:
//! what asks for it is blocked, and a job of it fails.

mod cache_purge;
mod drift_check;
mod env_cache_toggle;
mod env_configure;
mod env_create;
mod health_check;
mod node_provision;
mod site_create;

use super::id::{ResourceId, ResourceKind};
use super::job::JobType;
use super::recorded::ResourceStatus;
use super::retry::MAX_ATTEMPTS;
use super::tree::{RenderContext, RenderError, Templates, Tree};

/// How the files of a job are rendered.
pub type TreeOf = fn(&RenderContext<'_>, &Templates) -> Result<Tree, RenderError>;

/// One type of job.
#[derive(Debug)]
pub struct JobKind {
    pub does: Does,
    /// Where it stands among the jobs of one resource.
    pub phase: Phase,
    /// The status of a recorded resource while the job runs; none leaves it as it is.
    pub status_on_start: Option<ResourceStatus>,
    /// The same after it failed.
    pub status_on_failure: Option<ResourceStatus>,
    pub attempts: Attempts,
    /// The job types whose fields it carries out when it makes a resource.
    pub carries_when_made: &'static [JobType],
    /// Further fields of what it makes.
    pub carries_fields_when_made: &'static [(ResourceKind, &'static str)],
    /// Jobs that follow, of the environment that it made, or that it brought to its form although
    /// nothing of it differed.
    pub followed_by: &'static [JobType],
    /// Whether it reads the facts of its node anew, whatever is recorded: a resized machine has
    /// other limits.
    pub reads_facts: bool,
    /// Files of the control plane or of the internet that it places.
    pub sources: &'static [SourceKind],
    pub secrets: Secrets,
    /// The files that it places; none when it places none.
    pub tree: Option<TreeOf>,
    /// Whether its success shows that the release which is served is healthy.
    pub proves_health: bool,
}

/// What a job does to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Makes a resource of this kind, and brings one that is there to its form.
    Make(ResourceKind),
    /// Brings a resource of this kind that is there to its form.
    Change(ResourceKind),
    /// Brings a part of such a resource to its form. The job that changes all of it does that as
    /// well, so this one runs only when something of its part differs.
    Part(ResourceKind),
    /// Does something to a resource of this kind that leaves it as it is, when somebody asks for it
    /// or once for each value of this field of its document.
    Once {
        of: ResourceKind,
        token: &'static str,
    },
    /// Looks, and changes nothing.
    Look {
        /// As which job it looks, by the kind of its resource: that job in check mode. Its own
        /// playbook for kinds that are not listed.
        as_of: &'static [(ResourceKind, JobType)],
    },
}

/// The order of several jobs of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Make,
    Change,
    /// What was kept from before the change goes.
    Purge,
    Check,
}

/// How often a job is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// Again after each of the waits.
    Retried,
    /// Once: it is asked for again when it is wanted again.
    Once,
}

/// A file that a job places, as the documents name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    WordPress,
    WpCli,
    /// For environments that have an object cache.
    ObjectCache,
    /// The language packs of the site's language.
    Languages,
}

/// Which secrets of its documents a job is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    OfNode,
    OfEnvironment,
    /// Those of an environment that its visitors need. It could come across the others.
    LoginOfEnvironment,
}

impl JobType {
    /// The kind of the type, or none when this version cannot run it.
    #[must_use]
    pub fn kind(self) -> Option<&'static JobKind> {
        match self {
            Self::NodeProvision => Some(&node_provision::KIND),
            Self::SiteCreate => Some(&site_create::KIND),
            Self::EnvCreate => Some(&env_create::KIND),
            Self::EnvConfigure => Some(&env_configure::KIND),
            Self::EnvCacheToggle => Some(&env_cache_toggle::KIND),
            Self::CachePurge => Some(&cache_purge::KIND),
            Self::DriftCheck => Some(&drift_check::KIND),
            Self::HealthCheck => Some(&health_check::KIND),
            Self::NodeDecommission
            | Self::SiteImport
            | Self::SiteDelete
            | Self::EnvDeploy
            | Self::EnvUpdate
            | Self::EnvDelete
            | Self::DomainAdd
            | Self::DomainRemove
            | Self::BackupCreate
            | Self::BackupCleanup
            | Self::EnvRestore
            | Self::EnvPromote
            | Self::EnvSync
            | Self::ReleaseRollback => None,
        }
    }

    /// The type whose playbook and files such a job of `resource` has: its own, and for a look
    /// that of the job that it looks as.
    #[must_use]
    pub fn acts_as(self, resource: &ResourceId) -> Self {
        let as_of = match self.kind().map(|kind| kind.does) {
            Some(Does::Look { as_of }) => as_of,
            Some(Does::Make(_) | Does::Change(_) | Does::Part(_) | Does::Once { .. }) | None => &[],
        };
        let own = as_of.iter().find(|(kind, _)| *kind == resource.kind());
        own.map_or(self, |(_, job_type)| *job_type)
    }

    /// Whether such a job looks at its resource and changes nothing.
    #[must_use]
    pub fn only_looks(self) -> bool {
        let kind = self.kind();
        kind.is_some_and(|kind| matches!(kind.does, Does::Look { .. }))
    }

    /// Whether the resource is what it should be once such a job has succeeded.
    #[must_use]
    pub fn converges(self) -> bool {
        let kind = self.kind();
        kind.is_some_and(|kind| {
            matches!(kind.does, Does::Make(_) | Does::Change(_) | Does::Part(_))
        })
    }

    /// The field whose value such a job is carried out once for, of those that have one.
    #[must_use]
    pub fn token_field(self) -> Option<&'static str> {
        match self.kind()?.does {
            Does::Once { token, .. } => Some(token),
            Does::Make(_) | Does::Change(_) | Does::Part(_) | Does::Look { .. } => None,
        }
    }

    /// Whether a successful job of this type leaves `resource` existing.
    #[must_use]
    pub fn makes(self, resource: &ResourceId) -> bool {
        let kind = self.kind();
        kind.is_some_and(|kind| kind.does == Does::Make(resource.kind()))
    }
}

impl Attempts {
    /// How often.
    #[must_use]
    pub fn most(self) -> u32 {
        match self {
            Self::Retried => MAX_ATTEMPTS,
            Self::Once => 1,
        }
    }
}

/// The job that makes resources of a kind.
#[must_use]
pub fn maker_of(kind: ResourceKind) -> Option<JobType> {
    that_do(Does::Make(kind)).next()
}

/// The fields of a kind that hold the tokens of what is done once for each of them.
pub fn token_fields(kind: ResourceKind) -> impl Iterator<Item = (JobType, &'static str)> {
    let all = JobType::ALL.iter().copied();
    all.filter_map(move |job_type| match job_type.kind()?.does {
        Does::Once { of, token } if of == kind => Some((job_type, token)),
        _ => None,
    })
}

/// The jobs that bring a resource that is there to its form.
pub fn changers_of(kind: ResourceKind) -> impl Iterator<Item = JobType> {
    that_do(Does::Change(kind))
}

fn that_do(does: Does) -> impl Iterator<Item = JobType> {
    let all = JobType::ALL.iter().copied();
    all.filter(move |job_type| job_type.kind().map(|kind| kind.does) == Some(does))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_resource_has_one_maker_and_looks_come_last() {
        for kind in ResourceKind::ALL {
            let makes = |job_type: &&JobType| {
                job_type.kind().map(|known| known.does) == Some(Does::Make(*kind))
            };
            let makers = JobType::ALL.iter().filter(makes).count();
            assert_eq!(
                makers,
                usize::from(*kind != ResourceKind::Fleet),
                "{kind:?}"
            );
        }
        for job_type in JobType::ALL {
            let Some(kind) = job_type.kind() else {
                continue;
            };
            assert_eq!(
                job_type.only_looks(),
                kind.phase == Phase::Check,
                "{job_type}"
            );
            for (resource, seen_as) in match kind.does {
                Does::Look { as_of } => as_of,
                Does::Make(_) | Does::Change(_) | Does::Part(_) | Does::Once { .. } => &[],
            } {
                assert!(seen_as.converges(), "{job_type} of {resource:?}");
            }
        }
    }
}
