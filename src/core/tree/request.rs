//! What a process that renders one template of the fleet repo is asked, and what it answers.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};

use super::context::Named;
use super::{RenderError, engine};

/// Renders a template where nothing that it does can harm anybody else.
pub type RenderInBounds = fn(&RenderRequest) -> Result<String, RenderError>;

/// One template and all that it sees. It may hold secrets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// The path below `templates/`.
    pub template: String,
    /// The templates of the fleet repo by path: one may include another.
    sources: BTreeMap<String, String>,
    view: serde_json::Value,
    /// The secrets that the template may resolve, or none when they are hidden.
    named: Option<BTreeMap<String, String>>,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
pub enum RenderAnswer {
    Text(String),
    Wrong {
        template: String,
        line: Option<usize>,
        reason: String,
    },
    TooExpensive(String),
}

impl fmt::Debug for RenderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RenderRequest({})", self.template)
    }
}

impl fmt::Debug for RenderAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenderAnswer(…)")
    }
}

impl RenderRequest {
    pub(super) fn new(
        template: &str,
        text: &str,
        overrides: &BTreeMap<String, String>,
        view: &Value,
        named: &Named,
    ) -> Result<Self, RenderError> {
        let view = serde_json::to_value(view).map_err(|error| RenderError::Template {
            template: template.to_owned(),
            line: None,
            reason: error.to_string(),
        })?;
        // All of them only where one may be included: they are sent each time.
        let sources = match text.contains("{%") {
            true => overrides.clone(),
            false => [(template.to_owned(), text.to_owned())].into(),
        };
        Ok(Self {
            template: template.to_owned(),
            sources,
            view,
            named: match named {
                Named::Hidden => None,
                Named::Known(values) => Some(values.clone()),
            },
        })
    }

    /// Whether the template sees secrets.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.named.is_some()
    }

    /// Renders it here, bounded in steps and in length alone.
    #[must_use]
    pub fn render(&self) -> RenderAnswer {
        let named = match &self.named {
            None => Named::Hidden,
            Some(values) => Named::Known(values.clone()),
        };
        let view = Value::from(Serde(&self.view));
        match engine::render_untrusted(&self.template, &self.sources, &view, &named) {
            Ok(text) => RenderAnswer::Text(text),
            Err(RenderError::TooExpensive { bound, .. }) => RenderAnswer::TooExpensive(bound),
            Err(RenderError::Template {
                template,
                line,
                reason,
            }) => RenderAnswer::Wrong {
                template,
                line,
                reason,
            },
            Err(other) => RenderAnswer::Wrong {
                template: self.template.clone(),
                line: None,
                reason: other.to_string(),
            },
        }
    }

    /// The text of an answer to this.
    ///
    /// # Errors
    /// [`RenderError`]. A template that sees secrets could put one into the reason, so then there
    /// is none; `validate` shows it, where nothing is secret.
    pub fn accept(&self, answer: RenderAnswer) -> Result<String, RenderError> {
        match answer {
            RenderAnswer::Text(text) if text.len() <= engine::LONGEST => Ok(text),
            RenderAnswer::Text(_) => Err(self.too_expensive("its file becomes longer than 1 MiB")),
            RenderAnswer::TooExpensive(bound) => Err(self.too_expensive(&bound)),
            RenderAnswer::Wrong { line, .. } if self.has_secrets() => Err(RenderError::Template {
                template: self.template.clone(),
                line,
                reason: "it is not shown why, for that could hold a secret; see `pressluft \
                         validate`"
                    .to_owned(),
            }),
            RenderAnswer::Wrong {
                template,
                line,
                reason,
            } => Err(RenderError::Template {
                template,
                line,
                reason,
            }),
        }
    }

    /// The error of a template that went beyond a bound.
    #[must_use]
    pub fn too_expensive(&self, bound: &str) -> RenderError {
        RenderError::TooExpensive {
            template: self.template.clone(),
            bound: bound.to_owned(),
        }
    }
}
