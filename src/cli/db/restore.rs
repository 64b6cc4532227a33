//! `pressluft db restore`

use std::path::PathBuf;

use super::super::context::{Context, actor};
use super::super::error::CliError;
use super::super::exit::Exit;
use super::super::output::{self, Format};
use super::size;
use crate::clock;
use crate::daemon;
use crate::store::Restored;

/// Nothing of Pressluft may have the database open. It is kept under a name with the time in
/// it. The restored one is paused: look at it, then `pressluft resume`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A file that `pressluft db backup` wrote
    file: PathBuf,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.ensure_state_dir()?;
    let database = &context.db_path;
    let timeouts = &context.timeouts;
    let restored = daemon::restore(database, &args.file, &actor(), timeouts, clock::now())?;
    output::show(args.output, &restored, |restored| {
        text(args, context, restored)
    })?;
    if restored.missing_segments > 0 {
        output::note(&format!(
            "{} closed segments of the audit chain are whole neither in `{}.audit` nor in \
             `{}.audit`; `pressluft audit verify` fails until they are put back there",
            restored.missing_segments,
            args.file.display(),
            context.db_path.display()
        ))?;
    }
    Ok(Exit::Done)
}

fn text(args: &Args, context: &Context, restored: &Restored) -> String {
    let mut out = format!(
        "restored `{}`{} as `{}`\n",
        args.file.display(),
        match restored.backup_at {
            Some(at) => format!(" of {}", output::seconds(at)),
            None => String::new(),
        },
        context.db_path.display(),
    );
    if let Some(kept) = &restored.kept {
        let bytes = kept.metadata().map_or(0, |file| file.len());
        out.push_str(&format!(
            "the replaced database is kept as `{}`, {}\n",
            kept.display(),
            size(bytes)
        ));
    }
    out.push_str(&format!(
        "{} jobs were running and are settled as interrupted, {} are queued\n\
         audit head {}:{}\n\n\
         It is paused: nothing runs. What happened after the backup is not in it. Look at\n  \
         pressluft plan                          what differs from the documents\n  \
         pressluft jobs list --status queued     what would run\n\
         and then let it go on with\n  \
         pressluft resume\n",
        restored.interrupted.len(),
        restored.queued,
        restored.head.seq,
        restored.head.hash,
    ));
    out
}
