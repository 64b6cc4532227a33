//! Who may ask for what: each route, from here and from elsewhere, with and without a login, against
//! the table of routes, the OpenAPI document and the documentation.

use std::collections::BTreeSet;
use std::path::Path;

use pressluft::web::{Access, Route, routes};

use crate::client::{Ask, Reply};
use crate::world::{PASSWORD, Setup, World};

/// A request for `route`, with something where its path has names.
fn ask(route: &Route) -> Ask {
    let path: String = route
        .path
        .split('/')
        .skip(1)
        .map(|part| match part {
            "{*id}" => "/acme/production".to_owned(),
            part if part.starts_with('{') => "/acme".to_owned(),
            part => format!("/{part}"),
        })
        .collect();
    Ask::new(route.method, &path)
}

/// What a route answers to those who may not ask: 401, and nothing else.
fn is_closed(reply: &Reply) -> bool {
    reply.status == 401
}

/// An ask that comes from another machine, as a proxy on this one says.
fn from_elsewhere(ask: Ask) -> Ask {
    ask.with("X-Forwarded-For", "198.51.100.7")
}

#[test]
fn each_route_is_open_to_those_whom_its_table_names() {
    let mut world = World::with_fleet();
    let token = world.token();
    let session = world.login("anna", PASSWORD).cookie().expect("a cookie");
    for route in routes() {
        let ask = ask(route);
        let without = from_elsewhere(ask.clone()).send(world.address);
        let here = ask.clone().send(world.address);
        let with_token = from_elsewhere(ask.clone().with("Authorization", &token));
        let with_token = with_token.send(world.address);
        let wrong = from_elsewhere(ask.clone().with("Authorization", "Bearer plt_x"));
        let wrong = wrong.send(world.address);
        let name = route.path;
        match route.access {
            Access::Open => {
                assert!(!is_closed(&without) && !is_closed(&here), "{name}");
                assert!(!is_closed(&wrong), "{name}");
            }
            Access::Local => {
                assert!(is_closed(&without) && !is_closed(&here), "{name}");
                assert!(!is_closed(&with_token) && is_closed(&wrong), "{name}");
            }
            Access::Login => {
                assert!(is_closed(&without) && is_closed(&here), "{name}");
                assert!(!is_closed(&with_token) && is_closed(&wrong), "{name}");
            }
            Access::Session => {
                assert!(is_closed(&without) && is_closed(&here), "{name}");
                // A token is no session, so it ends none.
                assert!(is_closed(&with_token) && is_closed(&wrong), "{name}");
            }
            Access::Signed => {
                for reply in [&without, &here, &with_token, &wrong] {
                    assert_eq!(reply.json()["code"], "refused", "{name}");
                }
            }
        }
        if matches!(route.access, Access::Login | Access::Local) {
            let with_session = from_elsewhere(ask.with("Cookie", &session)).send(world.address);
            assert!(!is_closed(&with_session), "{name}");
        }
    }
}

#[test]
fn no_route_answers_to_another_name() {
    let mut world = World::with_fleet();
    let token = world.token();
    let login = world.get("/login").text();
    let asset = login
        .split('"')
        .find(|part| part.ends_with(".css"))
        .expect("a style sheet");
    let asks = routes()
        .iter()
        .map(ask)
        .chain([Ask::new("GET", asset), Ask::new("GET", "/nowhere")]);
    for ask in asks {
        for host in [
            "rebound.example",
            "127.0.0.1.rebound.example",
            "192.0.2.1",
            "0.0.0.0",
        ] {
            let reply = ask
                .clone()
                .with("Host", host)
                .with("Authorization", &token)
                .send(world.address);
            assert_eq!(reply.status, 421, "{ask:?} {host}");
        }
    }
}

#[test]
fn nobody_becomes_local_by_what_a_request_says() {
    let world = World::with(&Setup {
        behind_proxy: true,
        ..Setup::default()
    });
    let forwarded = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-For", ""),
        ("x-forwarded-for", "198.51.100.7, 127.0.0.1"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("CF-Connecting-IP", "127.0.0.1"),
        ("Host", "status.example"),
        ("Host", "status.example:8080"),
    ];
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        for (name, value) in forwarded {
            let reply = Ask::new("GET", path).with(name, value).send(world.address);
            assert_eq!(reply.status, 401, "{path} {name}: {value}");
        }
        assert_eq!(world.get(path).status, 200, "{path}");
    }
}

/// Strangers learn no version, no name of the fleet, and no user.
#[test]
fn what_strangers_see_says_nothing() {
    let world = World::with_fleet();
    let mut asks: Vec<Ask> = routes().iter().map(ask).collect();
    asks.push(Ask::new("GET", "/nowhere"));
    asks.push(Ask::new("GET", "/jobs/acme").with("Accept", "text/html"));
    asks.push(Ask::new("GET", "/login?next=/sites/acme"));
    asks.push(Ask::new("PUT", "/api/jobs"));
    for ask in asks {
        let reply = from_elsewhere(ask.clone()).send(world.address);
        let text = format!("{:?} {}", reply.headers, reply.text());
        for secret in [
            env!("CARGO_PKG_VERSION"),
            "web-1",
            "bakery",
            "florist",
            "anna",
        ] {
            assert!(!text.contains(secret), "{ask:?} tells {secret}: {text}");
        }
        assert_eq!(reply.header("server"), None, "{ask:?}");
    }
}

#[test]
fn the_description_says_the_same() {
    let document = pressluft::web::openapi();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let table_path = path.replace("/api/environments/{id}", "/api/environments/{*id}");
            let method = method.to_uppercase();
            let route = routes()
                .iter()
                .find(|route| route.path == table_path && route.method == method)
                .unwrap_or_else(|| panic!("{method} {path} is no route"));
            described.insert(route.path);
            let needs = match &operation["security"] {
                serde_json::Value::Null => &document["security"],
                own => own,
            };
            let expected = match route.access {
                Access::Open | Access::Signed => serde_json::json!([]),
                Access::Local => serde_json::json!([{"session": []}, {"bearer": []}, {}]),
                Access::Login => serde_json::json!([{"session": []}, {"bearer": []}]),
                Access::Session => serde_json::json!([{"session": []}]),
            };
            assert_eq!(needs, &expected, "{path}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query: BTreeSet<&str> = parameters
                .filter(|parameter| parameter["in"] == "query")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(query, route.query.iter().copied().collect(), "{path}");
        }
    }
    // Pages are for people and are not described.
    let missing: Vec<&str> = routes()
        .iter()
        .map(|route| route.path)
        .filter(|path| path.starts_with("/api/") && !described.contains(path))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn the_documentation_has_the_same_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md");
    let text = std::fs::read_to_string(&file).expect("the documentation");
    let table = routes()
        .iter()
        .map(|route| {
            format!(
                "| `{} {}` | {} |\n",
                route.method,
                route.path,
                route.access.as_str()
            )
        })
        .collect::<String>();
    assert!(
        text.contains(&table),
        "docs/status.md is to have this table:\n{table}"
    );
}
