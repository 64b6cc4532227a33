//! `pressluft db backup`

use std::path::PathBuf;

use super::super::context::Context;
use super::super::error::CliError;
use super::super::exit::Exit;
use super::super::open;
use super::super::output::{self, Format};
use super::size;

/// The copy is complete, on the disk and checked before it has its name. It holds ciphertexts
/// only: keep the age identity of the secrets directory elsewhere, nothing else opens them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where to write it
    file: PathBuf,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let made = open::for_reading(context)?.backup(&args.file, args.force)?;
    output::show(args.output, &made, |made| {
        format!(
            "wrote `{}`, {}, audit head {}:{}\n{}",
            made.path.display(),
            size(made.bytes),
            made.head.seq,
            made.head.hash,
            match made.segments {
                0 => String::new(),
                segments => format!(
                    "{segments} closed segments of the audit chain are in `{}.audit`, which \
                     belongs to it\n",
                    made.path.display()
                ),
            }
        )
    })?;
    if made.missing_segments > 0 {
        output::note(&format!(
            "{} of the segments are missing or damaged beside the database, and the backup has no \
             whole copy of them; `pressluft audit verify` names the first",
            made.missing_segments
        ))?;
    }
    if args.output == Format::Table {
        output::note(&format!(
            "its secrets open only with the age identity in `{}`, which is not in it",
            context.secrets_dir.display()
        ))?;
    }
    Ok(Exit::Done)
}
