//! Whether a commit is signed by somebody on the list, by the programs that git itself asks.
//!
//! The list is outside of the fleet repo, or whoever may push could add himself to it: an
//! `allowed_signers` file for SSH keys, and exported public keys for OpenPGP.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use data_encoding::BASE64;
use tempfile::TempDir;

use super::error::GitError;
use super::history::Signature;
use crate::core::plain_text;
use crate::process;

/// Who may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    /// In the form of `ssh-keygen(1)`, `ALLOWED SIGNERS`; may be missing.
    pub allowed_signers: PathBuf,
    /// A directory of exported OpenPGP keys, `*.asc`, `*.gpg` or `*.pgp`; may be missing.
    pub keys: PathBuf,
}

/// What a signature is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Made by this signer: a principal of the list, or the fingerprint of a key.
    By(String),
    /// Made by a key that is not on the list, or not any more.
    Unknown,
    /// It does not fit what it signs, or is none at all.
    Bad,
}

/// What `signature` is worth.
///
/// # Errors
/// [`GitError::Io`] when the lists cannot be read or the programs cannot be started.
pub fn verify(signature: &Signature, signers: &Signers) -> Result<Verified, GitError> {
    if signature
        .armored
        .starts_with(b"-----BEGIN SSH SIGNATURE-----")
    {
        verify_ssh(signature, &signers.allowed_signers)
    } else if signature
        .armored
        .starts_with(b"-----BEGIN PGP SIGNATURE-----")
    {
        verify_openpgp(signature, &signers.keys)
    } else {
        Ok(Verified::Bad)
    }
}

fn verify_ssh(signature: &Signature, list: &Path) -> Result<Verified, GitError> {
    if !list.exists() {
        return Ok(Verified::Unknown);
    }
    let directory = scratch()?;
    let file = directory.path().join("signature");
    write(&file, &signature.armored)?;
    // `ssh-keygen` would take a mark for a part of the first name.
    let written = fs::read(list).map_err(|error| GitError::io("read", list, error))?;
    let list = &directory.path().join("allowed_signers");
    write(
        list,
        &plain_text::pieces(&written).collect::<Vec<_>>().concat(),
    )?;
    let start = |action: &str| {
        let mut command = process::command("ssh-keygen");
        command
            .args(["-Y", action, "-f"])
            .arg(list)
            .arg("-s")
            .arg(&file);
        command
    };
    let found = start("find-principals")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| GitError::io("start", Path::new("ssh-keygen"), error))?;
    let principals = String::from_utf8_lossy(&found.stdout).into_owned();
    let Some(principal) = principals.lines().next().filter(|_| found.status.success()) else {
        return Ok(Verified::Unknown);
    };
    let mut child = start("verify")
        .args(["-n", "git", "-I", principal])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| GitError::io("start", Path::new("ssh-keygen"), error))?;
    if let Some(mut input) = child.stdin.take()
        && let Err(error) = input.write_all(&signature.signed)
    {
        // It ends before it has read everything when the signature is of another kind.
        tracing::debug!(%error, "ssh-keygen did not read what is signed");
    }
    let status = child
        .wait()
        .map_err(|error| GitError::io("wait for", Path::new("ssh-keygen"), error))?;
    Ok(if status.success() {
        Verified::By(principal.to_owned())
    } else {
        Verified::Bad
    })
}

fn verify_openpgp(signature: &Signature, keys: &Path) -> Result<Verified, GitError> {
    let keyring = keyring(keys)?;
    if keyring.is_empty() {
        return Ok(Verified::Unknown);
    }
    let directory = scratch()?;
    let at = |name: &str| directory.path().join(name);
    write(&at("keyring"), &keyring)?;
    write(&at("signature"), &signature.armored)?;
    write(&at("signed"), &signature.signed)?;
    let output = process::command("gpgv")
        .arg("--homedir")
        .arg(directory.path())
        .args(["--status-fd", "1", "--keyring"])
        .arg(at("keyring"))
        .args([at("signature"), at("signed")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| GitError::io("start", Path::new("gpgv"), error))?;
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(judge(&status, output.status.success()))
}

/// What `gpgv` says: one good signature, by a key that is neither expired nor revoked.
fn judge(status: &str, succeeded: bool) -> Verified {
    let words = |word: &str| {
        let line = format!("[GNUPG:] {word} ");
        let found = status.lines().find_map(|text| text.strip_prefix(&line));
        found.map(str::to_owned)
    };
    let fingerprint = words("VALIDSIG")
        .as_deref()
        .and_then(|rest| rest.split(' ').next().map(str::to_owned));
    match fingerprint {
        Some(fingerprint) if succeeded && words("GOODSIG").is_some() => Verified::By(fingerprint),
        _ if words("BADSIG").is_some() => Verified::Bad,
        _ if words("NO_PUBKEY").is_some()
            || words("EXPKEYSIG").is_some()
            || words("REVKEYSIG").is_some()
            || words("EXPSIG").is_some() =>
        {
            Verified::Unknown
        }
        _ => Verified::Bad,
    }
}

/// All exported keys in one keyring, as `gpgv` reads it.
fn keyring(directory: &Path) -> Result<Vec<u8>, GitError> {
    let cannot = |error| GitError::io("read", directory, error);
    let mut keyring = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(keyring),
        Err(error) => return Err(cannot(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(cannot)?;
    paths.sort();
    for path in paths {
        let is_key = path
            .extension()
            .is_some_and(|end| end == "asc" || end == "gpg" || end == "pgp");
        if is_key {
            let content = fs::read(&path).map_err(|error| GitError::io("read", &path, error))?;
            keyring.extend(dearmored(content));
        }
    }
    Ok(keyring)
}

/// The bytes of armoured keys; what is not armoured stays as it is.
fn dearmored(content: Vec<u8>) -> Vec<u8> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let Some(text) = std::str::from_utf8(&content)
        .ok()
        .filter(|text| text.contains(BEGIN))
    else {
        return content;
    };
    let mut bytes = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let body = block.split("-----END").next().unwrap_or_default();
        let lines = body.lines().map(str::trim);
        // Headers have a colon, the checksum starts with an equals sign.
        let data: String = lines
            .filter(|line| !line.contains(':') && !line.starts_with('='))
            .collect();
        bytes.extend(BASE64.decode(data.as_bytes()).unwrap_or_default());
    }
    bytes
}

fn scratch() -> Result<TempDir, GitError> {
    tempfile::tempdir()
        .map_err(|error| GitError::io("make a directory in", &std::env::temp_dir(), error))
}

fn write(path: &Path, content: &[u8]) -> Result<(), GitError> {
    fs::write(path, content).map_err(|error| GitError::io("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_signature_of_a_key_that_counts_is_taken() {
        let valid = "[GNUPG:] VALIDSIG ABCD 2026-02-22 1 0\n";
        let by = |line: &str| judge(&format!("{line}\n{valid}"), true);
        assert_eq!(
            by("[GNUPG:] GOODSIG 1 Robin"),
            Verified::By("ABCD".to_owned())
        );
        assert_eq!(by("[GNUPG:] EXPKEYSIG 1 Robin"), Verified::Unknown);
        assert_eq!(by("[GNUPG:] REVKEYSIG 1 Robin"), Verified::Unknown);
        assert_eq!(judge("[GNUPG:] BADSIG 1 Robin\n", false), Verified::Bad);
        assert_eq!(judge("[GNUPG:] NO_PUBKEY 1\n", false), Verified::Unknown);
        assert_eq!(judge("", false), Verified::Bad);
    }

    #[test]
    fn several_armoured_keys_in_a_file_are_all_read() {
        let block = |data: &str| {
            format!(
                "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\n{data}\n=abcd\n\
                 -----END PGP PUBLIC KEY BLOCK-----\n"
            )
        };
        let text = format!("{}{}", block("AQI="), block("Aw=="));
        assert_eq!(dearmored(text.into_bytes()), [1, 2, 3]);
        assert_eq!(dearmored(vec![0x99, 1]), [0x99, 1]);
    }
}
