//! Names of secrets: also paths below `secrets/`, so nothing in them leads elsewhere.

use std::fmt;
use std::str::FromStr;

use super::error::SecretError;

/// The longest name, so that `<name>.age` is a file name everywhere.
const LONGEST: usize = 200;

/// The checked name of a secret, for example `dns/cloudflare`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SecretName {
    type Err = SecretError;

    /// With or without `secret:` in front, as references are written.
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let name = text.strip_prefix("secret:").unwrap_or(text);
        let fits = name.len() <= LONGEST && name.split('/').all(is_part);
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(SecretError::BadName(text.to_owned()))
        }
    }
}

fn is_part(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    part.bytes().next().is_some_and(alphanumeric)
        && part
            .bytes()
            .all(|byte| alphanumeric(byte) || b"._-".contains(&byte))
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_relative_paths() {
        for good in ["s3", "dns/cloudflare", "acme/staging_2", "a.b-c", "0"] {
            let name: SecretName = good.parse().expect("valid");
            assert_eq!(name.as_str(), good);
        }
        assert_eq!(
            "secret:s3".parse::<SecretName>().expect("valid").as_str(),
            "s3"
        );
        let long = "a".repeat(LONGEST + 1);
        for bad in [
            "", "/", "a/", "/a", "a//b", "../a", "a/..", "a..b", "A", "ä", ".a", "-a", "a b",
            "a\n", &long,
        ] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
        }
    }
}
