//! The template engine: syntax, filters, and errors without values in them.

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::context::Named;
use super::templates::source;
use super::{RenderError, quoting};
use std::collections::BTreeMap;

/// How many steps of the engine one file may take: ours take some hundreds.
const FUEL: u64 = 2_000_000;

/// How long one file may become.
pub(super) const LONGEST: usize = 1 << 20;

/// Renders one of our own templates, which are trusted.
pub(super) fn render(name: &str, view: &Value, named: &Named) -> Result<String, RenderError> {
    let mut engine = engine(named.clone()).map_err(|error| failure(name, &error))?;
    engine.set_loader(|path| Ok(source(path).map(str::to_owned)));
    engine
        .get_template(name)
        .and_then(|template| template.render(view))
        .map_err(|error| failure(name, &error))
}

/// Renders a template of the fleet repo, bounded in steps and in length. Memory and stack are not:
/// this is for a process of its own. `sources` are what it may include besides ours.
pub(super) fn render_untrusted(
    name: &str,
    sources: &BTreeMap<String, String>,
    view: &Value,
    named: &Named,
) -> Result<String, RenderError> {
    let failed = |error: &Error| failure(name, error);
    let mut engine = engine(named.clone()).map_err(|error| failed(&error))?;
    engine.set_fuel(Some(FUEL));
    let sources = sources.clone();
    engine.set_loader(move |path| {
        let own = sources.get(path).cloned();
        Ok(own.or_else(|| source(path).map(str::to_owned)))
    });
    let mut file = Bounded::default();
    let rendered = engine
        .get_template(name)
        .and_then(|template| template.render_captured_to(view, &mut file).map(drop));
    match rendered {
        Ok(()) => String::from_utf8(file.bytes).map_err(|_| RenderError::Template {
            template: name.to_owned(),
            line: None,
            reason: "it is not UTF-8".to_owned(),
        }),
        Err(_) if file.is_full => Err(RenderError::TooExpensive {
            template: name.to_owned(),
            bound: "its file becomes longer than 1 MiB".to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::OutOfFuel => Err(RenderError::TooExpensive {
            template: name.to_owned(),
            bound: format!("it takes more than {FUEL} steps"),
        }),
        Err(error) => Err(failed(&error)),
    }
}

/// A file that may become so long and no longer.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > LONGEST - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn engine<'a>(named: Named) -> Result<Environment<'a>, Error> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .lstrip_blocks(true);
    engine.set_syntax(syntax.build()?);
    add_filters(&mut engine, named);
    Ok(engine)
}

/// The reason without the values: they may be secrets.
fn failure(name: &str, error: &Error) -> RenderError {
    // What goes wrong in an included template is told with its own name.
    let template = error.name().filter(|at| source(at).is_some());
    RenderError::Template {
        template: template.unwrap_or(name).to_owned(),
        line: error.line(),
        reason: match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        },
    }
}

fn add_filters(engine: &mut Environment<'_>, named: Named) {
    engine.add_filter("php_single_quoted", |text: &str| {
        quoting::php_single_quoted(text)
    });
    engine.add_filter("php_value", |value: Value| quoting::php_value(&value));
    engine.add_filter("nginx_literal", |text: &str| quoting::nginx_literal(text));
    engine.add_filter("nginx_value", |text: &str| quoting::nginx_value(text));
    engine.add_filter("header_name", |text: &str| quoting::header_name(text));
    engine.add_filter("host_name", |text: &str| quoting::host_name(text));
    engine.add_filter("ini_key", |text: &str| quoting::ini_key(text));
    engine.add_filter("ini_value", |value: Value| quoting::ini_value(&value));
    engine.add_filter("ip_network", |text: &str| quoting::ip_network(text));
    engine.add_filter("ip_family", |text: &str| quoting::ip_family(text));
    engine.add_filter("package_name", |text: &str| quoting::package_name(text));
    engine.add_filter("htpasswd_user", |text: &str| quoting::htpasswd_user(text));
    engine.add_filter("sha256", |text: &str| quoting::sha256(text));
    engine.add_filter("resolve", move |value: Value| -> Result<Value, Error> {
        let Some(text) = value.as_str() else {
            return Ok(value);
        };
        match named.resolve(text) {
            Ok(text) => Ok(Value::from(text)),
            Err(error) => Err(Error::new(ErrorKind::InvalidOperation, error.to_string())),
        }
    });
}
