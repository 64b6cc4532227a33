//! Logging in and out, and what happens to those who guess.

use jiff::SignedDuration;
use pressluft::core::audit::AuditAction;
use pressluft::store::{AuditFilter, LoginBuckets, LoginGate, Store};
use serde_json::json;

use crate::client::{get, post};
use crate::world::{PASSWORD, Setup, World, now};

fn audited(world: &World, action: AuditAction) -> Vec<serde_json::Value> {
    let filter = AuditFilter {
        action: Some(action),
        limit: 1_000,
        ..AuditFilter::default()
    };
    let entries = world.store.audit_entries(&filter).expect("entries");
    entries.into_iter().map(|entry| entry.detail).collect()
}

#[test]
fn a_session_opens_pages_until_it_is_closed() {
    let world = World::new();
    let reply = world.login("anna", PASSWORD);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["user"], "anna");
    let attributes = reply.header("set-cookie").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=86400"] {
        assert!(attributes.contains(part), "{attributes}");
    }
    assert!(!attributes.contains("Secure"), "plain HTTP on loopback");
    let cookie = reply.cookie().expect("a cookie");
    let token = cookie.split('=').nth(1).expect("a token");
    let bytes = std::fs::read(world.path()).expect("the database");
    let log = std::fs::read(format!("{}-wal", world.path().display())).unwrap_or_default();
    for bytes in [bytes, log] {
        let found = bytes
            .windows(token.len())
            .any(|part| part == token.as_bytes());
        assert!(!found, "the token itself is stored");
    }
    let ask = get("/api/jobs").with("Cookie", &format!("a=b; {cookie}"));
    assert_eq!(ask.send(world.address).status, 200);
    let out = post("/api/logout", "")
        .with("Cookie", &cookie)
        .send(world.address);
    assert_eq!(out.status, 204);
    assert!(
        out.header("set-cookie")
            .is_some_and(|cookie| cookie.contains("Max-Age=0"))
    );
    assert_eq!(ask.send(world.address).status, 401);
    assert_eq!(audited(&world, AuditAction::LoginSucceeded).len(), 1);
    assert_eq!(audited(&world, AuditAction::LoggedOut).len(), 1);
}

#[test]
fn a_form_is_led_on_and_only_to_pages_of_this_host() {
    let world = World::with(&Setup {
        behind_proxy: true,
        ..Setup::default()
    });
    let form = |password: &str, next: &str| {
        let password = password.replace(' ', "+");
        post(
            "/api/login",
            format!("user=anna&password={password}&next={next}"),
        )
        .with("Content-Type", "application/x-www-form-urlencoded")
        .send(world.address)
    };
    let fine = form(PASSWORD, "%2Fjobs");
    assert_eq!((fine.status, fine.header("location")), (303, Some("/jobs")));
    assert!(
        fine.header("set-cookie")
            .is_some_and(|cookie| cookie.contains("; Secure"))
    );
    for next in [
        "%2F%2Fevil.example",
        "https%3A%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "",
    ] {
        assert_eq!(form(PASSWORD, next).header("location"), Some("/"), "{next}");
    }
    let wrong = form("not this one", "%2Fjobs");
    assert_eq!(wrong.status, 401);
    let page = wrong.text();
    assert!(page.contains("user and password do not match") && page.contains("value=\"/jobs\""));
    assert!(
        !page.contains("not this one"),
        "a password is never sent back"
    );
    let unknown = get("/jobs").with("Accept", "text/html").send(world.address);
    assert_eq!(unknown.header("location"), Some("/login?next=/jobs"));
}

#[test]
fn bad_input_never_logs_in_and_never_breaks_anything() {
    let world = World::new();
    let long = json!({ "user": "anna", "password": "x".repeat(2_000) }).to_string();
    let bodies = [
        "",
        "{}",
        "null",
        "[]",
        "{",
        "\u{feff}{}",
        "{\"user\":1,\"password\":2}",
        "{\"user\":\"anna\"}",
        "{\"user\":\"\",\"password\":\"\"}",
        "{\"user\":\"anna\\u0000\",\"password\":\"x\"}",
        "{\"user\":\"' OR 1=1 --\",\"password\":\"x\"}",
        &long,
        "{\"user\":\"anna\",\"user\":\"anna\",\"password\":\"x\"}",
    ];
    for body in bodies {
        let reply = post("/api/login", body).json().send(world.address);
        assert!(
            (400..500).contains(&reply.status),
            "{body}: {}",
            reply.status
        );
        assert!(reply.json()["code"].is_string());
        assert_eq!(reply.cookie(), None);
    }
    let plain = post("/api/login", "user=anna&password=x").send(world.address);
    assert_eq!(plain.status, 415);
    let crossed = post("/api/login", "{}")
        .json()
        .with("Origin", "https://evil.example");
    assert_eq!(crossed.send(world.address).status, 403);
    let crossed = post("/api/logout", "").with("Sec-Fetch-Site", "cross-site");
    assert_eq!(crossed.send(world.address).status, 403);
    let failed = audited(&world, AuditAction::LoginFailed);
    assert!(
        failed
            .iter()
            .all(|detail| !detail.to_string().contains("OR 1=1"))
    );
}

#[test]
fn sessions_end_with_their_user_and_tokens_with_their_time() {
    let mut world = World::new();
    let cookie = world.login("anna", PASSWORD).cookie().expect("a cookie");
    let ask = get("/api/jobs").with("Cookie", &cookie);
    assert_eq!(ask.send(world.address).status, 200);
    let ended = world
        .store
        .end_sessions("anna", "test", now())
        .expect("ended");
    assert_eq!(ended, 1);
    assert_eq!(ask.send(world.address).status, 401);

    let token = pressluft::web::new_api_token();
    let digest = pressluft::web::token_digest(&token);
    let until = now() + SignedDuration::from_millis(300);
    world
        .store
        .add_api_token("brief", &digest, Some(until), "test", now())
        .expect("kept");
    let ask = get("/api/jobs").with("Authorization", &format!("Bearer {token}"));
    assert_eq!(ask.send(world.address).status, 200);
    assert!(
        world.store.api_tokens().expect("tokens")[0]
            .last_used_at
            .is_some()
    );
    std::thread::sleep(std::time::Duration::from_millis(350));
    assert_eq!(ask.send(world.address).status, 401);
}

/// The limiter's own clock is an argument, so a day of guessing takes a moment here.
#[test]
fn ten_thousand_wrong_logins_lock_nobody_else_out() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("state.db");
    let guesser = LoginBuckets {
        account: [1; 32],
        source: [2; 32],
    };
    let elsewhere = LoginBuckets {
        account: [3; 32],
        source: [4; 32],
    };
    let begun = now();
    let mut looked_at = 0;
    let mut store = Store::open(&path).expect("opened");
    for n in 0..10_000 {
        // A process that is killed forgets nothing: there is nothing that it would have to write.
        if n % 1_000 == 999 {
            drop(store);
            store = Store::open(&path).expect("opened again");
        }
        let at = begun + SignedDuration::from_millis(n * 100);
        match store.begin_login(&guesser, at).expect("asked") {
            LoginGate::Open(_) => looked_at += 1,
            LoginGate::ClosedUntil(until) => assert!(until > at),
        }
        store
            .audit_failed_login(None, "192.0.2.7", at)
            .expect("noted");
    }
    // 1,000 seconds of guessing: five for nothing, then after 1, 2, 4, … seconds.
    assert!(
        (6..20).contains(&looked_at),
        "{looked_at} passwords were looked at"
    );
    let end = begun + SignedDuration::from_millis(10_000 * 100);
    assert!(store.login_wait(&guesser, end).expect("asked").is_some());
    assert_eq!(store.login_wait(&elsewhere, end).expect("asked"), None);
    let gate = store.begin_login(&elsewhere, end).expect("asked");
    assert!(matches!(gate, LoginGate::Open(slow) if slow <= SignedDuration::from_secs(2)));
    let filter = AuditFilter {
        action: Some(AuditAction::LoginFailed),
        limit: 20_000,
        ..AuditFilter::default()
    };
    let entries = store.audit_entries(&filter).expect("entries").len();
    assert!(
        entries <= 61,
        "{entries} entries: a flood must not fill the disk"
    );
    let later = end + SignedDuration::from_hours(2);
    store
        .audit_failed_login(None, "192.0.2.7", later)
        .expect("noted");
    let newest = store.audit_entries(&filter).expect("entries").remove(0);
    assert_eq!(newest.detail["more_before"], 10_000 - 60);
}

#[test]
fn guessing_is_limited_across_a_restart_and_from_one_source_only() {
    let setup = Setup {
        behind_proxy: true,
        ..Setup::default()
    };
    let world = World::with(&setup);
    let from = |world: &World, source: &str, password: &str| {
        let body = json!({ "user": "anna", "password": password }).to_string();
        post("/api/login", body)
            .json()
            .with("X-Forwarded-For", source)
            .send(world.address)
    };
    let mut limited = None;
    for _ in 0..40 {
        let reply = from(&world, "192.0.2.7", "a wrong password");
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
        assert_eq!(reply.status, 401);
    }
    let limited = limited.expect("it is limited in the end");
    assert!(limited.header("retry-after").is_some());
    assert_eq!(limited.json()["code"], "too_many_requests");
    // The right password helps as little as a wrong one: nobody learns from the answer.
    for _ in 0..6 {
        from(&world, "192.0.2.7", "a wrong password");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let world = world.restart(&setup);
    assert_eq!(from(&world, "192.0.2.7", PASSWORD).status, 429);
    assert_eq!(from(&world, "203.0.113.5", PASSWORD).status, 200);
}

#[test]
fn unknown_users_take_as_long_as_known_ones() {
    let world = World::with(&Setup {
        behind_proxy: true,
        ..Setup::default()
    });
    let time = |user: &str, source: u8| {
        let body = json!({ "user": user, "password": "a wrong password" }).to_string();
        let begun = std::time::Instant::now();
        let reply = post("/api/login", body)
            .json()
            .with("X-Forwarded-For", &format!("192.0.2.{source}"))
            .send(world.address);
        (begun.elapsed(), reply)
    };
    time("warm", 1);
    let fastest = |times: Vec<std::time::Duration>| times.into_iter().min().expect("some");
    let (known, unknown): (Vec<_>, Vec<_>) = (2..8)
        .map(|n| (time("anna", n), time(&format!("nobody{n}"), n + 20)))
        .map(|(known, unknown)| {
            assert_eq!(known.1.body, unknown.1.body);
            (known.0, unknown.0)
        })
        .unzip();
    let ratio = fastest(known).as_secs_f64() / fastest(unknown).as_secs_f64();
    assert!(
        (0.5..2.0).contains(&ratio),
        "a known one takes {ratio} times as long"
    );
}
