//! `pressluft init`

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::{output, scaffold};
use crate::core::document::scalar::{Scalar, Slug};

/// Make a new fleet repo that validates, with schemas for editors and examples for CI
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A directory that is empty or does not exist yet
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The name of the fleet [default: the name of the directory]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(crate) fn run(args: &Args, _context: &Context) -> Result<Exit, CliError> {
    let directory = &args.directory;
    let name = fleet_name(args)?;
    refuse_content(directory)?;
    let files = scaffold::files(&name);
    for (path, content) in &files {
        let path = directory.join(path);
        let failed = |error| CliError::new(format!("cannot write `{}`: {error}", path.display()));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&path, content).map_err(failed)?;
    }
    output::print(&next_steps(directory, files.len()))?;
    Ok(Exit::Done)
}

/// The name that was asked for, or one made of the directory's.
fn fleet_name(args: &Args) -> Result<String, CliError> {
    if let Some(name) = &args.name {
        return match Slug::parse(name) {
            Ok(slug) => Ok(slug.to_string()),
            Err(malformed) => {
                let error = CliError::new(malformed.message).exit(Exit::Usage);
                Err(match malformed.hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                })
            }
        };
    }
    let path = std::path::absolute(&args.directory)?;
    let words: Vec<String> = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let name: String = words.join("-").chars().take(40).collect();
    let name = name.trim_end_matches('-');
    Ok(if Slug::parse(name).is_ok() {
        name.to_owned()
    } else {
        "fleet".to_owned()
    })
}

/// Nothing of the operator's is ever overwritten. A fresh `git init` is no content.
fn refuse_content(directory: &Path) -> Result<(), CliError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(CliError::new(format!(
                "cannot read `{}`: {error}",
                directory.display()
            )));
        }
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != ".git" {
            return Err(CliError::new(format!(
                "`{}` is not empty: it holds `{}`",
                directory.display(),
                name.to_string_lossy()
            ))
            .hint("name a new or empty directory"));
        }
    }
    Ok(())
}

fn next_steps(directory: &Path, count: usize) -> String {
    let bold = anstyle::Style::new().bold();
    let dir = directory.display();
    format!(
        "made a fleet repo of {count} files in `{dir}`\n\
         \n\
         {bold}Next{bold:#}\n\
         1. put the address of your server into `{dir}/nodes/web-1.yaml`\n\
         2. let the control plane in: add the key that `pressluft ssh-key` prints to root's\n   \
            `authorized_keys` on the server\n\
         3. check the documents:    pressluft validate {dir}\n\
         4. see what would happen:  pressluft plan {dir}\n\
         5. make it so:             pressluft apply {dir}\n\
         \n\
         `{dir}/README.md` says more. Keep the directory in git.\n"
    )
}
