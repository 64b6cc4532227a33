//! Who may come in: users, their sessions and tokens, and what slows down who guesses.

pub(super) mod api_token;
pub(super) mod login;
pub(super) mod session;
pub(super) mod user;
