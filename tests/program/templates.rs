//! Templates of the fleet repo that would take all that the control plane has.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Path, Program};

const VHOST: &str = "templates/nginx/site.conf";

fn write(repo: &Path, path: &str, text: &str) {
    let path = repo.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

impl Program {
    /// What `validate` has to say, as lines of code, file, line and message.
    fn said(&self, repo: &Path) -> Vec<String> {
        let ran = self.run(&["validate", "--json", &repo.display().to_string()]);
        assert!(matches!(ran.code, 0 | 3), "{} {}", ran.code, ran.stderr);
        let word = |line: &Value, name: &str| match &line[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let all = ran.lines().into_iter();
        let all = all.filter(|line| line["type"] == "diagnostic");
        all.map(|line| {
            let words = ["code", "file", "line", "message"];
            words.map(|name| word(&line, name)).join(" ")
        })
        .collect()
    }
}

#[test]
fn no_template_takes_more_than_its_bounds_and_each_is_told() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    let nested = format!(
        "{}{}",
        "{% if 1 %}".repeat(10_000),
        "{% endif %}".repeat(10_000)
    );
    let bombs = [
        "{% set n = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{{ 'x' * 1000000000000 }}",
        "{% set x = 'x' * 100000000 %}{{ x|replace('x', x)|length }}",
        "{{ range(99999)|join('x' * 100000)|length }}",
        "{{ 'a\n'|replace('a', 'b\n' * 1000000)|indent(1000000)|length }}",
        "{{ '%1000000000s'|format('a') }}",
        // A quarter of a GiB in the end, which most machines would have.
        "{% set n = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(24) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x|length }}",
        // Steps alone: it becomes neither large nor long.
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(90000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}",
        "{% set n = namespace(l=[1]) %}{% for i in range(40) %}{% set n.l = (n.l + n.l)|list %}{% endfor %}{{ n.l|length }}",
        "{% macro a(n) %}{{ a(n + 1) }}{% endmacro %}{{ a(1) }}",
        "{% include 'nginx/site.conf' %}",
        &deep,
        &nested,
    ];
    for bomb in bombs {
        write(&repo, VHOST, bomb);
        let begun = Instant::now();
        let said = program.said(&repo);
        let shown = &bomb[..bomb.len().min(80)];
        let [only] = said.as_slice() else {
            panic!("{shown}: {said:?}");
        };
        let is_told = only.starts_with(&format!("template-too-expensive {VHOST} "))
            || only.starts_with(&format!("template-invalid {VHOST} "));
        assert!(is_told, "{shown}: {only}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{shown} took {took:?}");
    }
}

#[test]
fn mistakes_in_templates_are_told_with_file_and_line() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    write(&repo, VHOST, "a\nb\n{{ nothing }}\n");
    write(&repo, "templates/nginx/nginx.conf", "{% if %}");
    write(&repo, "templates/nginx/sites.conf", "");
    write(
        &repo,
        "templates/php/fpm.conf",
        "a\n{{ secrets.db_password }}",
    );
    write(
        &repo,
        "templates/wordpress/wp-config.php",
        "<?php // {{ secrets.db_password }}\n",
    );
    let said = program.said(&repo);
    for (found, begins) in said.iter().zip([
        "template-invalid templates/nginx/nginx.conf 1 ",
        "template-invalid templates/nginx/site.conf 3 ",
        "template-unknown templates/nginx/sites.conf 1 ",
        "template-invalid templates/php/fpm.conf 2 ",
    ]) {
        assert!(found.starts_with(begins), "{found}");
    }
    assert_eq!(said.len(), 4, "{said:?}");
    // And so nothing is planned.
    let repo = repo.display().to_string();
    program.run(&["plan", &repo]).expect(3);
}

#[test]
fn nothing_hides_in_templates_and_hooks() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    // PHP ends a comment at a carriage return, and so does what reads playbooks.
    write(
        &repo,
        "templates/wordpress/pressluft.php",
        "<?php // all well\rexit;\n",
    );
    write(&repo, "hooks/after.yml", "# all well\r- hosts: all\n");
    let said = program.said(&repo);
    for (found, begins) in said.iter().zip([
        "hidden-character hooks/after.yml 1 ",
        "hidden-character templates/wordpress/pressluft.php 1 ",
    ]) {
        assert!(found.starts_with(begins), "{found}");
    }
    assert_eq!(said.len(), 2, "{said:?}");
    // As they stand in the repository: what is read of them has neither a second mark nor two returns.
    let hook = b"# caf\xE9\r- hosts: all\n";
    fs::write(repo.join("hooks/after.yml"), hook).expect("written");
    for text in ["\u{FEFF}\u{FEFF}<?php\n", "<?php // well\r\r\nexit;\n"] {
        write(&repo, "templates/wordpress/pressluft.php", text);
        let said = program.said(&repo);
        let hidden = said
            .iter()
            .filter(|found| found.starts_with("hidden-character"));
        assert_eq!(hidden.count(), 2, "{text:?}: {said:?}");
    }
    // What is left out is what nobody reviews.
    write(&repo, ".pressluftignore", "# well\rtemplates/\nhooks/\n");
    let said = program.said(&repo);
    assert!(
        said[0].starts_with("hidden-character .pressluftignore 1 "),
        "{said:?}"
    );
}

#[test]
fn a_sound_template_is_planned_and_shown() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    write(
        &repo,
        VHOST,
        "# own {{ names.system }} {{ basic_auth.hash if basic_auth else 'none' }}\n",
    );
    assert_eq!(program.said(&repo), Vec::<String>::new());
    let repo = repo.display().to_string();
    let shown = program.run(&["plan", "--show-files", &repo]).expect(0);
    assert!(shown.stdout.contains("# own "), "{}", shown.stdout);
}
