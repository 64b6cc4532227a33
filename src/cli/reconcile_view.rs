//! A reconcile in lines for people, and as JSON.

use serde_json::{Value, json};

use super::output::printable;
use crate::core::causes::chain;
use crate::core::diagnostic::{Diagnostic, Severity, together};
use crate::daemon::{Judged, Pass, PassResult, Reconciled};

/// So many problems of a revision are shown; `pressluft validate` has all of them.
const MOST_PROBLEMS: usize = 20;

/// Lines about a pass, each with its end.
pub(crate) fn text(event: &Reconciled) -> String {
    let (pass, took) = match event {
        Reconciled::Failed { message, .. } => {
            return format!("reconcile failed: {}\n", printable(message));
        }
        Reconciled::Passed { pass, took, .. } => (pass, took),
    };
    let mut out = String::new();
    if let Some((error, failures)) = &pass.fault {
        let times = if *failures == 1 {
            String::new()
        } else {
            format!(", for the {failures}. time")
        };
        let error = chain(error);
        let error = printable(&error);
        out.push_str(&format!("cannot read the fleet repo{times}: {error}\n"));
        if let Some((hint, 1)) = pass
            .fault
            .as_ref()
            .and_then(|(error, failures)| Some((error.hint()?, *failures)))
        {
            out.push_str(&format!("  {hint}\n"));
        }
    }
    if let Some(judged) = pass.judged.as_ref().filter(|judged| judged.is_news) {
        push_judged(&mut out, judged);
    }
    match &pass.result {
        PassResult::Nothing | PassResult::Unchanged => {}
        PassResult::Paused(reason) => {
            let reason = printable(reason);
            out.push_str(&format!("nothing is planned: paused because {reason}\n"));
        }
        PassResult::Planned {
            queued,
            blocked,
            held,
            removed,
        } => {
            let parts = [
                (queued.jobs, "queued"),
                (queued.joined.len(), "queued before"),
                (queued.superseded, "superseded"),
                (queued.recorded, "recorded"),
                (*blocked, "blocked"),
                (*held, "left alone after a failure"),
                (*removed, "not asked for any more"),
            ];
            let parts: Vec<String> = parts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            let revision = pass.in_force.as_deref().map_or("", short);
            let parts = if parts.is_empty() {
                "nothing to do".to_owned()
            } else {
                parts.join(", ")
            };
            let took = took.as_secs_f64();
            out.push_str(&format!("reconciled {revision} in {took:.2} s: {parts}\n"));
        }
    }
    out
}

fn push_judged(out: &mut String, judged: &Judged) {
    let revision = short(&judged.revision);
    let subject = judged.subject.as_deref().unwrap_or_default();
    let subject = if subject.is_empty() {
        String::new()
    } else {
        format!(" ({})", printable(subject))
    };
    let passed = match judged.superseded {
        0 => String::new(),
        count => format!(", {count} before it were passed over"),
    };
    match judged.trouble() {
        None => out.push_str(&format!("{revision}{subject} is in force{passed}\n")),
        Some(why) => {
            let why = printable(&why);
            out.push_str(&format!(
                "{revision}{subject} changes nothing: {why}{passed}\n"
            ));
            let same = together(&judged.diagnostics);
            let errors = same
                .iter()
                .filter_map(|same| Some((same.first()?, same.len())));
            let errors = errors.filter(|(found, _)| found.severity == Severity::Error);
            for (found, count) in errors.take(MOST_PROBLEMS) {
                let Diagnostic {
                    file,
                    line,
                    column,
                    code,
                    message,
                    ..
                } = found;
                let message = printable(message);
                let times = match count {
                    1 => String::new(),
                    count => format!(" ({count} times)"),
                };
                out.push_str(&format!(
                    "  {file}:{line}:{column}: {code}: {message}{times}\n"
                ));
            }
        }
    }
}

/// A pass as one JSON object.
pub(crate) fn json(event: &Reconciled) -> Value {
    match event {
        Reconciled::Failed { cause, message } => {
            json!({"type": "reconcile_failed", "cause": cause, "message": message})
        }
        Reconciled::Passed { cause, pass, took } => {
            let mut line = of_pass(pass);
            line["type"] = json!("reconciled");
            line["cause"] = json!(cause);
            line["seconds"] = json!(took.as_secs_f64());
            line
        }
    }
}

/// What a pass came to, as JSON.
pub(crate) fn of_pass(pass: &Pass) -> Value {
    let mut line = json!({
        "in_force": pass.in_force,
        "fault": pass.fault.as_ref().map(|(error, failures)| json!({
            "message": chain(error), "failures": failures,
        })),
        "judged": pass.judged.as_ref().map(|judged| json!({
            "revision": judged.revision, "verdict": judged.verdict, "refused": judged.refused,
            "diagnostics": judged.diagnostics, "superseded": judged.superseded,
            "is_news": judged.is_news,
        })),
    });
    match &pass.result {
        PassResult::Nothing => line["work"] = json!("nothing"),
        PassResult::Unchanged => line["work"] = json!("unchanged"),
        PassResult::Paused(_) => line["work"] = json!("paused"),
        PassResult::Planned {
            queued,
            blocked,
            held,
            removed,
        } => {
            line["work"] = json!("planned");
            line["queued"] = json!(queued.jobs);
            line["joined"] = json!(queued.joined.len());
            line["superseded"] = json!(queued.superseded);
            line["recorded"] = json!(queued.recorded);
            line["blocked"] = json!(blocked);
            line["held"] = json!(held);
            line["removed"] = json!(removed);
        }
    }
    line
}

/// The first digits of a commit.
pub(crate) fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}
