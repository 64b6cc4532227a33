//! Makes a fleet repo of any size, the same one every time.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How large a fleet is. Every site has two environments, production and staging.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) sites: usize,
}

/// Writes the fleet into the directory `root`: one file for each node, and one for each site
/// with its environments. Returns the paths of all files.
pub(crate) fn write(root: &Path, size: Size) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![root.join("pressluft.yaml")];
    fs::write(&files[0], FLEET)?;
    for number in 0..size.nodes {
        files.push(save(
            root,
            &format!("nodes/rack-{:02}", number / 50),
            &node_name(number),
            &node(number),
        )?);
    }
    for number in 0..size.sites {
        let directory = format!("sites/{:02}", number / 100);
        files.push(save(
            root,
            &directory,
            &site_name(number),
            &site(number, size),
        )?);
    }
    Ok(files)
}

/// Changes one field of one environment of the fleet.
pub(crate) fn change(files: &[PathBuf], turn: usize) -> io::Result<()> {
    let path = &files[files.len() - 1 - turn % 100];
    let text = fs::read_to_string(path)?;
    let at = text
        .rfind("memory: ")
        .map_or(text.len(), |at| at + "memory: ".len());
    let end = text[at..]
        .find('\n')
        .map_or(text.len(), |length| at + length);
    fs::write(
        path,
        format!("{}{}M{}", &text[..at], 300 + turn, &text[end..]),
    )
}

fn save(root: &Path, directory: &str, name: &str, text: &str) -> io::Result<PathBuf> {
    let directory = root.join(directory);
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.yaml"));
    fs::write(&path, text)?;
    Ok(path)
}

const FLEET: &str = "\
kind: Fleet
version: 1
name: studio-north
acme: { email: ops@studio.example, directory: letsencrypt }
backups: { repository: \"s3:https://s3.example.com/studio\", credentials: \"secret:s3\", password: \"secret:restic\" }
reconcile: { interval: 60s, prune: report, max_parallel_nodes: 8 }
defaults:
  node:
    patching: { window: \"sun 03:00-05:00 Europe/Berlin\", reboot: if-needed }
  environment:
    php: { version: \"8.2\" }
    backups: { schedule: \"0 3 * * *\", scope: full, keep: { daily: 7, weekly: 4, monthly: 6 } }
";

fn node_name(number: usize) -> String {
    format!("web-{number:04}")
}

fn site_name(number: usize) -> String {
    const WORDS: [&str; 8] = [
        "bakery", "florist", "garage", "museum", "harbour", "library", "orchard", "theatre",
    ];
    format!("{}-{number:05}", WORDS[number % WORDS.len()])
}

fn node(number: usize) -> String {
    let name = node_name(number);
    let (high, low) = (number / 250, number % 250 + 1);
    format!(
        "kind: Node
name: {name}
host: 198.18.{high}.{low}
public_ip: 198.18.{high}.{low}
labels: {{ rack: rack-{:02}, tier: {} }}
ssh: {{ user: root, port: 22 }}
php: {{ versions: [\"8.2\", \"8.3\"], ram_budget: 32GiB }}
database: {{ buffer_pool: 4GiB }}
redis: {{ maxmemory: 512MiB }}
firewall: {{ ssh_allow: [192.0.2.0/24] }}
",
        number / 50,
        if number % 5 == 0 { "shop" } else { "standard" },
    )
}

fn site(number: usize, size: Size) -> String {
    let name = site_name(number);
    let node = node_name(number % size.nodes);
    let mut text = format!(
        "# {name}, customer {number}
kind: Site
name: {name}
title: The {name}
node: {node}
admin: {{ user: owner, email: owner@{name}.example }}
locale: de_DE
wordpress: {{ version: \"6.8.2\" }}
plugins:
  - {{ name: woocommerce, version: 9.9.5 }}
  - {{ name: wordpress-seo, version: \"25.4\", state: active }}
updates: {{ scope: [core, plugins], window: \"tue 02:00-04:00 Europe/Berlin\", gate: staging }}
---
kind: Environment
site: {name}
name: production
type: production
domains:
  - {{ name: {name}.example, primary: true }}
  - {{ name: www.{name}.example, redirect: true }}
php:
  memory: {}M
  workers: {}
  ini: {{ upload_max_filesize: 64M }}
cache: {{ page: true, object: {}, ttl: 10m }}
",
        256 + number % 3 * 64,
        4 + number % 4,
        number % 2 == 0,
    );
    if number % 3 == 0 {
        text += "http:\n  hsts: true\n  redirects:\n";
        for redirect in 0..number % 4 + 1 {
            // Writing to a string does not fail.
            drop(writeln!(
                text,
                "    - {{ from: /old-{redirect}/, to: /new-{redirect}/, status: 301 }}"
            ));
        }
    }
    text + &format!(
        "promotion: {{ preset: commerce-protect }}
---
kind: Environment
site: {name}
name: staging
type: staging
from: production
expires: 30d
safety: {{ noindex: true, mail: capture }}
php:
  memory: 256M
"
    )
}
