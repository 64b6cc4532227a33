//! `pressluft schema`

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output;
use crate::core::document::{DocumentKind, schema};

/// Print the JSON Schema of documents, for editors and other tools
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The kind of document [default: any of them]
    #[arg(value_enum, ignore_case = true)]
    kind: Option<Kind>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Fleet,
    Node,
    Site,
    Environment,
}

pub(crate) fn run(args: &Args, _context: &Context) -> Result<Exit, CliError> {
    let text = match args.kind {
        None => schema::text(&schema::of_any()),
        Some(Kind::Fleet) => schema::text(schema::of(DocumentKind::Fleet)),
        Some(Kind::Node) => schema::text(schema::of(DocumentKind::Node)),
        Some(Kind::Site) => schema::text(schema::of(DocumentKind::Site)),
        Some(Kind::Environment) => schema::text(schema::of(DocumentKind::Environment)),
    };
    output::print(&text)?;
    Ok(Exit::Done)
}
