//! One HTTP request, with limits. No message of it holds the address, which may be a secret.

use std::time::Duration;

use ureq::config::Config;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::resolve::Checked;
use crate::core::address::Allowed;

/// From connecting to the last byte of the answer.
const TIME: Duration = Duration::from_secs(15);

/// What sends requests.
#[derive(Clone, Debug)]
pub(super) struct Client(ureq::Agent);

impl Client {
    /// One that asks whatever address it is given: for those of the settings.
    pub(super) fn trusting() -> Self {
        Self(config().new_agent())
    }

    /// One that asks no private address but those of `allow_private`.
    pub(super) fn careful(allow_private: Vec<Allowed>) -> Self {
        let resolver = Checked {
            inner: DefaultResolver::default(),
            allow_private,
        };
        let connector = DefaultConnector::default();
        Self(ureq::Agent::with_parts(config(), connector, resolver))
    }

    /// Posts `body`; why it was not taken, if it was not.
    pub(super) fn post(
        &self,
        address: &str,
        headers: &[(&str, &str)],
        content_type: &str,
        body: &str,
    ) -> Result<(), String> {
        let is_web = address.starts_with("https://") || address.starts_with("http://");
        if !is_web {
            return Err("the address is not one of the web".to_owned());
        }
        let mut request = self.0.post(address).header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send(body) {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!(
                "the other side answered with {}",
                response.status()
            )),
            // These would show the address in another spelling.
            Err(ureq::Error::BadUri(_) | ureq::Error::Http(_)) => {
                Err("the address is malformed".to_owned())
            }
            Err(error) => Err(error.to_string().replace(address, "the address")),
        }
    }
}

fn config() -> Config {
    ureq::Agent::config_builder()
        .timeout_global(Some(TIME))
        .http_status_as_error(false)
        // Whoever is sent elsewhere is not whom the operator named.
        .max_redirects(0)
        // A proxy of the environment would be asked instead of the address, which then nobody looks at.
        .proxy(None)
        .user_agent(concat!("pressluft/", env!("CARGO_PKG_VERSION")))
        .build()
}
