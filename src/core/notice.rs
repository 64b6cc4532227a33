//! What is worth telling: from how resources stood when something was told last to how they stand
//! now. Pure, so that nothing is told twice and nothing is forgotten across restarts.

use jiff::Timestamp;
use serde::Serialize;

#[cfg(test)]
use super::condition::BY_HAND;
use super::condition::{Condition, ConditionKind, Standing};
use super::document::fleet::NotifyEvent;
use super::id::ResourceId;
use super::job::ErrorCode;

/// How something stood when it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub kind: ConditionKind,
    pub code: Option<String>,
    /// The revision that was applied then.
    pub revision: Option<String>,
}

impl Noted {
    /// Whether being well again is news.
    fn is_bad(&self) -> bool {
        matches!(
            self.kind,
            ConditionKind::Failed
                | ConditionKind::Stalled
                | ConditionKind::Blocked
                | ConditionKind::Drifted
        )
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub event: NotifyEvent,
    /// The id of a resource, or `revision` for a revision of the fleet repo.
    pub subject: String,
    pub code: Option<String>,
    pub reason: Option<String>,
    pub revision: Option<String>,
    pub at: Timestamp,
}

/// What is noted of a resource from now on; none where there is nothing settled to note: work goes
/// on, it only waits for something that is told itself, or what was bad is held back on purpose: one
/// that failed, was suspended and is well again has recovered.
#[must_use]
pub fn settled(standing: &Standing, before: Option<&Noted>) -> Option<Noted> {
    let code = standing.condition.code();
    let is_settled = match standing.condition.kind() {
        ConditionKind::Reconciling => false,
        ConditionKind::Suspended => !before.is_some_and(Noted::is_bad),
        ConditionKind::Blocked => match &standing.condition {
            Condition::Blocked { code, .. } => !code.is_told_elsewhere(),
            _ => true,
        },
        ConditionKind::Stalled => {
            code != Some(ErrorCode::AnsibleHostUnreachable.as_str())
                || matches!(standing.id, ResourceId::Node(_))
        }
        ConditionKind::Failed | ConditionKind::Drifted | ConditionKind::Ready => true,
    };
    is_settled.then(|| Noted {
        kind: standing.condition.kind(),
        code: code.map(str::to_owned),
        revision: standing.applied_revision.clone(),
    })
}

/// What has happened between the two, if it is worth telling. Of what was never noted only bad news
/// is; `is_new` says that the resource has come into being since.
#[must_use]
pub fn event(before: Option<&Noted>, now: &Noted, is_new: bool) -> Option<NotifyEvent> {
    let was = before.map(|before| before.kind);
    let same_code = before.is_some_and(|before| before.code == now.code);
    let was_bad = before.is_some_and(Noted::is_bad);
    match now.kind {
        // One that is given up was told when it failed first.
        ConditionKind::Failed | ConditionKind::Stalled => {
            let was_told = matches!(was, Some(ConditionKind::Failed | ConditionKind::Stalled));
            let unreachable = ErrorCode::AnsibleHostUnreachable.as_str();
            match (was_told && same_code, now.code.as_deref()) {
                (true, _) => None,
                (false, Some(code)) if code == unreachable => Some(NotifyEvent::Unreachable),
                (false, _) => Some(NotifyEvent::Failed),
            }
        }
        ConditionKind::Blocked if was == Some(ConditionKind::Blocked) && same_code => None,
        ConditionKind::Blocked => Some(NotifyEvent::Blocked),
        ConditionKind::Drifted if was == Some(ConditionKind::Drifted) && same_code => None,
        ConditionKind::Drifted => Some(NotifyEvent::Drifted),
        ConditionKind::Ready if was_bad => Some(NotifyEvent::Recovered),
        ConditionKind::Ready => {
            let is_changed = before.is_some_and(|before| before.revision != now.revision);
            (is_changed || (before.is_none() && is_new)).then_some(NotifyEvent::Succeeded)
        }
        ConditionKind::Suspended | ConditionKind::Reconciling => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(kind: ConditionKind, code: &str, revision: &str) -> Noted {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Noted {
            kind,
            code: some(code),
            revision: some(revision),
        }
    }

    #[test]
    fn each_step_is_told_once() {
        use ConditionKind::{Blocked, Drifted, Failed, Ready, Stalled};
        let steps = [
            (Ready, "", "a", None),
            (Ready, "", "a", None),
            (Ready, "", "b", Some(NotifyEvent::Succeeded)),
            (Failed, "X", "b", Some(NotifyEvent::Failed)),
            (Failed, "X", "b", None),
            (Stalled, "X", "b", None),
            (Failed, "Y", "b", Some(NotifyEvent::Failed)),
            (Ready, "", "c", Some(NotifyEvent::Recovered)),
            (Blocked, "not-supported", "c", Some(NotifyEvent::Blocked)),
            (Blocked, "not-supported", "c", None),
            (Drifted, "", "c", Some(NotifyEvent::Drifted)),
            (Drifted, "", "c", None),
            (Drifted, "by-hand", "c", Some(NotifyEvent::Drifted)),
            (Ready, "", "c", Some(NotifyEvent::Recovered)),
            (
                Stalled,
                "ANSIBLE_HOST_UNREACHABLE",
                "c",
                Some(NotifyEvent::Unreachable),
            ),
            (Ready, "", "c", Some(NotifyEvent::Recovered)),
        ];
        let mut before = None;
        for (kind, code, revision, expected) in steps {
            let now = noted(kind, code, revision);
            assert_eq!(event(before.as_ref(), &now, false), expected, "{now:?}");
            before = Some(now);
        }
    }

    #[test]
    fn what_was_bad_is_not_forgotten_while_it_is_held_back() {
        use crate::core::condition::Condition;
        let at = Timestamp::from_second(1_772_000_000).expect("a time");
        let standing = |condition| Standing {
            beside: Vec::new(),
            id: "env/acme/production".parse().expect("an id"),
            node: None,
            condition,
            desired_revision: None,
            attempted_revision: None,
            applied_revision: None,
            job: None,
            changed_at: at,
        };
        let reason = "`site/acme` is suspended".to_owned();
        let suspended = standing(Condition::Suspended { reason });
        let failed = noted(ConditionKind::Failed, "X", "a");
        assert_eq!(settled(&suspended, Some(&failed)), None);
        let ready = noted(ConditionKind::Ready, "", "a");
        assert!(settled(&suspended, Some(&ready)).is_some());
        assert!(settled(&suspended, None).is_some());
        assert!(settled(&standing(Condition::Ready), Some(&failed)).is_some());
        let reason = "only by hand to put back: Serve the code".to_owned();
        let drifted = Condition::Drifted {
            reason,
            by_hand: true,
        };
        let code = settled(&standing(drifted), None).and_then(|noted| noted.code);
        assert_eq!(code.as_deref(), Some(BY_HAND));
    }

    #[test]
    fn a_fleet_that_is_taken_over_is_no_news_but_its_failures_are() {
        let ready = noted(ConditionKind::Ready, "", "a");
        assert_eq!(event(None, &ready, false), None);
        assert_eq!(event(None, &ready, true), Some(NotifyEvent::Succeeded));
        let failed = noted(ConditionKind::Failed, "X", "");
        assert_eq!(event(None, &failed, false), Some(NotifyEvent::Failed));
    }
}
