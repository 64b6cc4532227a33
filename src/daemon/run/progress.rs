//! What a run tells whoever watches it. Watching is optional; the database has it all.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::core::event::TaskResult;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobStatus, JobType};
use crate::core::recorded::JobId;

/// Which job an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLabel {
    pub id: JobId,
    pub job_type: JobType,
    pub resource: ResourceId,
    pub node: String,
}

/// One event of a run, in the order in which it happened.
#[derive(Clone, Debug)]
pub enum Progress {
    JobStarted {
        job: JobLabel,
        attempt: u32,
        /// Whether another process runs it.
        elsewhere: bool,
    },
    TaskStarted {
        job: JobLabel,
        task: String,
    },
    Task {
        job: JobLabel,
        result: Box<TaskResult>,
    },
    JobFinished {
        job: JobLabel,
        end: JobEnd,
    },
    /// The disk of the database keeps jobs from starting, and why; or it does no more.
    Disk {
        database: PathBuf,
        trouble: Option<String>,
    },
    /// A node answers again that jobs waited for.
    NodeAnswers {
        node: String,
    },
    /// Nothing starts any more; this many jobs may finish.
    Draining {
        running: usize,
    },
}

/// What a job waits for that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Until(Timestamp),
    /// Its node does not answer.
    Node,
}

/// How a job ended, or why its attempt did when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    pub status: JobStatus,
    pub error_code: Option<ErrorCode>,
    pub error_message: Option<String>,
    pub hint: Option<&'static str>,
    pub wait: Option<Wait>,
    /// Wall time in milliseconds.
    pub milliseconds: u64,
}
