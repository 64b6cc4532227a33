//! The point at which a hook of the fleet repo runs.

use std::fmt;

use super::{Malformed, Scalar, quoted, scalar_impls};
use crate::core::job::JobType;

/// Before or after jobs of a type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct HookPoint {
    before: bool,
    /// The word of the job type, which is known to be one.
    job_type: String,
}

impl HookPoint {
    /// The type of the jobs, or none for a word of a newer version.
    #[must_use]
    pub fn job_type(&self) -> Option<JobType> {
        self.job_type.parse().ok()
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            if self.before { "before" } else { "after" },
            self.job_type
        )
    }
}

impl Scalar for HookPoint {
    const FORMAT: &'static str = "hook-point";
    const DESCRIPTION: &'static str = "`before:` or `after:` and a job type.";
    const EXAMPLES: &'static [&'static str] = &["after:env_deploy", "before:node_provision"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        let refuse = || {
            Malformed::new(format!("{} is not a point for a hook", quoted(text)))
                .hint("write `before:` or `after:` and a job type, such as `after:env_deploy`")
        };
        let (side, word) = text.split_once(':').ok_or_else(refuse)?;
        let before = match side {
            "before" => true,
            "after" => false,
            _ => return Err(refuse()),
        };
        let job_type = word.parse::<JobType>().map_err(|_| {
            let nearest = JobType::ALL
                .iter()
                .max_by(|a, b| {
                    let near = |t: &JobType| strsim::jaro_winkler(t.as_str(), word);
                    near(a).total_cmp(&near(b))
                })
                .map_or("env_deploy", |t| t.as_str());
            Malformed::new(format!("{} is not a job type", quoted(word)))
                .hint(format!("did you mean `{side}:{nearest}`?"))
        })?;
        Ok(Self {
            before,
            job_type: job_type.as_str().to_owned(),
        })
    }
}

scalar_impls!(HookPoint);
