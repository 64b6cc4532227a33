//! A site in another language, from packs that lie on the control plane: what visitors read, what is put back when it
//! goes, and what a new pack changes.

use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::effects::ask;
use crate::support::World;

const PLACE: &str = "/var/www/sites/acme/production/shared/languages";
const MAIN: &str = "de_DE.mo";

/// Makes two packs, one of WordPress with a theme and one of a plugin, and gives what stands under `sources` for them.
/// The title of the page for what is not found is in the theme.
pub(crate) fn packs(world: &World, not_found: &str) -> String {
    let work = world.dir.path().join("pack");
    drop(fs::remove_dir_all(&work));
    fs::create_dir_all(work.join("themes")).expect("a directory");
    let label = (
        "Username or Email Address",
        "Benutzername oder E-Mail-Adresse",
    );
    fs::write(work.join(MAIN), mo(&[("", "Language: de"), label])).expect("a file");
    let php = format!(
        "<?php\nreturn ['language'=>'de','messages'=>['{}'=>'{}']];\n",
        label.0, label.1
    );
    fs::write(work.join("de_DE.l10n.php"), php).expect("a file");
    let theme = mo(&[("404 error message\u{4}Page not found", not_found)]);
    fs::write(work.join("themes/twentytwentyfive-de_DE.mo"), theme).expect("a file");
    let plugin = mo(&[("Settings", "Einstellungen")]);
    fs::write(work.join("akismet-de_DE.mo"), plugin).expect("a file");
    let core = pack(world, &work, &[MAIN, "de_DE.l10n.php", "themes"]);
    let plugin = pack(world, &work, &["akismet-de_DE.mo"]);
    format!(
        ", languages: [{{locale: de_DE, {core}}}, {{locale: de_DE, plugin: akismet, {plugin}}}]"
    )
}

/// Packs files into an archive among the sources; its place and digest.
fn pack(world: &World, work: &Path, files: &[&str]) -> String {
    let archive = work.join("pack.zip");
    drop(fs::remove_file(&archive));
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-c", "pack.zip"])
        .args(files)
        .current_dir(work)
        .status()
        .expect("python3 runs");
    assert!(status.success(), "{files:?}");
    let bytes = fs::read(&archive).expect("an archive");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
    let name = format!("language-{digest}.zip");
    fs::write(world.sources().join(&name), bytes).expect("a file");
    format!("path: {name}, sha256: {digest}")
}

/// Translations in the form of gettext: originals sorted, each with its translation.
fn mo(texts: &[(&str, &str)]) -> Vec<u8> {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    let count = texts.len() * 8;
    let mut words: Vec<usize> = vec![
        0x9504_12de,
        0,
        texts.len(),
        28,
        28 + count,
        0,
        28 + 2 * count,
    ];
    let mut data = Vec::new();
    for side in [0, 1] {
        for text in &texts {
            let text = if side == 0 { text.0 } else { text.1 };
            words.extend([text.len(), 28 + 2 * count + data.len()]);
            data.extend(text.bytes().chain([0]));
        }
    }
    let word = |word: &usize| u32::try_from(*word).expect("it is short").to_le_bytes();
    words.iter().flat_map(word).chain(data).collect()
}

/// The language that a page says it is in.
pub(crate) fn of_page(body: &str) -> &str {
    let (_, rest) = body.split_once("<html lang=\"").unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

pub(crate) fn the_site_speaks_its_language(world: &World) {
    pages_are_in(world, "Seite fehlt");
    // A copy has it, too.
    let copy = format!("staging--acme.{}.sslip.io", world.ip(1).replace('.', "-"));
    assert_eq!(of_page(&world.visit(1, &copy, "/").1), "de-DE");
    // PHP of the site reads it and cannot write it.
    let write =
        "setpriv --reuid wp_acme_production --regid wp_acme_production --clear-groups sh -c";
    world.ssh(
        1,
        &format!(
            "{write} 'test -r {PLACE}/{MAIN} && ! test -w {PLACE}/{MAIN} && ! test -w {PLACE}'"
        ),
    );

    // What goes is told and put back.
    world.ssh(1, &format!("rm {PLACE}/{MAIN} {PLACE}/de_DE.l10n.php"));
    let drift = world.pressluft(&["drift", "env/acme/production"]).expect(2);
    assert!(
        drift.stdout.contains("de_DE of WordPress"),
        "{}",
        drift.stdout
    );
    world
        .pressluft(&["apply", "--auto-approve", "--rerun", "env/acme/production"])
        .expect(0);
    pages_are_in(world, "Seite fehlt");
    world.pressluft(&["drift"]).expect(0);

    // Another pack reaches those whose language it is.
    let packs = packs(world, "Nichts gefunden");
    let path = world.repo().join("pressluft.yaml");
    let text = fs::read_to_string(&path).expect("a file");
    let (head, rest) = text.split_once(", languages:").expect("it is there");
    let (_, rest) = rest.split_once("}]").expect("it ends");
    fs::write(&path, format!("{head}{packs}{rest}")).expect("written");
    world.commit("Another pack");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    pages_are_in(world, "Nichts gefunden");
    world.pressluft(&["drift"]).expect(0);
}

fn pages_are_in(world: &World, not_found: &str) {
    // The rate limit lets requests through again soon.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (status, _, body) = ask(world, "/", &[]);
    assert_eq!((status.as_str(), of_page(&body)), ("200", "de-DE"));
    let (status, _, body) = ask(world, "/no-such-page/", &[]);
    assert_eq!(status, "404");
    assert!(body.contains(not_found), "{body}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (_, _, body) = ask(world, "/wp-login.php", &[]);
    assert!(body.contains("Benutzername oder E-Mail-Adresse"), "{body}");
}

pub(crate) fn files_of_other_languages_stay(world: &World) {
    let kept = world.ssh(1, &format!("ls {PLACE} {PLACE}/plugins"));
    assert!(
        kept.contains(MAIN) && kept.contains("akismet-de_DE.mo"),
        "{kept}"
    );
}
