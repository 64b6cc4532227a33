//! Webhooks: who is believed, and that nobody else learns anything.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::client::{Ask, Reply, post};
use crate::world::{HOOK_SECRET, Setup, World};

const BODY: &str =
    r#"{"ref":"refs/heads/main","after":"4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e"}"#;

fn signature(secret: &str, body: &str) -> String {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("any length is fine");
    mac.update(body.as_bytes());
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn push(body: &str) -> Ask {
    post("/hooks/git", body).json()
}

fn woken(world: &World) -> Option<String> {
    let wake = world.woken.recv_timeout(Duration::from_millis(500)).ok()?;
    Some(wake.remote)
}

#[test]
fn each_host_is_believed_in_its_own_way() {
    let world = World::new();
    let body = |n: usize| format!("{{\"n\":{n}}}");
    let signed = |n: usize| signature(HOOK_SECRET, &body(n));
    let asks = [
        push(&body(0))
            .with("X-Hub-Signature-256", &format!("sha256={}", signed(0)))
            .with("X-GitHub-Delivery", "a"),
        push(&body(1)).with("X-Gitea-Signature", &signed(1)),
        push(&body(2))
            .with("X-Forgejo-Signature", &signed(2))
            .with("X-Gitea-Signature", &signed(2)),
        push(&body(3))
            .with("X-Gitlab-Token", HOOK_SECRET)
            .with("X-Gitlab-Event-UUID", "b"),
    ];
    for ask in asks {
        let reply = ask.send(world.address);
        assert_eq!(reply.status, 202, "{ask:?}: {}", reply.text());
        assert_eq!(woken(&world).as_deref(), Some("origin"), "{ask:?}");
    }
}

#[test]
fn all_refusals_look_the_same_and_wake_nobody() {
    let world = World::new();
    let right = signature(HOOK_SECRET, BODY);
    let flipped = format!(
        "{}{}",
        if right.starts_with('0') { '1' } else { '0' },
        &right[1..]
    );
    let github = |value: &str| push(BODY).with("X-Hub-Signature-256", value);
    let refused = [
        push(BODY),
        github(&format!("sha256={flipped}")),
        github(&format!("sha256={}", &right[..40])),
        github("sha256="),
        github(&right),
        github(&format!("sha1={right}")),
        github(&format!("sha256={}", signature("another secret", BODY))),
        github(&format!("sha256={right}")).with("X-Hub-Signature-256", "sha256=00"),
        push(BODY).with("X-Gitea-Signature", &signature(HOOK_SECRET, "{}")),
        push(BODY)
            .with("X-Forgejo-Signature", "zz")
            .with("X-Gitea-Signature", &right),
        push(BODY).with("X-Gitlab-Token", "a secret"),
        push(BODY).with("X-Gitlab-Token", ""),
        push("").with("X-Gitea-Signature", &right),
    ];
    let replies: Vec<Reply> = refused.iter().map(|ask| ask.send(world.address)).collect();
    for (ask, reply) in refused.iter().zip(&replies) {
        assert_eq!(reply.status, 401, "{ask:?}");
        assert_eq!(reply.body, replies[0].body, "{ask:?}");
    }
    let large = push(&"x".repeat(6 << 20)).with("X-Gitea-Signature", &right);
    let announced = Ask::new("POST", "/hooks/git")
        .with("X-Gitea-Signature", &right)
        .with("Content-Length", "99999999999")
        .send(world.address);
    assert_eq!(announced.status, 413);
    assert_eq!(announced.body, replies[0].body);
    drop(large);
    assert_eq!(woken(&world), None);
}

#[test]
fn a_delivery_is_taken_once_also_after_a_restart() {
    let world = World::new();
    let signed = format!("sha256={}", signature(HOOK_SECRET, BODY));
    let ask = |delivery: &str| {
        push(BODY)
            .with("X-Hub-Signature-256", &signed)
            .with("X-GitHub-Delivery", delivery)
    };
    assert_eq!(ask("a").send(world.address).status, 202);
    assert!(woken(&world).is_some());
    assert_eq!(ask("a").send(world.address).status, 401);
    // The name is not signed: whoever repeats the body under another name gets nowhere.
    assert_eq!(ask("b").send(world.address).status, 401);
    let world = world.restart(&Setup::default());
    assert_eq!(ask("a").send(world.address).status, 401);
    assert_eq!(woken(&world), None);
}

#[test]
fn a_ping_is_answered_and_wakes_nobody() {
    let world = World::new();
    let body = r#"{"zen":"x"}"#;
    let reply = push(body)
        .with("X-GitHub-Event", "ping")
        .with(
            "X-Hub-Signature-256",
            &format!("sha256={}", signature(HOOK_SECRET, body)),
        )
        .send(world.address);
    assert_eq!(reply.status, 202);
    assert_eq!(woken(&world), None);
}

#[test]
fn one_source_cannot_send_for_ever() {
    let world = World::new();
    let statuses: Vec<u16> = (0..60)
        .map(|_| push(BODY).send(world.address).status)
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
}
