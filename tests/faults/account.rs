//! Steps about those who may look at the status endpoint, for the fixed sequence.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pressluft::store::{LoginBuckets, Measure, Store, StoreError};

/// One call of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    Add,
    Password,
    Remove,
    EndSessions,
    Login,
    Right,
    Wrong,
    Open(u8),
    Close(u8),
    Token,
    Revoke,
    Delivery(u8),
    Measure,
}

/// Reaches every place of these functions.
pub(crate) const ALL: [Account; 18] = [
    Account::Add,
    Account::Add,
    Account::Login,
    Account::Wrong,
    Account::Login,
    Account::Open(1),
    Account::Right,
    Account::Close(1),
    Account::Open(2),
    Account::EndSessions,
    Account::Password,
    Account::Token,
    Account::Revoke,
    Account::Delivery(1),
    Account::Delivery(1),
    Account::Delivery(2),
    Account::Measure,
    Account::Remove,
];

/// Does one of them. That there is such a name already, or none, is a result like any other.
pub(crate) fn run(step: Account, store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    match attempt(step, store, now) {
        Err(StoreError::NotFound { .. } | StoreError::Taken { .. }) => Ok(()),
        other => other,
    }
}

fn attempt(step: Account, store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    let buckets = LoginBuckets {
        account: [1; 32],
        source: [2; 32],
    };
    match step {
        Account::Add => store.add_user("anna", "hash", "ops", now),
        Account::Password => store.set_password("anna", "hash", "ops", now),
        Account::Remove => store.remove_user("anna", "ops", now),
        Account::EndSessions => store.end_sessions("anna", "ops", now).map(drop),
        Account::Login => store.begin_login(&buckets, now).map(drop),
        Account::Right => store.login_was_right(&buckets),
        Account::Wrong => store.audit_failed_login(Some("anna"), "192.0.2.1", now),
        Account::Open(n) => {
            let until = now + SignedDuration::from_hours(24);
            store.open_session(&[n; 32], ("anna", "hash"), until, "192.0.2.1", now)
        }
        Account::Close(n) => store.close_session(&[n; 32], now).map(drop),
        Account::Token => store.add_api_token("script", &[3; 32], None, "ops", now),
        Account::Revoke => store.revoke_api_token("script", "ops", now),
        Account::Delivery(n) => store.take_delivery(&[[n; 32]], now).map(drop),
        Account::Measure => store.measure(Measure::Reconcile, "ok", Duration::from_millis(20)),
    }
}
