//! `pressluft hook`

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::{git_settings, output};
use crate::daemon::{self, HOOK_NOTE};
use crate::process;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Write a `post-receive` hook into a repository on this machine
    Install(InstallArgs),
}

/// The hook leaves a note that a running `serve` sees at once. Without one it does nothing.
#[derive(clap::Args, Debug)]
struct InstallArgs {
    /// The repository that is pushed to [default: .]
    #[arg(value_name = "REPOSITORY")]
    repository: Option<PathBuf>,
}

/// How our own hooks are known.
const MARK: &str = "# Wakes `pressluft serve`.";

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::Install(args) => install(args, context),
    }
}

fn install(args: &InstallArgs, context: &Context) -> Result<Exit, CliError> {
    let repository = args
        .repository
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    let directory = git_directory(&repository)?;
    let hooks = hooks_of(&directory)?;
    fs::create_dir_all(&hooks)?;
    let script = script(context);
    let hook = hooks.join("post-receive");
    match fs::read_to_string(&hook) {
        Ok(known) if known == script => {
            output::print(&format!("`{}` is there already\n", hook.display()))?;
        }
        Ok(known) if !known.contains(MARK) => return beside(&hooks, &script),
        Ok(_) => write(&hook, &script, "is written anew")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write(&hook, &script, "is written")?;
        }
        Err(error) => {
            return Err(CliError::new(format!(
                "cannot read `{}`: {error}",
                hook.display()
            )));
        }
    }
    try_it(&directory, &hook)?;
    Ok(Exit::Done)
}

/// Where git looks for the hooks of a repository: not in it when `core.hooksPath` says otherwise.
fn hooks_of(directory: &Path) -> Result<PathBuf, CliError> {
    let output = process::command("git")
        .arg("--git-dir")
        .arg(directory)
        .args(["rev-parse", "--git-path", "hooks"])
        .current_dir(directory)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let path = String::from_utf8_lossy(&output.stdout);
            Ok(std::path::absolute(
                directory.join(path.trim_end_matches('\n')),
            )?)
        }
        Ok(output) => Err(CliError::new(format!(
            "git does not say where the hooks of `{}` are: {}",
            directory.display(),
            output::printable(String::from_utf8_lossy(&output.stderr).trim())
        ))),
        Err(error) => Err(CliError::new(format!("cannot run `git`: {error}"))),
    }
}

/// Has git run the hook once, and looks whether it left its note.
fn try_it(directory: &Path, hook: &Path) -> Result<(), CliError> {
    let note = directory.join(HOOK_NOTE);
    let noted = || fs::metadata(&note).and_then(|note| note.modified()).ok();
    let before = noted();
    let ran = process::command("git")
        .arg("--git-dir")
        .arg(directory)
        .args(["hook", "run", "post-receive"])
        .current_dir(directory)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| CliError::new(format!("cannot run `git`: {error}")))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if said.contains("is not a git command") {
        return output::note("this git is too old to try the hook; push once to see that it works");
    }
    match (ran.status.success(), noted()) {
        (true, Some(now)) if before != Some(now) => {
            output::print("git runs it: tried\n")
        }
        _ => Err(CliError::new(format!(
            "`{}` is written, and git does not run it: {}",
            hook.display(),
            output::printable(said.trim())
        ))
        .hint("`git config --show-origin core.hooksPath` says where git looks; the disk may be mounted `noexec`")),
    }
}

/// Keeps a hook of somebody else as it is, and says how it calls ours.
fn beside(hooks: &Path, script: &str) -> Result<Exit, CliError> {
    let own = hooks.join("post-receive.pressluft");
    write(&own, script, "is written")?;
    let hook = hooks.join("post-receive");
    let text = fs::read_to_string(&hook)?;
    let mut lines = text.lines().map(str::trim_start);
    let called =
        lines.any(|line| !line.starts_with('#') && line.contains("post-receive.pressluft"));
    let runs = fs::metadata(&hook)?.permissions().mode() & 0o111 != 0;
    if called && !runs {
        return Err(CliError::new(format!(
            "git does not run `{}`: it is not executable",
            hook.display()
        ))
        .exit(Exit::Blocked)
        .hint(format!("chmod +x {}", hook.display())));
    }
    if called {
        // To run a hook of somebody else could deploy something.
        output::note("your own hook calls it, which is not tried: push once to see that it works")?;
        return Ok(Exit::Done);
    }
    Err(CliError::new(format!(
        "`{}` is a hook of your own and stays as it is",
        hook.display()
    ))
    .exit(Exit::Blocked)
    .hint("add this line to it: \"${0%/*}/post-receive.pressluft\" </dev/null"))
}

fn write(path: &Path, script: &str, done: &str) -> Result<(), CliError> {
    let failed = |error| CliError::new(format!("cannot write `{}`: {error}", path.display()));
    fs::write(path, script).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    output::print(&format!("`{}` {done}\n", path.display()))
}

fn git_directory(repository: &Path) -> Result<PathBuf, CliError> {
    let inner = repository.join(".git");
    for place in [repository, &inner] {
        if git_settings::is_bare(place) {
            return Ok(std::path::absolute(place)?);
        }
    }
    // A worktree, or a git directory elsewhere: pushes arrive where the branches are.
    if inner.is_file() {
        let output = process::command("git")
            .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .current_dir(repository)
            .output()
            .map_err(|error| CliError::new(format!("cannot run `git`: {error}")))?;
        if output.status.success() {
            let path = String::from_utf8_lossy(&output.stdout);
            return Ok(PathBuf::from(path.trim_end_matches('\n')));
        }
    }
    Err(
        CliError::new(format!("`{}` is no git repository", repository.display()))
            .hint("name the repository that is pushed to, such as `/srv/git/fleet.git`"),
    )
}

/// Notes in two places: in the repository, which `serve` watches when it reads it from there, and
/// in the state directory, where the user that receives pushes may write to that.
fn script(context: &Context) -> String {
    let note = daemon::hook_note(&context.state_dir);
    let note = note.display().to_string().replace('\'', "'\\''");
    format!(
        "#!/bin/sh\n{MARK} Written by `pressluft hook install`.\n\
         touch \"${{GIT_DIR:-.}}/{HOOK_NOTE}\" 2>/dev/null || true\n\
         if [ -d '{}' ]; then touch '{note}' 2>/dev/null || true; fi\nexit 0\n",
        note.trim_end_matches("/hook")
    )
}
