//! Names of notifications' addresses. Whoever may commit says where notifications go, so private
//! addresses are asked only when the settings of the control plane allow them.

use std::io;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::core::address::{Allowed, is_private};

/// Finds addresses that may be asked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) inner: DefaultResolver,
    pub(super) allow_private: Vec<Allowed>,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let name = uri.host().unwrap_or_default().to_ascii_lowercase();
        let is_named = self.allow_private.contains(&Allowed::Name(name));
        let mut asked = self.empty();
        for address in found.iter() {
            let ip = address.ip();
            if is_named || !is_private(ip) || self.allow_private.iter().any(|entry| entry.has(ip)) {
                asked.push(*address);
            }
        }
        match asked.is_empty() {
            false => Ok(asked),
            true => Err(Error::Io(io::Error::other(
                "it leads to a private address, which `sources.allow_private` of `pressluft.toml` does not have",
            ))),
        }
    }
}
