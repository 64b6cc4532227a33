//! Which state of the fleet repo was read, and whose it is.

use jiff::Timestamp;

/// Who wrote a commit, as the commit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub email: String,
}

/// The commit that was read, and whether the files were those of the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// 40 hexadecimal digits; none outside of git and before the first commit.
    pub commit: Option<String>,
    pub author: Option<Author>,
    /// When the commit was made.
    pub time: Option<Timestamp>,
    /// The first line of the commit's message.
    pub subject: String,
    /// Whether considered files differ from the commit; never true without a commit.
    pub dirty: bool,
    /// The considered files that differ from the commit, relative to the fleet root, sorted.
    pub dirty_paths: Vec<String>,
}

impl Revision {
    pub(super) fn of(commit: &git2::Commit<'_>) -> Self {
        let author = commit.author();
        let subject = commit.summary_bytes().map(printable).unwrap_or_default();
        Self {
            commit: Some(commit.id().to_string()),
            author: Some(Author {
                name: printable(author.name_bytes()),
                email: printable(author.email_bytes()),
            }),
            time: Timestamp::from_second(commit.time().seconds()).ok(),
            subject,
            dirty: false,
            dirty_paths: Vec::new(),
        }
    }

    /// The first twelve digits of the commit, or `uncommitted`.
    #[must_use]
    pub fn short(&self) -> &str {
        self.commit
            .as_deref()
            .map_or("uncommitted", |commit| &commit[..12])
    }
}

/// Text of the commit without what would move a terminal's cursor or reverse its line, and
/// of a length that fits into a record.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .filter(|c| !super::selection::is_invisible(*c))
        .take(500)
        .collect()
}
