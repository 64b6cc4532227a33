//! What a fleet may name on the control plane and in the network.

use std::fs;

use super::Program;

impl Program {
    /// What `validate` says to these lines of the fleet's document.
    fn about(&self, lines: &str) -> String {
        let repo = self.dir.path().join("fleet");
        fs::create_dir_all(&repo).expect("made");
        let text = format!("kind: Fleet\nversion: 1\nname: studio\n{lines}\n");
        fs::write(repo.join("pressluft.yaml"), text).expect("written");
        let ran = self.run(&["validate", &repo.display().to_string()]);
        ran.stdout
    }
}

const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_source_has_one_place_and_one_digest() {
    let program = Program::new();
    for (source, says) in [
        (
            "/srv/wordpress.zip",
            "write `{ path: wordpress.zip, sha256: DIGEST }`",
        ),
        (
            "https://m.example/a.zip",
            "write `{ url: https://m.example/a.zip, sha256: DIGEST }`",
        ),
        ("{ path: a.zip }", "has no digest"),
        ("{ url: https://m.example/a.zip }", "`sha256sum a.zip`"),
        (
            "{ path: a.zip, url: https://m.example/a.zip }",
            "both a `path` and a `url`",
        ),
        (
            "{ path: ../secrets/identity, sha256: DIGEST }",
            "it has the part `..`",
        ),
        (
            "{ path: https://m.example/a, sha256: DIGEST }",
            "belongs into `url`",
        ),
        (
            "{ url: file:///etc/shadow, sha256: DIGEST }",
            "is not an address to download from",
        ),
        (
            "{ url: https://me:pw@m.example/a, sha256: DIGEST }",
            "holds credentials",
        ),
        (
            "{ url: http://169.254.169.254/latest, sha256: DIGEST }",
            "leads to a private address",
        ),
        (
            "{ url: http://2130706433/a, sha256: DIGEST }",
            "host or port",
        ),
        (
            "{ url: https://localhost/a, sha256: DIGEST }",
            "leads to a private address",
        ),
    ] {
        let source = source.replace("DIGEST", DIGEST);
        let said = program.about(&format!("sources: {{ wordpress: {source} }}"));
        let said = said.replace("\n  │ ", " ");
        let words: Vec<&str> = said.split_whitespace().collect();
        let wanted: Vec<&str> = says.split_whitespace().collect();
        assert!(
            words.join(" ").contains(&wanted.join(" ")),
            "{source}:\n{said}"
        );
    }
    for source in [
        "{ path: a.zip, sha256: DIGEST }",
        "{ path: /srv/sources/a.zip, sha256: DIGEST }",
        "{ url: https://m.example/a.zip, sha256: DIGEST }",
        "{ sha256: DIGEST }",
    ] {
        let source = source.replace("DIGEST", DIGEST);
        let said = program.about(&format!("sources: {{ wordpress: {source} }}"));
        assert!(said.contains("is valid"), "{source}:\n{said}");
    }
}

#[test]
fn a_private_address_is_allowed_by_the_settings_alone() {
    let program = Program::new();
    let lines = format!("sources: {{ wp_cli: {{ url: https://10.1.2.3/a, sha256: {DIGEST} }} }}");
    assert!(program.about(&lines).contains("private-address"));
    fs::create_dir_all(program.state()).expect("made");
    let settings = "[sources]\nallow_private = [\"10.1.0.0/16\"]\n";
    fs::write(program.state().join("pressluft.toml"), settings).expect("written");
    assert!(program.about(&lines).contains("is valid"));
}

#[test]
fn the_directory_of_sources_is_above_nothing_that_is_secret() {
    let program = Program::new();
    fs::create_dir_all(program.state()).expect("made");
    fs::create_dir_all(program.state().join("secrets/below")).expect("made");
    for (link, target) in [("up", "."), ("kept", "secrets")] {
        std::os::unix::fs::symlink(target, program.state().join(link)).expect("made");
    }
    for directory in [
        "/",
        ".",
        "secrets",
        "secrets/below",
        "up",
        "kept",
        "kept/none",
    ] {
        let settings = format!("[sources]\ndirectory = \"{directory}\"\n");
        fs::write(program.state().join("pressluft.toml"), settings).expect("written");
        let ran = program.run(&["get", "nodes"]).expect(64);
        assert!(
            ran.stderr.contains("which no commit may name"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_hook_names_a_playbook_of_the_repository() {
    let program = Program::new();
    let lines = "hooks: [{ on: after:env_deploy, playbook: hooks/none.yml }]";
    let said = program.about(lines);
    assert!(
        said.contains("unknown-playbook") && said.contains("pressluft.yaml:4"),
        "{said}"
    );
    let hooks = program.dir.path().join("fleet/hooks");
    fs::create_dir_all(&hooks).expect("made");
    fs::write(hooks.join("none.yml"), "[]").expect("written");
    assert!(program.about(lines).contains("is valid"));
}
