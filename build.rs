//! Prepares what the binary embeds of `ansible/`: all but tests, caches and tools for developers.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo hands its paths to build scripts this way"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let source = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or("no manifest")?);
    let target = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no output directory")?);
    let target = target.join("ansible");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=ansible");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    copy(&source.join("ansible"), &target)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let unwanted = name.to_string_lossy().starts_with('.')
            || name == "tests"
            || name == "__pycache__"
            || name == "requirements-dev.txt";
        if unwanted {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
