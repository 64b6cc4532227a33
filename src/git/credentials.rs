//! How Pressluft logs in where the fleet repo lives.

use std::fmt;
use std::path::PathBuf;

use git2::{Cred, CredentialType};
use zeroize::Zeroizing;

use super::url::RepoUrl;
use crate::core::plain_text;

/// What the caller found in its settings; nothing here is ever shown.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The control plane's own private key.
    pub ssh_key: Option<PathBuf>,
    /// A private key that is in no file, such as a secret.
    pub ssh_key_text: Option<String>,
    /// Whether keys of a running ssh agent may be used as well.
    pub ssh_agent: bool,
    /// The control plane's own `known_hosts`, besides that of the user.
    pub known_hosts: Option<PathBuf>,
    /// Most hosts do not look at the user when there is a token.
    pub https_user: Option<String>,
    pub https_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("ssh_key", &self.ssh_key)
            .field("ssh_agent", &self.ssh_agent)
            .field("known_hosts", &self.known_hosts)
            .finish_non_exhaustive()
    }
}

/// Offers each way of logging in once; libgit2 asks again after every refusal.
pub(super) struct Offer {
    left: Vec<Way>,
}

enum Way {
    Password(String, String),
    Key(PathBuf),
    KeyText(String),
    Agent,
}

impl Offer {
    pub(super) fn new(url: &RepoUrl, credentials: &Credentials) -> Self {
        let mut left = Vec::new();
        // The last one is offered first.
        if credentials.ssh_agent {
            left.push(Way::Agent);
        }
        if let Some(key) = credentials.ssh_key.as_ref().filter(|key| key.exists()) {
            left.push(Way::Key(key.clone()));
        }
        left.extend(credentials.ssh_key_text.clone().map(Way::KeyText));
        let (user, password) = match &url.login {
            Some((user, password)) => (Some(user), password.as_ref()),
            None => (None, None),
        };
        if let Some(password) = password.or(credentials.https_token.as_ref()) {
            let user = user
                .or(credentials.https_user.as_ref())
                .filter(|user| !user.is_empty());
            left.push(Way::Password(
                user.map_or("git", String::as_str).to_owned(),
                password.clone(),
            ));
        }
        Self { left }
    }

    /// The next way that the server takes.
    ///
    /// # Errors
    /// When there is none left.
    pub(super) fn next(
        &mut self,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let user = user.unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        while let Some(way) = self.left.pop() {
            match way {
                Way::Password(user, password) if allowed.is_user_pass_plaintext() => {
                    return Cred::userpass_plaintext(&user, &password);
                }
                Way::Key(key) if allowed.is_ssh_key() => {
                    // What reads the file takes neither a mark nor the line ends of other systems.
                    return match std::fs::read_to_string(&key).map(Zeroizing::new) {
                        Ok(text)
                            if plain_text::unmarked(&text) != &**text || text.contains("\r\n") =>
                        {
                            from_text(user, &text)
                        }
                        Ok(_) | Err(_) => Cred::ssh_key(user, None, &key, None),
                    };
                }
                Way::KeyText(key) if allowed.is_ssh_key() => return from_text(user, &key),
                Way::Agent if allowed.is_ssh_key() => return Cred::ssh_key_from_agent(user),
                Way::Password(..) | Way::Key(_) | Way::KeyText(_) | Way::Agent => {}
            }
        }
        Err(git2::Error::new(
            git2::ErrorCode::Auth,
            git2::ErrorClass::Callback,
            "no key, agent or token that it accepts",
        ))
    }
}

fn from_text(user: &str, key: &str) -> Result<Cred, git2::Error> {
    let key = Zeroizing::new(plain_text::with_line_feeds(key).into_owned());
    Cred::ssh_key_from_memory(user, None, &key, None)
}
