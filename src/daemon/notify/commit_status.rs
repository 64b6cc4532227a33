//! Commit statuses: the mark beside a commit on the pages of a git host.

use serde_json::json;

use super::post::Client;
use crate::secrets::Secret;
use crate::store::Message;

/// The name of the channel.
pub(super) const CHANNEL: &str = "commit-status";

/// What the mark is about, where a host shows several.
const CONTEXT: &str = "pressluft";

/// Whose interface it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GitHost {
    Github,
    Gitlab,
    Gitea,
    Forgejo,
}

/// Where the statuses of commits go.
#[expect(missing_debug_implementations, reason = "holds a token")]
pub struct StatusTarget {
    pub host: GitHost,
    /// Such as `https://api.github.com` or `https://git.example`.
    pub api: String,
    /// Such as `studio/fleet`.
    pub repository: String,
    pub token: Secret<String>,
}

impl StatusTarget {
    /// Sends the last of several messages about each commit.
    pub(super) fn send(&self, client: &Client, messages: &[Message]) -> Result<(), String> {
        for (index, message) in messages.iter().enumerate() {
            let is_last = messages[index + 1..]
                .iter()
                .all(|later| later.subject != message.subject);
            if is_last {
                self.send_one(client, message)?;
            }
        }
        Ok(())
    }

    fn send_one(&self, client: &Client, message: &Message) -> Result<(), String> {
        let field = |name: &str| message.detail[name].as_str().unwrap_or_default();
        let (state, commit) = (field("state"), &message.subject);
        // Hosts take no more.
        let description: String = field("description").chars().take(140).collect();
        let api = self.api.trim_end_matches('/');
        let token = self.token.expose().trim();
        let (address, header, body) = match self.host {
            GitHost::Github => (
                format!("{api}/repos/{}/statuses/{commit}", self.repository),
                ("authorization", format!("Bearer {token}")),
                json!({ "state": state, "context": CONTEXT, "description": description }),
            ),
            GitHost::Gitea | GitHost::Forgejo => (
                format!("{api}/api/v1/repos/{}/statuses/{commit}", self.repository),
                ("authorization", format!("token {token}")),
                json!({ "state": state, "context": CONTEXT, "description": description }),
            ),
            GitHost::Gitlab => {
                let project = self.repository.replace('/', "%2F");
                // It has words of its own.
                let state = if state == "failure" { "failed" } else { state };
                (
                    format!("{api}/api/v4/projects/{project}/statuses/{commit}"),
                    ("private-token", token.to_owned()),
                    json!({ "state": state, "name": CONTEXT, "description": description }),
                )
            }
        };
        let header = (header.0, header.1.as_str());
        client.post(&address, &[header], "application/json", &body.to_string())
    }
}
