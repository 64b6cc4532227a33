//! The commands in the operator's documents and in the CI examples are ones that the program has.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::Program;

const TEXTS: [&str; 6] = [
    "README.md",
    "docs/operate.md",
    "docs/ci.md",
    "examples/ci/github.yml",
    "examples/ci/gitlab-ci.yml",
    "examples/ci/pressluft-ci",
];

#[test]
fn every_command_that_is_written_down_exists() {
    let program = Program::new();
    let commands: BTreeSet<(&str, Vec<String>)> = TEXTS
        .iter()
        .flat_map(|file| {
            commands(&text(file))
                .into_iter()
                .map(move |words| (*file, words))
        })
        .collect();
    assert!(commands.len() > 40, "only {} were found", commands.len());
    let mut wrong = Vec::new();
    for (file, words) in commands {
        let help = |path: &[&str]| program.run(&[&["help"], path].concat());
        let path: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .take(2)
            .take_while(|word| is_name(word))
            .collect();
        let mut found = help(&path);
        if found.code != 0 {
            // The second word is an argument.
            found = help(&path[..1]);
        }
        let unknown = words
            .iter()
            .filter_map(|word| word.starts_with("--").then(|| word.split('=').next())?)
            .any(|flag| {
                !found
                    .stdout
                    .split([' ', ',', '\n', '[', '='])
                    .any(|known| known == flag)
            });
        if found.code != 0 || unknown {
            wrong.push(format!("{file}: pressluft {}", words.join(" ")));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn words_of_a_command_are_found_in_prose_blocks_and_crontabs() {
    let found = commands(
        "Run `sudo -u pressluft pressluft jobs show ID`, or `pressluft plan`, as the user `pressluft`.\n\
         30 2 * * * pressluft /usr/bin/pressluft db backup --force /b/$(date +\\%u).db && true\n\
         sudo -u pressluft git config --global x\n\
         systemctl restart pressluft\n",
    );
    let found: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    assert_eq!(found, ["jobs show ID", "plan", "db backup --force /b/$"]);
}

/// The words after each `pressluft` that starts a command, as far as the command goes.
fn commands(text: &str) -> Vec<Vec<String>> {
    const NAME: &str = "pressluft ";
    let mut commands = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        for (at, _) in line.match_indices(NAME) {
            let before = &line[..at];
            let is_user = before.ends_with("-u ") || before.ends_with("-o ");
            if is_user || !before.ends_with([' ', '`', '/', '(', '"', '\'']) && !before.is_empty() {
                continue;
            }
            let rest = &line[at + NAME.len()..];
            let end = rest.find(['`', '|', '>', '<', ';', '&', '#', '(', ')']);
            let words: Vec<String> = rest[..end.unwrap_or(rest.len())]
                .split_ascii_whitespace()
                .map(|word| word.trim_matches(['"', '\'']).to_owned())
                .collect();
            if words
                .first()
                .is_some_and(|word| is_name(word) && word != "pressluft")
            {
                commands.push(words);
            }
        }
    }
    commands
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word
            .chars()
            .all(|next| next.is_ascii_lowercase() || next == '-')
}

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is there")
}

/// The script of the CI examples, set up for a repository as its comment says, in a directory with
/// a `pressluft` in it.
fn ci_script(program: &Program, repo: &Path) -> Command {
    let dir = program.dir.path();
    let script = text("examples/ci/pressluft-ci")
        .replace(
            "ssh://git@git.example/studio/fleet.git",
            &format!("file://{}", repo.display()),
        )
        .replace("/var/lib/pressluft", &program.state().display().to_string());
    let path = dir.join("pressluft-ci");
    fs::write(&path, script).expect("written");
    let bin = Path::new(env!("CARGO_BIN_EXE_pressluft"))
        .parent()
        .expect("it is in a directory");
    // Not by itself: a process that another test starts at this moment may have it open for writing.
    let mut command = Command::new("/bin/sh");
    command
        .arg(path)
        .env_clear()
        .env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
        )
        .env("HOME", dir)
        .env("PRESSLUFT_STATE_DIR", program.state())
        .env("PRESSLUFT_ANSIBLE_VENV", dir.join("venv"));
    command
}

#[test]
fn the_ci_script_plans_what_is_on_the_branch_and_applies_only_what_it_planned() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    let run = |words: &[&str]| {
        let output = ci_script(&program, &repo)
            .args(words)
            .output()
            .expect("it runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, plan, stderr) = run(&["plan", "17"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        plan.contains("### Pressluft plan for `quickstart`"),
        "{plan}"
    );
    let kept = program.state().join("plans/17");
    let mode = fs::metadata(&kept)
        .expect("it is kept")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let (code, _, stderr) = run(&["apply", "18"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("there is no plan 18"), "{stderr}");
    for words in [
        &["apply", "../17"][..],
        &["apply", "17; true"],
        &["apply", ""],
        &["plan"],
        &["reset", "17"],
        &[],
    ] {
        assert_eq!(run(words).0, Some(64), "{words:?}");
    }

    // Somebody else has applied something since: what was approved is not applied any more. An
    // Ansible has to be there, and is not started.
    let venv = program.dir.path().join("venv");
    fs::create_dir_all(venv.join("bin")).expect("made");
    fs::write(venv.join("bin/ansible-playbook"), "").expect("written");
    let package = "lib/python3/site-packages/ansible_core-2.19.14.dist-info";
    fs::create_dir_all(venv.join(package)).expect("made");
    let fleet = repo.join("pressluft.yaml");
    let documents = fs::read_to_string(&fleet).expect("read");
    fs::write(&fleet, documents + "reconcile: { interval: 30s }\n").expect("written");
    let path = repo.display().to_string();
    program
        .run(&["apply", "--no-wait", "--auto-approve", &path])
        .expect(0);
    let (code, _, stderr) = run(&["apply", "17"]);
    assert_eq!(code, Some(5), "{stderr}");
}
