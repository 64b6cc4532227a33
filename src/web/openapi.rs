//! The OpenAPI document, made from the types that are sent.

use std::sync::LazyLock;

use axum::response::Response;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::api::page::{Page, Paging};
use super::api::revisions::Judged;
use super::api::{audit, jobs, resources, totals};
use super::error::{Body, Result};
use super::events;
use super::hook::Accepted;
use super::login::{Credentials, LoggedIn};
use super::probe::{Health, Readiness};
use super::reply;
use crate::store::{AuditEntry, Job, TaskEvent};

const JSON: &str = "application/json";

static DOCUMENT: LazyLock<Value> = LazyLock::new(make);

/// The OpenAPI 3.1 document of this version.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// It says nothing about the fleet, but it is asked for like `/metrics`.
pub(super) async fn show() -> Result<Response> {
    reply::json(document())
}

/// What is sent, what is taken, and the operations as they are added.
struct Writer {
    sent: SchemaGenerator,
    taken: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Writer {
    fn sent<T: JsonSchema>(&mut self) -> Value {
        value(self.sent.subschema_for::<T>())
    }

    fn get(&mut self, path: &str, summary: &str, parameters: &[Value], content: (&str, Value)) {
        let (content_type, schema) = content;
        let operation = json!({
            "summary": summary,
            "operationId": operation_id("get", path),
            "parameters": parameters,
            "responses": {
                "200": { "description": "As asked for.", "content": { content_type: { "schema": schema } } },
                "304": { "description": "It is as `If-None-Match` says." },
                "default": failure(),
            },
        });
        self.paths
            .insert(path.to_owned(), json!({ "get": operation }));
    }

    /// The fields of `T` as parameters of a query.
    fn query<T: JsonSchema>(&mut self) -> Vec<Value> {
        let schema = value(T::json_schema(&mut self.taken));
        let mut parameters = Vec::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            let description = property
                .as_object_mut()
                .and_then(|property| {
                    property.remove("default");
                    property.remove("description")
                })
                .unwrap_or_default();
            // A form sends what nobody chose as an empty text; only the size of a page is a number.
            let schema = match name.as_str() {
                "limit" => property,
                _ => json!({ "anyOf": [property, { "type": "string", "maxLength": 0 }] }),
            };
            parameters.push(json!({
                "name": name, "in": "query", "required": false,
                "description": description, "schema": schema,
            }));
        }
        parameters
    }
}

fn make() -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut writer = Writer {
        sent: settings().for_serialize().into_generator(),
        taken: settings().for_deserialize().into_generator(),
        paths: Map::new(),
    };
    probes(&mut writer);
    lists(&mut writer);
    details(&mut writer);
    posts(&mut writer);
    writer.sent::<Body>();
    let mut schemas = writer.taken.take_definitions(true);
    schemas.extend(writer.sent.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pressluft status",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What is recorded of the fleet. Nothing but logins is changed.",
            "license": { "name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later" },
        },
        "security": [{ "session": [] }, { "bearer": [] }],
        "paths": writer.paths,
        "components": {
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "session_token" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
            "schemas": schemas,
        },
    })
}

fn probes(writer: &mut Writer) {
    let health = writer.sent::<Health>();
    writer.get("/healthz", "Whether the process lives", &[], (JSON, health));
    let readiness = writer.sent::<Readiness>();
    writer.get(
        "/readyz",
        "Whether the process is ready",
        &[],
        (JSON, readiness.clone()),
    );
    let not_ready = json!({
        "description": "It is not, and why.", "content": { JSON: { "schema": readiness } },
    });
    writer.paths["/readyz"]["get"]["responses"]["503"] = not_ready;
    let text = json!({ "type": "string" });
    writer.get(
        "/metrics",
        "Figures for Prometheus",
        &[],
        ("text/plain", text),
    );
    let any = json!({ "type": "object" });
    writer.get("/openapi.json", "This document", &[], (JSON, any));
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        local_too(writer, path);
    }
}

/// A program on this machine need not say who it is.
fn local_too(writer: &mut Writer, path: &str) {
    writer.paths[path]["get"]["security"] = json!([{ "session": [] }, { "bearer": [] }, {}]);
}

fn lists(writer: &mut Writer) {
    let paging = writer.query::<Paging>();
    let parameters = writer.query::<jobs::Wanted>();
    let page = writer.sent::<Page<Job>>();
    writer.get(
        "/api/jobs",
        "Jobs, the newest first",
        &parameters,
        (JSON, page),
    );
    let mut parameters = vec![id(
        "A job's id.",
        &json!({ "type": "string", "format": "uuid" }),
    )];
    parameters.extend(writer.query::<events::Wanted>());
    let page = writer.sent::<Page<TaskEvent>>();
    writer.get(
        "/api/jobs/{id}/events",
        "The tasks of a job, as a list or as they happen",
        &parameters,
        (JSON, page),
    );
    let lines = json!({ "schema": {
        "type": "object",
        "description": "Server-sent events: `task` (a `TaskEvent`), `state` (a `JobState`), \
                        `end`, `logout`. `Last-Event-ID` goes on after a task.",
        "properties": {
            "event": { "enum": ["task", "state", "end", "logout"] },
            "data": { "type": "string", "description": "JSON." },
            "id": { "type": "string" },
            "retry": { "type": "integer", "description": "Milliseconds." },
        },
    }});
    writer.paths["/api/jobs/{id}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"] =
        lines;
    // Named by the description above.
    writer.sent::<events::JobState>();
    let page = writer.sent::<Page<resources::Resource>>();
    for (path, summary) in [("/api/nodes", "Nodes by id"), ("/api/sites", "Sites by id")] {
        writer.get(path, summary, &paging, (JSON, page.clone()));
    }
    let mut parameters = vec![id("A site's name.", &name_schema())];
    parameters.extend(paging.clone());
    writer.get(
        "/api/sites/{id}/environments",
        "The environments of a site",
        &parameters,
        (JSON, page),
    );
    let page = writer.sent::<Page<Judged>>();
    writer.get(
        "/api/revisions",
        "Revisions of the fleet repo, the one seen last first",
        &paging,
        (JSON, page),
    );
    let parameters = writer.query::<audit::Wanted>();
    let page = writer.sent::<Page<AuditEntry>>();
    writer.get(
        "/api/audit",
        "The audit record, the newest entry first",
        &parameters,
        (JSON, page),
    );
}

fn details(writer: &mut Writer) {
    let uuid = json!({ "type": "string", "format": "uuid" });
    let job = writer.sent::<jobs::JobDetail>();
    writer.get(
        "/api/jobs/{id}",
        "One job",
        &[id("Its id.", &uuid)],
        (JSON, job),
    );
    let totals = writer.sent::<totals::Totals>();
    writer.get(
        "/api/metrics",
        "The figures of the overview",
        &[],
        (JSON, totals),
    );
    let node = writer.sent::<resources::NodeDetail>();
    writer.get(
        "/api/nodes/{id}",
        "One node",
        &[id("Its name.", &name_schema())],
        (JSON, node),
    );
    let site = writer.sent::<resources::SiteDetail>();
    writer.get(
        "/api/sites/{id}",
        "One site",
        &[id("Its name.", &name_schema())],
        (JSON, site),
    );
    let environment = writer.sent::<resources::EnvironmentDetail>();
    writer.get(
        "/api/environments/{id}",
        "One environment",
        &[id("Its id: `env/SITE/NAME`.", &name_schema())],
        (JSON, environment),
    );
}

fn posts(writer: &mut Writer) {
    let credentials = value(writer.taken.subschema_for::<Credentials>());
    let logged_in = writer.sent::<LoggedIn>();
    let content = json!({
        JSON: { "schema": credentials },
        "application/x-www-form-urlencoded": { "schema": credentials },
    });
    writer.paths.insert(
        "/api/login".to_owned(),
        json!({ "post": {
            "summary": "Log in",
            "operationId": "login",
            "security": [],
            "requestBody": { "required": true, "content": content },
            "responses": {
                "200": {
                    "description": "The session is in the cookie `session_token`.",
                    "content": { JSON: { "schema": logged_in } },
                },
                "303": { "description": "The same for a form." },
                "401": {
                    "description": "User and password do not match.",
                    "content": {
                        JSON: { "schema": { "$ref": "#/components/schemas/Error" } },
                        "text/html": { "schema": { "type": "string" } },
                    },
                },
                "429": {
                    "description": "Too many logins failed; `Retry-After` has the seconds.",
                    "content": {
                        JSON: { "schema": { "$ref": "#/components/schemas/Error" } },
                        "text/html": { "schema": { "type": "string" } },
                    },
                },
                "default": failure(),
            },
        }}),
    );
    writer.paths.insert(
        "/api/logout".to_owned(),
        json!({ "post": {
            "summary": "Log out",
            "operationId": "logout",
            "security": [{ "session": [] }],
            "responses": {
                "204": { "description": "The session has ended." },
                "303": { "description": "The same for a form." },
                "default": failure(),
            },
        }}),
    );
    let accepted = writer.sent::<Accepted>();
    writer.paths.insert("/hooks/git".to_owned(), json!({ "post": {
        "summary": "Say that something was pushed",
        "description": "Webhooks of GitHub, GitLab, Gitea and Forgejo, signed with the secret of \
                        a remote.",
        "operationId": "hook",
        "security": [],
        "requestBody": { "required": true, "content": { JSON: { "schema": {} } } },
        "responses": {
            "202": { "description": "It is believed.", "content": { JSON: { "schema": accepted } } },
            "default": failure(),
        },
    }}));
}

fn failure() -> Value {
    json!({
        "description": "It failed.",
        "content": { JSON: { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

fn id(description: &str, schema: &Value) -> Value {
    json!({
        "name": "id", "in": "path", "required": true, "description": description, "schema": schema,
    })
}

fn name_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 255 })
}

fn operation_id(method: &str, path: &str) -> String {
    let words: Vec<&str> = path
        .split(['/', '.', '{', '}'])
        .filter(|word| !word.is_empty() && *word != "api")
        .collect();
    format!("{method}_{}", words.join("_"))
}

fn value(schema: Schema) -> Value {
    schema.to_value()
}
