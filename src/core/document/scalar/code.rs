//! Code, keys, artefacts and one-shot tokens.

use super::{Malformed, only, printable, quoted, text_scalar};

text_scalar! {
    /// Where a git repository is cloned from: `https://` or SSH.
    GitUrl, "git-url", ["https://git.example.com/acme/wp.git", "git@git.example.com:acme/wp.git"], git_url
}

text_scalar! {
    /// A tag, branch or commit.
    GitRef, "git-ref", ["v1.4.0", "main"], git_ref
}

text_scalar! {
    /// A command that runs in a checkout.
    Command, "command", ["composer install --no-dev", "npm run build"], command
}

text_scalar! {
    /// A word that makes a one-shot run once, ever; a new word makes it run again.
    Token, "token", ["2026-02-22-relaunch"], token
}

text_scalar! {
    /// A SHA-256 digest in hexadecimal.
    Sha256, "sha256", ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"], sha256
}

text_scalar! {
    /// A SHA-512 digest in hexadecimal.
    Sha512, "sha512", ["cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"], sha512
}

text_scalar! {
    /// Which backup: `latest`, or the id that `pressluft get backups` shows.
    BackupId, "backup-id", ["latest", "0198c1a2-7d2f-7b0e-9c51-2f6f0e9f8a10"], backup_id
}

text_scalar! {
    /// A restic repository.
    BackupRepository, "backup-repository", ["s3:https://s3.example.com/studio", "/srv/backups"],
    backup_repository
}

text_scalar! {
    /// The public half of an age key.
    AgeRecipient, "age-recipient",
    ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"], age_recipient
}

text_scalar! {
    /// The public SSH key of a host.
    HostKey, "host-key",
    ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"], host_key
}

text_scalar! {
    /// The public SSH key of a person, with an optional comment.
    SshPublicKey, "ssh-public-key",
    ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f editor"],
    ssh_public_key
}

text_scalar! {
    /// The name of a Debian package.
    PackageName, "package-name", ["linux-image-amd64"], package_name
}

impl GitRef {
    /// The branch `main`.
    #[must_use]
    pub fn standard() -> Self {
        Self("main".to_owned())
    }
}

fn git_url(text: &str) -> Result<(), Malformed> {
    let refuse =
        |why: &str| {
            Err(Malformed::new(format!("{} is not a git address: {why}", quoted(text))).hint(
            "write `https://git.example.com/acme/wp.git` or `git@git.example.com:acme/wp.git`",
        ))
        };
    printable(text)?;
    if text.len() > 1024 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse("it holds a space or a character outside ASCII");
    }
    let rest = match (text.strip_prefix("https://"), text.strip_prefix("ssh://")) {
        (Some(rest), _) => {
            if rest
                .split('/')
                .next()
                .is_some_and(|host| host.contains('@'))
            {
                return Err(Malformed::new("the git address holds credentials")
                    .hint("leave them out; access is granted to the control plane's key"));
            }
            rest
        }
        (_, Some(rest)) => rest,
        _ if text.contains("://") || text.contains("::") => {
            return refuse("only https and SSH are supported");
        }
        _ => match text.split_once(':') {
            Some((host, path)) if host.contains('@') && !path.starts_with('-') => host,
            _ => return refuse("it begins with neither `https://`, `ssh://` nor `user@host:`"),
        },
    };
    if rest.starts_with('-') || rest.contains("@-") || rest.split('/').any(|part| part == "..") {
        return refuse("a part of it could be taken for an option or leads upwards");
    }
    Ok(())
}

fn git_ref(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._/-+".contains(c);
    only(
        text,
        "a git reference",
        200,
        allowed,
        "letters, digits, `.`, `_`, `/`, `-` and `+`",
    )?;
    let fits = !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("//");
    if fits {
        return Ok(());
    }
    Err(
        Malformed::new(format!("{} is not a git reference", quoted(text)))
            .hint("write a tag, branch or commit such as `v1.4.0`"),
    )
}

fn command(text: &str) -> Result<(), Malformed> {
    printable(text)?;
    if text.trim().is_empty() {
        return Err(Malformed::new("the command is empty"));
    }
    if text.len() > 2000 {
        return Err(Malformed::new("the command is longer than 2000 characters")
            .hint("put it into a script of the repository"));
    }
    Ok(())
}

fn token(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    only(
        text,
        "a token",
        100,
        allowed,
        "letters, digits, `.`, `_` and `-`",
    )
}

fn sha256(text: &str) -> Result<(), Malformed> {
    digest(text, "SHA-256", 64, "sha256sum")
}

fn sha512(text: &str) -> Result<(), Malformed> {
    digest(text, "SHA-512", 128, "sha512sum")
}

fn digest(text: &str, name: &str, length: usize, program: &str) -> Result<(), Malformed> {
    let fits = text.len() == length
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if fits {
        return Ok(());
    }
    Err(
        Malformed::new(format!("{} is not a {name} digest", quoted(text))).hint(format!(
            "write the {length} lower-case hexadecimal digits that `{program}` prints"
        )),
    )
}

fn backup_id(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    only(
        text,
        "the id of a backup",
        64,
        allowed,
        "letters, digits and `-`",
    )?;
    if text.starts_with('-') {
        return Err(Malformed::new(format!(
            "{} is not the id of a backup",
            quoted(text)
        )));
    }
    Ok(())
}

fn backup_repository(text: &str) -> Result<(), Malformed> {
    printable(text)?;
    let schemes = [
        "s3:", "sftp:", "rest:", "b2:", "azure:", "gs:", "swift:", "rclone:", "/",
    ];
    let fits = text.len() <= 1024
        && text.bytes().all(|b| b.is_ascii_graphic())
        && schemes.iter().any(|scheme| text.starts_with(scheme))
        && !text.split('/').any(|part| part == "..");
    if !fits {
        return Err(
            Malformed::new(format!("{} is not a restic repository", quoted(text)))
                .hint("write it like `s3:https://s3.example.com/studio` or `/srv/backups`"),
        );
    }
    let authority = text
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    if authority.is_some_and(|host| host.contains('@')) {
        return Err(Malformed::new("the repository address holds credentials")
            .hint("leave them out and name a secret in `credentials`"));
    }
    Ok(())
}

fn age_recipient(text: &str) -> Result<(), Malformed> {
    let fits = text.len() == 62
        && text.strip_prefix("age1").is_some_and(|rest| {
            rest.bytes()
                .all(|b| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&b))
        });
    if fits {
        return Ok(());
    }
    if text.starts_with("AGE-SECRET-KEY-") {
        return Err(
            Malformed::new("this is the secret half of an age key").hint(
                "replace the key, for it was written down here, and write the new `age1…` half",
            ),
        );
    }
    Err(
        Malformed::new(format!("{} is not an age recipient", quoted(text)))
            .hint("write the `age1…` line that `pressluft secret keygen` prints"),
    )
}

fn host_key(text: &str) -> Result<(), Malformed> {
    key(text, 2)
}

fn ssh_public_key(text: &str) -> Result<(), Malformed> {
    key(text, usize::MAX)
}

fn key(text: &str, most_parts: usize) -> Result<(), Malformed> {
    const TYPES: [&str; 7] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    let refuse = |why: &str| {
        Err(
            Malformed::new(format!("this is not a public SSH key: {why}"))
                .hint("write it like `ssh-ed25519 AAAA…`"),
        )
    };
    if text.contains("PRIVATE KEY") {
        return refuse("it is a private key, which should be replaced");
    }
    printable(text)?;
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind, data, ..] = parts.as_slice() else {
        return refuse("it does not have a type and data");
    };
    if !TYPES.contains(kind) {
        return refuse("its type is not known");
    }
    if parts.len() > most_parts {
        return refuse("there is something after the data");
    }
    let Ok(bytes) = data_encoding::BASE64.decode(data.as_bytes()) else {
        return refuse("its data is not base64");
    };
    // The data repeats the type, with its length in front.
    let named = bytes
        .get(4..4 + kind.len())
        .is_some_and(|name| name == kind.as_bytes());
    if text.len() > 8192 || !named {
        return refuse("its data does not belong to its type");
    }
    Ok(())
}

fn package_name(text: &str) -> Result<(), Malformed> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    only(
        text,
        "a package name",
        100,
        allowed,
        "lower-case letters, digits, `+`, `-` and `.`",
    )?;
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "{} is not a package name",
        quoted(text)
    )))
}
