//! `pressluft user`

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::open;
use super::output::{self, Format};
use super::secret::input;
use crate::clock;
use crate::core::document::scalar::Duration;
use crate::store::{ApiToken, User};
use crate::web::{new_api_token, password, token_digest};

/// Users log in at the status endpoint and only look. Scripts use tokens: `Authorization: Bearer
/// TOKEN`. Passwords are read from standard input, or asked for on a terminal.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Add a user
    Add(NameArgs),
    /// Set another password; all sessions of the user end
    Passwd(NameArgs),
    /// End all sessions of a user
    Logout(NameArgs),
    /// List users and tokens
    List(ListArgs),
    /// Remove a user; all sessions of the user end
    Remove(NameArgs),
    /// Make a token for scripts and print it, this once
    Token(TokenArgs),
}

#[derive(clap::Args, Debug)]
struct NameArgs {
    /// Letters, digits, `.`, `_`, `-` and `@`
    #[arg(value_parser = parse_name)]
    name: String,
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(clap::Args, Debug)]
struct TokenArgs {
    /// What the token is for, such as `prometheus`
    #[arg(value_parser = parse_name)]
    name: String,
    /// How long it is good for, such as `90d` [default: until it is revoked]
    #[arg(long, value_name = "DURATION")]
    expires: Option<Duration>,
    /// Revoke the token of this name in place of making one
    #[arg(long, conflicts_with = "expires")]
    revoke: bool,
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_fine) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 letters, digits, `.`, `_`, `-` and `@`".to_owned())
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::Add(args) => {
            let hash = read_password(&args.name)?;
            let mut store = open::for_writing(context)?;
            store.add_user(&args.name, &hash, &actor(), clock::now())?;
            output::note(&format!("`{}` may log in", args.name))?;
        }
        Command::Passwd(args) => {
            let hash = read_password(&args.name)?;
            let mut store = open::for_writing(context)?;
            store.set_password(&args.name, &hash, &actor(), clock::now())?;
            output::note("the password is set, and all sessions have ended")?;
        }
        Command::Logout(args) => {
            let ended =
                open::for_writing(context)?.end_sessions(&args.name, &actor(), clock::now())?;
            output::note(&format!("{ended} sessions of `{}` have ended", args.name))?;
        }
        Command::Remove(args) => {
            open::for_writing(context)?.remove_user(&args.name, &actor(), clock::now())?;
            output::note(&format!("`{}` is removed", args.name))?;
        }
        Command::Token(args) => token(args, context)?,
        Command::List(args) => list(args, context)?,
    }
    Ok(Exit::Done)
}

fn read_password(name: &str) -> Result<String, CliError> {
    let value = input::password(name)?;
    password::hash(value.expose()).map_err(CliError::new)
}

fn token(args: &TokenArgs, context: &Context) -> Result<(), CliError> {
    let now = clock::now();
    let mut store = open::for_writing(context)?;
    if args.revoke {
        store.revoke_api_token(&args.name, &actor(), now)?;
        return output::note(&format!("the token `{}` opens nothing any more", args.name));
    }
    if args.expires.is_some_and(|span| span.as_secs() == 0) {
        return Err(CliError::new("`--expires` is no time at all")
            .exit(Exit::Usage)
            .hint("write a span such as `90d`, or leave it out for a token that does not expire"));
    }
    let expires_at = args.expires.map(|span| {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        now.saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX)
    });
    let token = new_api_token();
    store.add_api_token(&args.name, &token_digest(&token), expires_at, &actor(), now)?;
    output::print(&format!("{token}\n"))?;
    output::note("keep it: it is not shown again")
}

fn list(args: &ListArgs, context: &Context) -> Result<(), CliError> {
    let (users, tokens) = match open::if_there(context)? {
        Some(store) => (store.users(clock::now())?, store.api_tokens()?),
        None => (Vec::new(), Vec::new()),
    };
    let whole = json!({ "users": users, "tokens": tokens });
    output::show(args.output, &whole, |_| {
        let rows: Vec<Vec<String>> = users
            .iter()
            .map(user_row)
            .chain(tokens.iter().map(token_row))
            .collect();
        output::table(
            context.width(),
            &["kind", "name", "made", "last used", "expires", "sessions"],
            &rows,
        )
    })
}

fn user_row(user: &User) -> Vec<String> {
    vec![
        "user".to_owned(),
        user.name.clone(),
        output::seconds(user.created_at),
        String::new(),
        String::new(),
        user.sessions.to_string(),
    ]
}

fn token_row(token: &ApiToken) -> Vec<String> {
    let moment = |at: Option<Timestamp>| at.map_or("-".to_owned(), output::seconds);
    vec![
        "token".to_owned(),
        token.name.clone(),
        output::seconds(token.created_at),
        moment(token.last_used_at),
        moment(token.expires_at),
        String::new(),
    ]
}
