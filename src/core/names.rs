//! Names that Pressluft derives for an environment: system user, paths, preview host.
//!
//! They are functions of the ids alone, so that every part of the program, on every run,
//! arrives at the same ones, and no two environments share one.

use std::net::IpAddr;

use super::facts::NodeFacts;

/// The longest user name that Linux tools accept.
const LONGEST_USER: usize = 32;
/// So many hexadecimal digits stand for what was cut off.
const DIGEST: usize = 10;

/// Names of one environment on its node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EnvironmentNames {
    /// Linux user, database, database user, FPM pool and the name in its units, all the same word.
    pub system: String,
    /// `/var/www/sites/<site>/<environment>`.
    pub root: String,
    /// `/var/lib/pressluft/sites/<site>/<environment>`, root's own, for logs and mail.
    pub state: String,
    /// The first label of the preview host: `acme`, `staging--acme`.
    pub label: String,
    /// The full preview host name, or none while the node's address is unknown.
    pub preview_host: Option<String>,
}

impl EnvironmentNames {
    /// Where the environment answers without a domain of its own.
    #[must_use]
    pub fn preview_url(&self) -> Option<String> {
        let host = self.preview_host.as_ref()?;
        Some(format!("http://{host}"))
    }
}

/// The address that visitors reach the node at: `public_ip` of its document, else its `host` when
/// that is an address, else the first one that the node itself has.
#[must_use]
pub fn public_address(
    public_ip: Option<&str>,
    host: Option<&str>,
    facts: Option<&NodeFacts>,
) -> Option<IpAddr> {
    let mut from_document = [public_ip, host].into_iter().flatten();
    let from_document = from_document.find_map(|text| text.parse().ok());
    from_document.or_else(|| facts?.ipv4.iter().find_map(|address| address.parse().ok()))
}

/// The names of the environment `environment` of `site`.
///
/// `address` is the node's public address, `preview_domain` the fleet's wildcard domain.
#[must_use]
pub fn environment_names(
    site: &str,
    environment: &str,
    address: Option<IpAddr>,
    preview_domain: Option<&str>,
) -> EnvironmentNames {
    let label = preview_label(site, environment);
    let preview_host = match (preview_domain, address) {
        (Some(domain), _) => Some(format!("{label}.{domain}")),
        (None, Some(address)) => Some(format!("{label}.{}.sslip.io", dashed(address))),
        (None, None) => None,
    };
    EnvironmentNames {
        system: system_name(site, environment),
        root: format!("/var/www/sites/{site}/{environment}"),
        state: format!("/var/lib/pressluft/sites/{site}/{environment}"),
        label,
        preview_host,
    }
}

/// `wp_<site>_<environment>`, or, where that is too long for a user name, its head and a
/// digest of the whole. The name of an environment may be chosen so that it looks like the digest of
/// another one: what looks like that has a digest of its own. Two environments of one fleet never
/// have the same name besides, see `same-system-name` of the rules.
#[must_use]
pub fn system_name(site: &str, environment: &str) -> String {
    let full = format!("wp_{site}_{environment}");
    if full.len() <= LONGEST_USER && !looks_shortened(&full) {
        return full;
    }
    let digest = blake3::hash(full.as_bytes()).to_hex();
    let head = full.len().min(LONGEST_USER) - DIGEST - 1;
    format!("{}_{}", &full[..head], &digest[..DIGEST])
}

/// Whether the name could be a head and a digest.
fn looks_shortened(name: &str) -> bool {
    let is_digest = |end: &str| {
        end.len() == DIGEST
            && end
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    name.len() == LONGEST_USER && name.rsplit_once('_').is_some_and(|(_, end)| is_digest(end))
}

/// Slugs hold no `--`, so the label of an environment is never that of another site. DNS
/// labels end at 63 characters; longer ones keep their head and gain a digest.
fn preview_label(site: &str, environment: &str) -> String {
    let full = if environment == "production" {
        site.to_owned()
    } else {
        format!("{environment}--{site}")
    };
    if full.len() <= 63 {
        return full;
    }
    let digest = blake3::hash(full.as_bytes()).to_hex();
    format!("{}--{}", full[..51].trim_end_matches('-'), &digest[..10])
}

fn dashed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string().replace('.', "-"),
        IpAddr::V6(v6) => v6.to_string().replace(':', "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_environment_gets_its_names() {
        let address = "203.0.113.10".parse().ok();
        let names = environment_names("acme", "staging", address, None);
        assert_eq!(names.system, "wp_acme_staging");
        assert_eq!(names.root, "/var/www/sites/acme/staging");
        assert_eq!(
            names.preview_host.as_deref(),
            Some("staging--acme.203-0-113-10.sslip.io")
        );
        let names = environment_names("acme", "production", address, Some("wp.example.com"));
        assert_eq!(names.preview_host.as_deref(), Some("acme.wp.example.com"));
    }

    #[test]
    fn nobody_chooses_the_name_that_another_one_was_given() {
        let victim = system_name("acme-international-shop", "production");
        assert_eq!(victim, "wp_acme-international_cec75f1501");
        assert_ne!(system_name("acme-international", "cec75f1501"), victim);
        // A name of that length that is no digest stays as it is.
        let plain = system_name("acme-international", "production");
        assert_eq!(plain, "wp_acme-international_production");
    }

    fn slug() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,9}){0,3}"
    }

    proptest! {
        #[test]
        fn names_never_collide_and_fit(a in (slug(), slug()), b in (slug(), slug())) {
            prop_assume!(a != b);
            let (left, right) = (
                environment_names(&a.0, &a.1, None, None),
                environment_names(&b.0, &b.1, None, None),
            );
            prop_assert_ne!(&left.system, &right.system);
            prop_assert_ne!(&left.label, &right.label);
            prop_assert!(left.system.len() <= LONGEST_USER && left.label.len() <= 63);
        }
    }
}
