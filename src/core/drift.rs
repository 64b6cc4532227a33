//! What a look at a resource on its node finds to be otherwise than it was applied.

use serde::{Deserialize, Serialize};

/// The tasks of a look that would change something. None of them: it is what was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// By their names, in their order.
    pub tasks: Vec<String>,
    /// Those of them that only look: no job puts back what they find, somebody has to.
    pub by_hand: Vec<String>,
}

impl Differences {
    /// Notes a task that would change something, or would if it did more than look.
    pub fn add(&mut self, task: String, only_looks: bool) {
        if only_looks {
            self.by_hand.push(task.clone());
        }
        self.tasks.push(task);
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_none(&self) -> bool {
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
        let healed =
            (!healed.is_empty()).then(|| format!("found to differ: {}", healed.join(", ")));
        let by_hand = (!self.by_hand.is_empty())
            .then(|| format!("only by hand to put back: {}", self.by_hand.join(", ")));
        let parts: Vec<String> = healed.into_iter().chain(by_hand).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_puts_back_and_what_it_does_not_are_told_apart() {
        let mut found = Differences::default();
        assert!(found.is_none());
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
}
