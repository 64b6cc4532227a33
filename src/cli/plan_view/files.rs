//! The files that a plan would alter.

use std::io::{self, Write};

use anstyle::Style;
use serde_json::json;

use super::json::line;
use crate::cli::output::{diff_line, printable};
use crate::daemon::FileChanges;

/// A diff of each file of a job.
pub(crate) fn files_text(changes: &FileChanges) -> String {
    let bold = Style::new().bold();
    let mut out = format!(
        "\n{bold}Files of {} {}{bold:#}\n",
        changes.job, changes.resource
    );
    if let Some(why) = &changes.unknown {
        out.push_str(&format!(
            "  not known before the job runs: {}\n",
            printable(why)
        ));
    }
    for line in changes.files.iter().flat_map(|file| file.diff.lines()) {
        out.push_str(&format!("  {}\n", diff_line(line)));
    }
    out
}

/// One line for each file of a job.
pub(crate) fn files_json(out: &mut dyn Write, changes: &FileChanges) -> io::Result<()> {
    if let Some(why) = &changes.unknown {
        line(
            out,
            &json!({"type": "files_unknown", "job": changes.job, "resource": changes.resource,
                    "message": why}),
        )?;
    }
    for file in &changes.files {
        line(
            out,
            &json!({"type": "file", "job": changes.job, "resource": changes.resource,
                    "path": file.path, "diff": file.diff}),
        )?;
    }
    Ok(())
}
