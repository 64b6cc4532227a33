//! What a look at a resource on its node finds to be otherwise than it was applied.

use serde::{Deserialize, Serialize};

/// In front of what no job puts back.
pub const BY_HAND: &str = "only by hand to put back";

/// How much of what differs is named in one sentence.
const NAMED: usize = 20;

/// What a look has found: tasks that would change something, and single findings of tasks that no
/// job puts back, as `Task: finding`. None of either: it is what was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// By their names, in their order.
    pub tasks: Vec<String>,
    /// Those of them that no job puts back, somebody has to: the findings, and the tasks that only
    /// look.
    pub by_hand: Vec<String>,
}

impl Differences {
    /// Notes a task that would change something, or would if it did more than look, or a finding.
    pub fn add(&mut self, task: String, only_by_hand: bool) {
        if only_by_hand {
            self.by_hand.push(task.clone());
        }
        self.tasks.push(task);
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks whose differences the job of the resource puts back.
    #[must_use]
    pub fn to_heal(&self) -> Vec<&str> {
        let healed = self
            .tasks
            .iter()
            .filter(|task| !self.by_hand.contains(task));
        healed.map(String::as_str).collect()
    }

    /// What differs, as a sentence for people; none when nothing does.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let healed = self.to_heal();
        let healed = (!healed.is_empty()).then(|| format!("found to differ: {}", named(&healed)));
        let by_hand: Vec<&str> = self.by_hand.iter().map(String::as_str).collect();
        let by_hand = (!by_hand.is_empty()).then(|| format!("{BY_HAND}: {}", named(&by_hand)));
        let parts: Vec<String> = healed.into_iter().chain(by_hand).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The first of them, and how many more there are.
fn named(entries: &[&str]) -> String {
    let first = entries[..entries.len().min(NAMED)].join(", ");
    match entries.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_puts_back_and_what_it_does_not_are_told_apart() {
        let mut found = Differences::default();
        assert!(found.is_empty());
        assert_eq!(found.sentence(), None);
        found.add("Serve the code".to_owned(), true);
        assert_eq!(found.to_heal(), Vec::<&str>::new());
        assert_eq!(
            found.sentence().as_deref(),
            Some("only by hand to put back: Serve the code")
        );
        found.add("Apply the files".to_owned(), false);
        assert_eq!(found.to_heal(), ["Apply the files"]);
        assert_eq!(
            found.sentence().as_deref(),
            Some("found to differ: Apply the files; only by hand to put back: Serve the code")
        );
    }

    #[test]
    fn a_task_may_put_back_one_thing_and_find_another() {
        let mut found = Differences::default();
        found.add("Set the options".to_owned(), false);
        found.add("Set the options: a grant too much: FILE".to_owned(), true);
        assert_eq!(found.to_heal(), ["Set the options"]);
        assert_eq!(
            found.sentence().as_deref(),
            Some(
                "found to differ: Set the options; only by hand to put back: \
                 Set the options: a grant too much: FILE"
            )
        );
        for number in 0..30 {
            found.add(format!("Serve the code: file {number}"), true);
        }
        let sentence = found.sentence().unwrap_or_default();
        assert!(sentence.ends_with("file 18 and 11 more"), "{sentence}");
    }
}
