//! The files of a node and of an environment, rendered before anything is touched.
//!
//! A [`Tree`] says which files, directories and links a node has, with owner and mode, what
//! checks them and what has to be reloaded. The module `pressluft.host.converge` applies it. What
//! is no file (packages, databases, WordPress itself) belongs to the playbooks.

mod cache;
mod context;
mod crypt;
mod engine;
mod environment;
mod hidden;
mod node;
mod php;
mod quoting;
mod request;
mod templates;
mod units;
mod values;
mod vhost;
mod window;

use std::collections::BTreeMap;

use serde::Serialize;

pub use context::{RenderContext, SecretValues};
pub use environment::environment_tree;
pub use node::node_tree;
pub use request::{RenderAnswer, RenderInBounds, RenderRequest};
pub use templates::Templates;
pub use vhost::login;

/// What stands in for a secret where only a picture of the file is wanted.
pub const SENSITIVE: &str = "(sensitive)";

/// Why files could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template is wrong, or a value has no safe form in its file.
    #[error("template `{template}` cannot be rendered: {}{reason}", in_line(*.line))]
    Template {
        template: String,
        /// From 1, where it is known.
        line: Option<usize>,
        reason: String,
    },
    /// A template of the fleet repo goes beyond what one may use.
    #[error("template `{template}` cannot be rendered: {bound}")]
    TooExpensive { template: String, bound: String },
    /// There is no template of this name.
    #[error("`{0}` is not the name of a template")]
    UnknownTemplate(String),
    /// Something that the files need is not known.
    #[error("the files need {0}")]
    Missing(&'static str),
    /// A value cannot be what it stands for.
    #[error("`{field}` cannot be `{value}`: {reason}")]
    Value {
        field: &'static str,
        value: String,
        reason: &'static str,
    },
}

fn in_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

/// Everything that one job places on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tree {
    pub version: u32,
    /// By the name under which items refer to them.
    pub validators: BTreeMap<&'static str, Command>,
    /// In the order in which they run.
    pub handlers: Vec<Handler>,
    pub items: Vec<Item>,
}

/// A command without a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// A word `%s` stands for the candidate file.
    pub argv: Vec<String>,
}

/// What runs once after items that name it have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handler {
    pub name: String,
    pub argv: Vec<String>,
    /// Handlers that need not run beside this one, because it does what they do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<&'static str>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    File,
    Directory,
    Link,
    /// Nothing may be at the path.
    Absent,
}

/// One path on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    pub path: String,
    pub kind: ItemKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Octal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// Whether the content holds a secret and is shown nowhere.
    pub sensitive: bool,
    pub validators: Vec<&'static str>,
    pub handlers: Vec<String>,
    /// Whether an absent directory may be removed with what is in it.
    pub recursive: bool,
}

impl Item {
    fn new(path: impl Into<String>, kind: ItemKind) -> Self {
        Self {
            path: path.into(),
            kind,
            content: None,
            target: None,
            owner: None,
            group: None,
            mode: None,
            sensitive: false,
            validators: Vec::new(),
            handlers: Vec::new(),
            recursive: false,
        }
    }

    /// A file of root that everybody may read.
    fn file(path: impl Into<String>, content: String) -> Self {
        Self {
            content: Some(content),
            ..Self::new(path, ItemKind::File)
        }
        .root("0644")
    }

    /// A directory of root.
    fn directory(path: impl Into<String>, mode: &'static str) -> Self {
        Self::new(path, ItemKind::Directory).root(mode)
    }

    fn link(path: impl Into<String>, target: impl Into<String>) -> Self {
        let item = Self::new(path, ItemKind::Link);
        Self {
            target: Some(target.into()),
            ..item
        }
        .owned("root", "root", None)
    }

    fn absent(path: impl Into<String>) -> Self {
        Self::new(path, ItemKind::Absent)
    }

    fn root(self, mode: &'static str) -> Self {
        self.owned("root", "root", Some(mode))
    }

    fn owned(self, owner: &str, group: &str, mode: Option<&'static str>) -> Self {
        Self {
            owner: Some(owner.to_owned()),
            group: Some(group.to_owned()),
            mode,
            ..self
        }
    }

    fn sensitive(self) -> Self {
        Self {
            sensitive: true,
            ..self
        }
    }

    fn checked(mut self, validator: &'static str) -> Self {
        self.validators.push(validator);
        self
    }

    fn then(mut self, handler: impl Into<String>) -> Self {
        self.handlers.push(handler.into());
        self
    }
}

/// Collects the parts of a tree.
#[derive(Debug, Default)]
struct Builder {
    validators: BTreeMap<&'static str, Command>,
    handlers: Vec<Handler>,
    items: Vec<Item>,
}

impl Builder {
    fn validator(&mut self, name: &'static str, argv: &[&str]) {
        self.validators.insert(name, Command { argv: words(argv) });
    }

    fn handler(&mut self, name: impl Into<String>, argv: &[&str]) {
        self.covering(name, argv, &[]);
    }

    /// A handler that does what others do as well.
    fn covering(&mut self, name: impl Into<String>, argv: &[&str], covers: &[&'static str]) {
        self.handlers.push(Handler {
            name: name.into(),
            argv: words(argv),
            covers: covers.to_vec(),
        });
    }

    fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    fn finish(self) -> Tree {
        Tree {
            version: 1,
            validators: self.validators,
            handlers: self.handlers,
            items: self.items,
        }
    }
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;
