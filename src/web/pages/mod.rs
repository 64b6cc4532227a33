//! The pages: rendered here, readable without a script, kept live by a small one.

pub(super) mod audit;
pub(super) mod environment;
pub(super) mod job;
pub(super) mod jobs;
pub(super) mod login;
mod looks;
pub(super) mod node;
pub(super) mod overview;
mod parts;
pub(super) mod revisions;
pub(super) mod site;
mod text;
mod when;

use axum::response::Response;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, escape_formatter};
use serde::Serialize;

use super::assets::{ICON, SCRIPT, STYLE};
use super::auth::Viewer;
use super::error::{Failure, Result};
use super::reply;

/// Name and text of every template.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../templates/base.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("overview.html", include_str!("../templates/overview.html")),
    ("jobs.html", include_str!("../templates/jobs.html")),
    ("job.html", include_str!("../templates/job.html")),
    ("node.html", include_str!("../templates/node.html")),
    ("site.html", include_str!("../templates/site.html")),
    (
        "environment.html",
        include_str!("../templates/environment.html"),
    ),
    (
        "revisions.html",
        include_str!("../templates/revisions.html"),
    ),
    ("audit.html", include_str!("../templates/audit.html")),
    ("login.html", include_str!("../templates/login.html")),
    ("failure.html", include_str!("../templates/failure.html")),
];

/// The templates, ready to render.
#[derive(Debug)]
pub(super) struct Pages {
    engine: Environment<'static>,
}

/// What every page has around its content.
#[derive(Debug, Serialize)]
struct Frame<'a, T> {
    title: &'a str,
    /// The entry of the navigation that this page belongs to.
    section: &'a str,
    user: Option<&'a str>,
    style: &'a str,
    script: &'a str,
    icon: &'a str,
    page: T,
}

/// Title and section of a page.
#[derive(Clone, Copy)]
pub(super) struct Heading<'a> {
    pub(super) title: &'a str,
    pub(super) section: &'a str,
}

impl Pages {
    pub(super) fn new() -> std::result::Result<Self, Error> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_auto_escape_callback(|_| AutoEscape::Html);
        engine.set_formatter(|out, state, value| match value.as_str() {
            Some(text) if !value.is_safe() && *state.auto_escape() == AutoEscape::Html => {
                Ok(out.write_str(&text::escape(text))?)
            }
            Some(_) | None => escape_formatter(out, state, value),
        });
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        engine.set_syntax(syntax.build()?);
        engine.add_filter("coded", |value: &str| {
            Value::from_safe_string(text::coded(value))
        });
        for (name, source) in TEMPLATES {
            engine.add_template(name, source)?;
        }
        Ok(Self { engine })
    }

    /// A page for somebody who is logged in.
    pub(super) fn show(
        &self,
        template: &str,
        heading: Heading<'_>,
        viewer: &Viewer,
        page: impl Serialize,
    ) -> Result<Response> {
        self.render(template, heading, Some(&viewer.name), page)
            .map(reply::html)
    }

    /// The login page.
    pub(super) fn login(&self, next: &str, user: &str, wrong: Option<&str>) -> Result<String> {
        let page = serde_json::json!({ "next": next, "user": user, "wrong": wrong });
        let heading = Heading {
            title: "Log in",
            section: "",
        };
        self.render("login.html", heading, None, page)
    }

    /// The page of a failure.
    pub(super) fn failure(&self, failure: &Failure) -> Result<String> {
        let page = serde_json::json!({
            "status": failure.status.as_u16(), "message": failure.body.message,
        });
        let heading = Heading {
            title: "Not this time",
            section: "",
        };
        self.render("failure.html", heading, None, page)
    }

    fn render(
        &self,
        template: &str,
        heading: Heading<'_>,
        user: Option<&str>,
        page: impl Serialize,
    ) -> Result<String> {
        let frame = Frame {
            title: heading.title,
            section: heading.section,
            user,
            style: &STYLE.path,
            script: &SCRIPT.path,
            icon: &ICON.path,
            page,
        };
        self.engine
            .get_template(template)
            .and_then(|template| template.render(Value::from(Serde(&frame))))
            .map_err(|error| {
                tracing::error!(template, error = format!("{error:#}"), "a page failed");
                Failure::internal()
            })
    }
}
