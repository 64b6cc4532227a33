//! I8: a secret that goes through the real program is seen nowhere, also when the program is
//! killed while it has it.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use pressluft::process;

use crate::Result;
use crate::checker;
use crate::context::Context;
use crate::random::Random;
use crate::report::Report;

pub(crate) fn run(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    let mut random = Random::new(context.seed);
    for turn in 0..context.dosed(2, 60) {
        let state = context.place(format!("canary-{turn}"))?;
        let canary = format!(
            "canary{}",
            blake3::hash(&random.next().to_le_bytes()).to_hex()
        );
        // Two are killed somewhere on their way, the last one comes to its end.
        for patience in [Some(random.below(15)), Some(random.below(15)), None] {
            let arguments = ["secret", "set", "notify/ops"];
            let (output, mut seen) = call(&state, &arguments, &canary, patience)?;
            if patience.is_none() && !output.status.success() {
                seen.push(format!("`secret set` fails: {}", output.status));
            }
            seen.extend(said(&output, &canary));
            report.run(seen);
        }
        for arguments in [
            &["secret", "list"][..],
            &["audit", "list"],
            &["jobs", "list"],
        ] {
            let (output, mut seen) = call(&state, arguments, "", None)?;
            seen.extend(said(&output, &canary));
            report.run(seen);
        }
        let mut broken = checker::secrets::leaks(&[&canary], &state)?;
        broken.extend(checker::database(&state.join("pressluft.db")));
        // It is there, and only for who asks for it.
        let (output, _) = call(&state, &["secret", "get", "notify/ops"], "", None)?;
        if !String::from_utf8_lossy(&output.stdout).contains(&canary) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            broken.push(format!("the secret cannot be read back: {stderr}"));
        }
        report.run(broken);
    }
    Ok(report)
}

/// Runs the program with `input`, looks at it while it runs, and kills it after `patience`
/// milliseconds.
fn call(
    state: &Path,
    arguments: &[&str],
    input: &str,
    patience: Option<u64>,
) -> Result<(Output, Vec<String>)> {
    let mut child = process::command(env!("CARGO_BIN_EXE_pressluft"))
        .env("PRESSLUFT_STATE_DIR", state)
        .env("RUST_LOG", "trace")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    // A command that reads nothing may have closed it.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let seen = if input.is_empty() {
        Vec::new()
    } else {
        checker::secrets::leaks(&[input], state)?
    };
    if let Some(patience) = patience {
        thread::sleep(Duration::from_millis(patience));
        // It may have ended already.
        drop(child.kill());
    }
    Ok((child.wait_with_output()?, seen))
}

fn said(output: &Output, canary: &str) -> Vec<String> {
    [
        ("standard output", &output.stdout),
        ("standard error", &output.stderr),
    ]
    .into_iter()
    .filter(|(_, text)| String::from_utf8_lossy(text).contains(canary))
    .map(|(place, _)| format!("I8: a secret is on {place}"))
    .collect()
}
