//! `kill -9` at every labelled place: the step is done wholly or not at all, and the next
//! process goes on from there to the same end.

use crate::Result;
use crate::context::Context;
use crate::report::Report;

/// Every label that the sources have.
#[cfg(feature = "crash-points")]
pub(crate) fn labels() -> Result<std::collections::BTreeSet<String>> {
    let mut labels = std::collections::BTreeSet::new();
    let mut directories = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                labels.extend(
                    text.split("reach(\"")
                        .skip(1)
                        .filter_map(|rest| rest.split('"').next())
                        .map(str::to_owned),
                );
            }
        }
    }
    Ok(labels)
}

#[cfg(not(feature = "crash-points"))]
pub(crate) fn run(_context: &Context) -> Result<Report> {
    let mut report = Report::default();
    report.note("not compiled in: --features crash-points");
    Ok(report)
}

#[cfg(feature = "crash-points")]
pub(crate) fn run(context: &Context) -> Result<Report> {
    use crate::random::Random;
    use crate::reference::Reference;

    const SEEDS: u64 = 4;
    let mut labels = labels()?;
    labels.retain(|label| !super::restore::is_of(label));
    let mut report = Report::default();
    let references = (0..context.dosed(1, SEEDS))
        .map(|seed| Reference::make(context.seed + seed, RANDOM, &context.directory))
        .collect::<Result<Vec<_>>>()?;
    let mut random = Random::new(context.seed);
    for (number, label) in labels.iter().enumerate() {
        for turn in 0..context.dosed(1, 20) {
            let reference = &references[random.index(references.len())];
            let places: Vec<(usize, u64)> = reference
                .reached
                .iter()
                .enumerate()
                .filter_map(|(step, hits)| Some((step, *hits.get(label.as_str())?)))
                .collect();
            if places.is_empty() {
                report.run(vec![format!("nothing reaches the crash point `{label}`")]);
                break;
            }
            let (step, hits) = places[random.index(places.len())];
            // A step or two before, so that the process has a past.
            let from = step.saturating_sub(random.index(3));
            let before: u64 = reference.reached[from..step]
                .iter()
                .filter_map(|hits| hits.get(label.as_str()))
                .sum();
            let hit = Hit {
                label,
                from,
                number: before + 1 + random.below(hits),
                step,
            };
            let directory = context.place(format!("crash-{number}-{turn}"))?;
            report.run(one(context, reference, &hit, &directory)?);
            std::fs::remove_dir_all(&directory)?;
        }
    }
    report.note(format!("{} labelled places", labels.len()));
    Ok(report)
}

/// How many random steps follow the fixed ones.
#[cfg(feature = "crash-points")]
const RANDOM: usize = 60;

#[cfg(feature = "crash-points")]
struct Hit<'a> {
    label: &'a str,
    /// The step that the process begins with.
    from: usize,
    number: u64,
    /// The step in which it dies, as the reference says. A handle that was opened later than
    /// the one of the reference reaches some places once more, and dies a step earlier.
    step: usize,
}

#[cfg(feature = "crash-points")]
fn one(
    context: &Context,
    reference: &crate::reference::Reference,
    hit: &Hit<'_>,
    directory: &std::path::Path,
) -> Result<Vec<String>> {
    use crate::checker;
    use crate::context::{lines, was_killed};
    use crate::digest::digest;
    use crate::script::Session;

    let path = reference.copy(hit.from, directory)?;
    let acks = directory.join("acks");
    let output = context
        .role("script")?
        .arg("--database")
        .arg(&path)
        .arg("--acks")
        .arg(&acks)
        .args(["--seed", &reference.script.seed().to_string()])
        .args(["--random", &RANDOM.to_string()])
        .args(["--from", &hit.from.to_string()])
        .args(["--until", &(hit.step + 1).to_string()])
        .args(["--crash", hit.label, "--hit", &hit.number.to_string()])
        .output()?;
    let label = hit.label;
    if !was_killed(output.status) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Ok(vec![format!(
            "nobody died at `{label}` in step {}: {} {stderr}",
            hit.step, output.status
        )]);
    }
    let done = hit.from + lines(&acks)?.len();
    let now = digest(&path)?;
    let Some(next) = [done, done + 1]
        .into_iter()
        .find(|steps| reference.digests.get(*steps) == Some(&now))
    else {
        return Ok(vec![format!(
            "I1: after a death at `{label}` step {done} is neither done nor undone"
        )]);
    };
    let mut broken = checker::database(&path);
    let mut session = Session::new(&path);
    let end = (next + 4).min(reference.script.steps.len());
    for index in next..end {
        if let Err(error) = reference.script.run(&mut session, index) {
            broken.push(format!(
                "step {index} fails after a death at `{label}`: {error}"
            ));
        }
    }
    if digest(&path)? != reference.digests[end] {
        broken.push(format!(
            "I1: what follows a death at `{label}` is another state"
        ));
    }
    Ok(broken)
}
