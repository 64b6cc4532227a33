//! The files of a new fleet repo.

use crate::core::document::{DocumentKind, schema};

const TEMPLATES: [(&str, &str); 10] = [
    ("pressluft.yaml", include_str!("files/pressluft.yaml")),
    ("nodes/web-1.yaml", include_str!("files/node.yaml")),
    ("sites/example.yaml", include_str!("files/site.yaml")),
    ("README.md", include_str!("files/README.md")),
    (".gitignore", include_str!("files/gitignore")),
    (".pressluftignore", include_str!("files/pressluftignore")),
    (
        ".vscode/settings.json",
        include_str!("files/vscode-settings.json"),
    ),
    (
        ".vscode/extensions.json",
        include_str!("files/vscode-extensions.json"),
    ),
    (
        ".github/workflows/pressluft.yml",
        include_str!("files/github.yml"),
    ),
    (".gitlab-ci.yml", include_str!("files/gitlab.yml")),
];

/// The files by their path, for a fleet of this name.
pub(crate) fn files(name: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = TEMPLATES
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.replace("<< name >>", name)))
        .collect();
    files.push(schema_file("document", &schema::of_any()));
    for kind in DocumentKind::ALL {
        files.push(schema_file(
            &kind.as_str().to_lowercase(),
            schema::of(*kind),
        ));
    }
    files
}

fn schema_file(name: &str, schema: &serde_json::Value) -> (String, String) {
    (
        format!(".pressluft/schemas/{name}.schema.json"),
        schema::text(schema),
    )
}
