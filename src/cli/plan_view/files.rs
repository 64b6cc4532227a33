//! The files that a plan would alter.

use anstyle::Style;
use serde_json::{Value, json};

use crate::cli::output::{diff_line, printable};
use crate::daemon::FileChanges;

/// A diff of each file, grouped by job.
pub(crate) fn files_text(all: &[FileChanges]) -> String {
    let bold = Style::new().bold();
    let mut out = String::new();
    for changes in all {
        out.push_str(&format!(
            "\n{bold}Files of {} {}{bold:#}\n",
            changes.job, changes.resource
        ));
        if let Some(why) = &changes.unknown {
            out.push_str(&format!(
                "  not known before the job runs: {}\n",
                printable(why)
            ));
        }
        for line in changes.files.iter().flat_map(|file| file.diff.lines()) {
            out.push_str(&format!("  {}\n", diff_line(line)));
        }
    }
    out
}

/// One line for each file.
pub(crate) fn files_json(all: &[FileChanges]) -> Vec<Value> {
    all.iter()
        .flat_map(|changes| {
            let unknown = changes.unknown.iter().map(|why| {
                json!({"type": "files_unknown", "job": changes.job, "resource": changes.resource,
                       "message": why})
            });
            let files = changes.files.iter().map(|file| {
                json!({"type": "file", "job": changes.job, "resource": changes.resource,
                       "path": file.path, "diff": file.diff})
            });
            unknown.chain(files).collect::<Vec<_>>()
        })
        .collect()
}
