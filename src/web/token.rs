//! Random tokens, of which only digests are kept.

use data_encoding::BASE64URL_NOPAD;

/// What API tokens begin with, so that scanners for leaked secrets find them.
const PREFIX: &str = "plt_";

/// A new bearer token for scripts. It is shown once.
#[must_use]
pub fn new_api_token() -> String {
    format!("{PREFIX}{}", new_session_token())
}

/// 256 random bits as 43 characters.
pub(super) fn new_session_token() -> String {
    let random: [u8; 32] = rand::random();
    BASE64URL_NOPAD.encode(&random)
}

/// What is kept of a token. It is long and random, so nobody can find it by trying.
#[must_use]
pub fn digest(token: &str) -> [u8; 32] {
    blake3::derive_key("pressluft 2026 web token v1", token.as_bytes())
}
