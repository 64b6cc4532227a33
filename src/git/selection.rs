//! Decides which entries of a directory are considered, and refuses the dangerous ones.
//!
//! Both ways of reading a fleet repo ask the same questions here, so that a working tree and
//! a commit with the same files give the same result.

use std::collections::HashMap;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::limits;
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::core::document::read::hidden_characters;
use crate::core::plain_text;

/// Where the patterns of what is left out stand, at the fleet root.
pub(super) const IGNORE_FILE: &str = ".pressluftignore";

/// What a considered file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Documents,
    Secret,
    Template,
    Hook,
}

impl Role {
    fn of(path: &str) -> Option<Self> {
        if path.starts_with("templates/") {
            Some(Self::Template)
        } else if path.starts_with("hooks/") {
            Some(Self::Hook)
        } else if path.starts_with("secrets/") && path.ends_with(".age") {
            Some(Self::Secret)
        } else if path.ends_with(".yaml") || path.ends_with(".yml") {
            Some(Self::Documents)
        } else {
            None
        }
    }

    fn limit(self) -> u64 {
        match self {
            Self::Documents => limits::DOCUMENT_BYTES,
            Self::Secret => limits::SECRET_BYTES,
            Self::Template => limits::TEMPLATE_BYTES,
            Self::Hook => limits::TEXT_BYTES,
        }
    }
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug)]
pub(super) enum EntryKind<'a> {
    File,
    Directory,
    /// With its target as written, and whether that leads to a directory of the fleet.
    Symlink {
        target: &'a [u8],
        to_directory: bool,
    },
    Submodule,
    /// A device, pipe or socket.
    Special,
}

/// What to do with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Skip,
    /// Look into the directory with this path.
    Descend(String),
    /// Consider the file with this path, once its size is known.
    Take(String, Role),
}

/// A considered file.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) role: Role,
}

/// The considered files so far, and what was refused.
#[derive(Debug)]
pub(super) struct Selection<T> {
    ignored: Gitignore,
    entries: usize,
    bytes: u64,
    selected: Vec<(Selected, T)>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<T> Selection<T> {
    /// An empty selection that leaves out what `rules`, the text of `.pressluftignore`, names.
    pub(super) fn new(rules: &str) -> Self {
        let mut builder = GitignoreBuilder::new("");
        // What it leaves out is what nobody reviews.
        let mut diagnostics = hidden_characters(IGNORE_FILE, rules);
        for (index, line) in plain_text::unmarked(rules).lines().enumerate() {
            if let Err(error) = builder.add_line(None, line) {
                let mut diagnostic = refused(
                    IGNORE_FILE,
                    "ignore-pattern",
                    format!("`{}` is not a pattern: {error}", escaped(line.as_bytes())),
                    "write it as in `.gitignore`",
                );
                (diagnostic.line, diagnostic.column) = (index + 1, 1);
                diagnostics.push(diagnostic);
            }
        }
        Self {
            ignored: builder.build().unwrap_or_else(|_| Gitignore::empty()),
            entries: 0,
            bytes: 0,
            selected: Vec::new(),
            diagnostics,
        }
    }

    /// Whether the walk has to end because there is too much.
    pub(super) fn is_full(&self) -> bool {
        self.entries > limits::ENTRIES || self.selected.len() > limits::FILES
    }

    /// Judges the entry `name` of the directory `parent`, which is empty for the fleet root.
    pub(super) fn judge(&mut self, parent: &str, name: &[u8], kind: EntryKind<'_>) -> Verdict {
        self.entries += 1;
        if is_git_name(name) {
            let path = format!("{parent}{}", escaped(name));
            self.refuse(
                &path,
                "git-path",
                format!("`{path}` is a name that git keeps to itself"),
            );
            return Verdict::Skip;
        }
        if parent.is_empty() && name == IGNORE_FILE.as_bytes() && !matches!(kind, EntryKind::File) {
            self.diagnostics.push(refused(
                IGNORE_FILE,
                "special-file",
                format!("`{IGNORE_FILE}` is not a plain file"),
                "replace it with a file that holds the patterns",
            ));
            return Verdict::Skip;
        }
        if name.starts_with(b".") && name != b".." && name != b"." {
            return Verdict::Skip;
        }
        let Some(name) = sane_name(name) else {
            return self.judge_insane(parent, name, kind);
        };
        let path = format!("{parent}{name}");
        let is_directory = matches!(kind, EntryKind::Directory | EntryKind::Submodule);
        if self.ignored.matched(&path, is_directory).is_ignore() {
            return Verdict::Skip;
        }
        let role = Role::of(&path);
        match kind {
            EntryKind::Directory if path.split('/').count() > limits::DEPTH => {
                let message = format!(
                    "directories are more than {} deep inside each other",
                    limits::DEPTH
                );
                self.refuse(&path, "unsafe-path", message);
                Verdict::Skip
            }
            EntryKind::Directory => Verdict::Descend(path + "/"),
            EntryKind::File => role.map_or(Verdict::Skip, |role| Verdict::Take(path, role)),
            EntryKind::Submodule => {
                let message = format!("`{path}` is a submodule or another repository");
                self.refuse(&path, "submodule", message);
                Verdict::Skip
            }
            EntryKind::Symlink {
                target,
                to_directory,
            } => {
                let outside = leads_outside(parent, target);
                if outside || to_directory || role.is_some() {
                    let whereto = if outside {
                        "out of the fleet repo"
                    } else {
                        "elsewhere"
                    };
                    let message = format!(
                        "`{path}` is a symbolic link {whereto}, to `{}`",
                        escaped(target)
                    );
                    self.refuse(&path, "symlink", message);
                }
                Verdict::Skip
            }
            EntryKind::Special => {
                if role.is_some() {
                    self.refuse(
                        &path,
                        "special-file",
                        format!("`{path}` is not a plain file"),
                    );
                }
                Verdict::Skip
            }
        }
    }

    /// A name that cannot be shown or stored as it is: refused where it matters, and passed
    /// over where it is just a file that nobody asked for.
    fn judge_insane(&mut self, parent: &str, name: &[u8], kind: EntryKind<'_>) -> Verdict {
        let path = format!("{parent}{}", escaped(name));
        let matters = match kind {
            EntryKind::File | EntryKind::Special => Role::of(&path).is_some(),
            EntryKind::Directory | EntryKind::Symlink { .. } | EntryKind::Submodule => true,
        };
        if matters {
            let message = format!(
                "`{path}` has a name that is not plain text: not UTF-8, with control or invisible \
                 characters or `\\`, or too long"
            );
            self.refuse(&path, "unsafe-path", message);
        }
        Verdict::Skip
    }

    /// Adds a file that [`Selection::judge`] said to take.
    pub(super) fn take(&mut self, path: String, role: Role, size: u64, extra: T) {
        if size > role.limit() {
            let limit = role.limit() / 1024;
            let message = format!("`{path}` has {size} bytes, more than {limit} KiB");
            self.refuse(&path, "file-too-large", message);
            return;
        }
        self.bytes += size;
        self.selected.push((Selected { path, size, role }, extra));
    }

    pub(super) fn refuse(&mut self, path: &str, code: &'static str, message: String) {
        self.diagnostics
            .push(refused(path, code, message, hint_of(code)));
    }

    /// The considered files sorted by path, and the diagnostics sorted by file. Nothing is
    /// considered when there is too much of it.
    pub(super) fn finish(mut self) -> (Vec<(Selected, T)>, Vec<Diagnostic>) {
        let too_much = if self.entries > limits::ENTRIES {
            Some(format!(
                "there are more than {} files and directories",
                limits::ENTRIES
            ))
        } else if self.selected.len() > limits::FILES {
            Some(format!(
                "there are more than {} files to read",
                limits::FILES
            ))
        } else if self.bytes > limits::TOTAL_BYTES {
            Some(format!(
                "the files to read have {} bytes together",
                self.bytes
            ))
        } else {
            None
        };
        if let Some(message) = too_much {
            self.selected.clear();
            self.refuse("", "fleet-too-large", message);
        }
        self.selected
            .sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        self.refuse_collisions();
        self.diagnostics.sort();
        self.diagnostics.dedup();
        (self.selected, self.diagnostics)
    }

    /// Two paths that differ only in case are one file on some machines, so which of them is
    /// meant depends on who looks.
    fn refuse_collisions(&mut self) {
        let plain = |path: &str| {
            path.bytes()
                .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
        };
        if self.selected.iter().all(|(file, _)| plain(&file.path)) {
            return;
        }
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(self.selected.len());
        let mut pairs = Vec::new();
        for (index, (file, _)) in self.selected.iter().enumerate() {
            if let Some(first) = seen.insert(file.path.to_lowercase(), index) {
                pairs.push((first, index));
            }
        }
        for (first, second) in pairs {
            let [first, second] = [first, second].map(|i| self.selected[i].0.path.clone());
            let message = format!("`{second}` and `{first}` differ only in upper and lower case");
            self.refuse(&second, "case-collision", message);
        }
    }
}

fn refused(path: &str, code: &'static str, message: String, hint: &str) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        code,
        message,
        hint: Some(hint.to_owned()),
        length: 0,
    }
}

fn hint_of(code: &str) -> &'static str {
    match code {
        "symlink" => "replace the link with the file itself, or list it in `.pressluftignore`",
        "submodule" => "copy its files into the fleet repo, or list it in `.pressluftignore`",
        "file-too-large" => "split the file, or list it in `.pressluftignore`",
        "fleet-too-large" => "list what is not part of the fleet in `.pressluftignore`",
        "case-collision" => "rename one of them",
        _ => "rename or remove it, or list it in `.pressluftignore`",
    }
}

/// Whether the file system of some machine would take the name for git's own directory.
fn is_git_name(name: &[u8]) -> bool {
    let first = name.first().copied().unwrap_or_default();
    if first.is_ascii() && !matches!(first, b'.' | b'g' | b'G') {
        return false;
    }
    let text: String = String::from_utf8_lossy(name)
        .chars()
        .filter(|c| !is_invisible(*c))
        .collect();
    let lower = text.to_ascii_lowercase();
    let stem = lower
        .split(':')
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', ' ']);
    matches!(stem, ".git" | "git~1")
}

fn sane_name(name: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(name).ok()?;
    let sane = !text.is_empty()
        && text.len() <= limits::NAME_BYTES
        && !matches!(text, "." | "..")
        && !text
            .chars()
            .any(|c| is_invisible(c) || matches!(c, '/' | '\\'));
    sane.then_some(text)
}

/// Control characters and those that change how the text around them looks.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        )
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Text that is safe to show, whatever the bytes are.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    for c in text.chars().take(limits::NAME_BYTES) {
        if is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The path that a link in the directory `parent` leads to, or none when that is outside of
/// the fleet root.
pub(super) fn link_target(parent: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = parent.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn leads_outside(parent: &str, target: &[u8]) -> bool {
    link_target(parent, target).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(parent: &str, name: &str, kind: EntryKind<'_>) -> (Verdict, Vec<&'static str>) {
        let mut selection = Selection::<()>::new("drafts/\n*.draft.yaml\n");
        let verdict = selection.judge(parent, name.as_bytes(), kind);
        (
            verdict,
            selection.diagnostics.iter().map(|d| d.code).collect(),
        )
    }

    #[test]
    fn files_get_their_role_from_their_place() {
        for (parent, name, role) in [
            ("", "pressluft.yaml", Some(Role::Documents)),
            ("a/b/", "c.yml", Some(Role::Documents)),
            ("secrets/dns/", "x.age", Some(Role::Secret)),
            ("templates/", "x.yaml", Some(Role::Template)),
            ("hooks/", "before.yml", Some(Role::Hook)),
            ("", "README.md", None),
            ("", ".gitlab-ci.yml", None),
            ("", "x.draft.yaml", None),
            ("other/", "x.age", None),
        ] {
            let expected = role.map_or(Verdict::Skip, |role| {
                Verdict::Take(format!("{parent}{name}"), role)
            });
            assert_eq!(
                verdict(parent, name, EntryKind::File),
                (expected, vec![]),
                "{name}"
            );
        }
        assert_eq!(verdict("", "drafts", EntryKind::Directory).0, Verdict::Skip);
        assert_eq!(
            verdict("", ".github", EntryKind::Directory).0,
            Verdict::Skip
        );
        assert_eq!(
            verdict("a/", "b", EntryKind::Directory).0,
            Verdict::Descend("a/b/".into())
        );
    }

    #[test]
    fn names_that_deceive_are_refused() {
        for name in [
            "..",
            "a\nb.yaml",
            "a\u{202e}b.yaml",
            "a\\b.yaml",
            "\u{1b}[31m.yaml",
        ] {
            assert_eq!(
                verdict("", name, EntryKind::File).1,
                ["unsafe-path"][..usize::from(name != "..")],
                "{name:?}"
            );
            assert_eq!(
                verdict("", name, EntryKind::Directory).1,
                ["unsafe-path"],
                "{name:?}"
            );
        }
        for name in [
            ".git",
            ".GIT",
            "git~1",
            ".git ",
            ".git.",
            ".g\u{200c}it",
            ".git::$DATA",
        ] {
            assert_eq!(
                verdict("x/", name, EntryKind::Directory).1,
                ["git-path"],
                "{name:?}"
            );
        }
    }

    #[test]
    fn links_are_refused_where_they_could_matter() {
        for (parent, name, target, to_directory, refused) in [
            ("", "a.yaml", "b.yaml", false, true),
            ("", "a", "/etc", false, true),
            ("sites/", "a", "../../etc", false, true),
            ("sites/", "a", "../nodes", true, true),
            ("", "CHANGES", "docs/changes.md", false, false),
            ("drafts/", "a.md", "b.md", false, false),
        ] {
            let kind = EntryKind::Symlink {
                target: target.as_bytes(),
                to_directory,
            };
            assert_eq!(
                verdict(parent, name, kind).1.is_empty(),
                !refused,
                "{parent}{name}"
            );
        }
    }

    #[test]
    fn too_large_files_and_colliding_names_are_reported_together() {
        let mut selection = Selection::new("");
        selection.take("a.yaml".into(), Role::Documents, 200 << 20, ());
        selection.take("Sites/B.yaml".into(), Role::Documents, 10, ());
        selection.take("sites/b.yaml".into(), Role::Documents, 10, ());
        let (selected, diagnostics) = selection.finish();
        assert_eq!(selected.len(), 2);
        let codes: Vec<_> = diagnostics
            .iter()
            .map(|d| (d.file.as_str(), d.code))
            .collect();
        assert_eq!(
            codes,
            [
                ("a.yaml", "file-too-large"),
                ("sites/b.yaml", "case-collision")
            ]
        );
    }
}
