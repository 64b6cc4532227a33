use serde_json::{Value, json};

use super::*;
use crate::core::facts::NodeFacts;
use crate::core::names::environment_names;

/// Writes both trees for the specs in `PRESSLUFT_TREE_INPUT` to `PRESSLUFT_TREE_OUTPUT`.
#[test]
fn scratch() {
    let input: Value =
        serde_json::from_str(&std::fs::read_to_string("/var/tmp/roles/input.json").expect("in"))
            .expect("json");
    let facts: NodeFacts = serde_json::from_value(input["facts"].clone()).expect("facts");
    let address = input["node"]["public_ip"]
        .as_str()
        .and_then(|a| a.parse().ok());
    let names = environment_names(
        input["env"]["site"].as_str().expect("s"),
        input["env"]["name"].as_str().expect("n"),
        address,
        None,
    );
    let s = &input["secrets"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let map = |v: &Value| {
        v.as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), text(v)))
            .collect()
    };
    let secrets = SecretValues {
        db_password: text(&s["db_password"]),
        redis_password: text(&s["redis_password"]),
        admin_password: text(&s["admin_password"]),
        salts: map(&s["salts"]),
        named: map(&s["named"]),
    };
    let fleet = json!({});
    let url = format!("http://{}", names.preview_host.clone().unwrap_or_default());
    let ctx = RenderContext {
        fleet: &fleet,
        node: &input["node"],
        facts: Some(&facts),
        site: Some(&input["site"]),
        env: Some(&input["env"]),
        names: Some(&names),
        url: Some(&url),
        secrets: Some(&secrets),
    };
    let templates = Templates::embedded();
    let node = node_tree(&ctx, &templates).expect("node");
    let env = environment_tree(&ctx, &templates).expect("env");
    let out = input["out"].as_str().expect("out");
    std::fs::write(
        format!("{out}/node-tree.json"),
        serde_json::to_string(&node).expect("j"),
    )
    .expect("w");
    std::fs::write(
        format!("{out}/env-tree.json"),
        serde_json::to_string(&env).expect("j"),
    )
    .expect("w");
    std::fs::write(
        format!("{out}/names.json"),
        serde_json::to_string(&names).expect("j"),
    )
    .expect("w");
}
