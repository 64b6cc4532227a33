//! What this program is when the fault program starts it again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use pressluft::store::StoreError;

use crate::Result;
use crate::script::{Script, Session};

/// The exit code when the disk was full or broken to the end.
pub(crate) const GAVE_UP: u8 = 3;

/// Arguments as `--name value` pairs.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(arguments: impl Iterator<Item = String>) -> Self {
        Self(arguments.collect())
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        self.find(name)
            .ok_or_else(|| format!("`--{name}` is missing").into())
    }

    pub(crate) fn path(&self, name: &str) -> Result<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.find(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("`--{name} {text}` is no number").into()),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let flag = format!("--{name}");
        let at = self.0.iter().position(|word| *word == flag)?;
        self.0.get(at + 1).map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let flag = format!("--{name}");
        self.0.contains(&flag)
    }
}

/// Carries out a script: `--database PATH --acks PATH --seed N --random N [--from N] [--until N]
/// [--tries N] [--checkpoints EVERY] [--crash LABEL --hit N]`. Each step that is done is
/// acknowledged with a line.
pub(crate) fn script(arguments: &Arguments) -> Result<u8> {
    let script = Script::new(arguments.number("seed", 0)?, arguments.number("random", 0)?);
    let tries: u32 = arguments.number("tries", 1)?;
    let acks = arguments.path("acks")?;
    arm(arguments)?;
    let path = arguments.path("database")?;
    let mut session = Session::new(&path);
    let checkpoints: usize = arguments.number("checkpoints", usize::MAX)?;
    let until = arguments.number("until", script.steps.len())?;
    for index in arguments.number("from", 0)?..until {
        let mut left = tries;
        loop {
            match script.run(&mut session, index) {
                Ok(()) => break,
                Err(
                    StoreError::Full(_)
                    | StoreError::Database(_)
                    | StoreError::ReadOnly(_)
                    | StoreError::Io(_)
                    | StoreError::Write { .. }
                    | StoreError::Create { .. },
                ) if left > 1 => {
                    left -= 1;
                }
                Err(error) => {
                    let mut stderr = std::io::stderr().lock();
                    writeln!(stderr, "step {index} {:?}: {error:?}", script.steps[index])?;
                    return Ok(GAVE_UP);
                }
            }
        }
        acknowledge(&acks, &index.to_string())?;
        if index % checkpoints == checkpoints - 1 {
            checkpoint(&path, index);
        }
    }
    Ok(0)
}

/// Moves the write-ahead log into the database, as SQLite does by itself when it is long. That
/// it fails is no failure of a step.
pub(crate) fn checkpoint(path: &Path, index: usize) {
    let mode = if index.is_multiple_of(2) {
        "PASSIVE"
    } else {
        "TRUNCATE"
    };
    let done = rusqlite::Connection::open(path).and_then(|connection| {
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    });
    drop(done);
}

/// Appends a line in one write: it is there, or it is not.
pub(crate) fn acknowledge(path: &Path, line: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}

#[cfg(feature = "crash-points")]
pub(crate) fn arm(arguments: &Arguments) -> Result<()> {
    if let Some(label) = arguments.find("crash") {
        pressluft::crash_point::arm(label, arguments.number("hit", 1)?);
    }
    Ok(())
}

/// Says where a program ends whose arguments are its own: `LABEL@HIT`.
pub(crate) const CRASH: &str = "PRESSLUFT_FAULTS_CRASH";

/// Does what [`CRASH`] says.
pub(crate) fn arm_by_environment() -> Result<()> {
    let Ok(text) = std::env::var(CRASH) else {
        return Ok(());
    };
    let (label, hit) = text.split_once('@').ok_or("no `LABEL@HIT`")?;
    let words = ["--crash", label, "--hit", hit].map(str::to_owned);
    arm(&Arguments::new(words.into_iter()))
}

#[cfg(not(feature = "crash-points"))]
pub(crate) fn arm(arguments: &Arguments) -> Result<()> {
    match arguments.find("crash") {
        Some(_) => Err("crash points are not compiled in".into()),
        None => Ok(()),
    }
}
