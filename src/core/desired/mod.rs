use std::collections::BTreeMap;
use serde_json::{Map, Value};
use crate::core::{document::{Document, read::ParsedFile}, diagnostic::Diagnostic, id::ResourceId, recorded::Source, spec::{Spec, SpecHash}};
#[derive(Debug, Default)]
pub struct Desired { specs: BTreeMap<ResourceId, (Spec, Source)> }
fn strip(v: Value) -> Option<Value> {
    match v {
        Value::Null => None,
        Value::Object(m) => { let m: Map<String, Value> = m.into_iter().filter_map(|(k, v)| Some((k, strip(v)?))).collect(); (!m.is_empty()).then_some(Value::Object(m)) }
        Value::Array(a) => { let a: Vec<Value> = a.into_iter().filter_map(strip).collect(); (!a.is_empty()).then_some(Value::Array(a)) }
        o => Some(o),
    }
}
pub fn assemble(files: &[(String, ParsedFile)]) -> (Desired, Vec<Diagnostic>) {
    let mut d = Desired::default(); let mut diags = Vec::new();
    let mut defaults = None;
    for (_, f) in files { diags.extend(f.diagnostics.clone()); for l in &f.documents { if let Document::Fleet(fl) = &l.document { defaults = fl.clone().resolve().ok().map(|f| f.defaults); } } }
    let Some(def) = defaults else { return (d, diags) };
    for (path, f) in files { for l in &f.documents {
        let v = match l.document.clone() {
            Document::Fleet(x) => serde_json::to_value(x.resolve().map_err(|e| panic!("{e:?}")).ok()),
            Document::Node(mut x) => { x.fill(&def.node); serde_json::to_value(x.resolve().map_err(|e| panic!("{e:?}")).ok()) }
            Document::Site(mut x) => { x.fill(&def.site); serde_json::to_value(x.resolve().map_err(|e| panic!("{e:?}")).ok()) }
            Document::Environment(mut x) => { x.fill(&def.environment); serde_json::to_value(x.resolve().map_err(|e| panic!("{e:?}")).ok()) }
        }.ok();
        let Some(Value::Object(mut m)) = v.and_then(strip) else { continue };
        m.remove("kind"); m.remove("defaults");
        let s = |k: &str| m.get(k).and_then(Value::as_str).unwrap_or("").to_owned();
        let id = match &l.document { Document::Fleet(_) => ResourceId::Fleet, Document::Node(_) => ResourceId::Node(s("name")), Document::Site(_) => ResourceId::Site(s("name")), Document::Environment(_) => ResourceId::env(&s("site"), &s("name")) };
        d.specs.insert(id, (Spec(m), Source { file: path.clone(), line: u32::try_from(l.line).unwrap_or(0) }));
    }}
    (d, diags)
}
impl Desired {
    pub fn spec(&self, id: &ResourceId) -> Option<Spec> { self.specs.get(id).map(|s| s.0.clone()) }
    pub fn source(&self, id: &ResourceId) -> Option<Source> { self.specs.get(id).map(|s| s.1.clone()) }
    pub fn contains(&self, id: &ResourceId) -> bool { self.specs.contains_key(id) }
    pub fn production_of(&self, site: &str) -> Option<&str> { self.specs.iter().find_map(|(id, s)| match id { ResourceId::Env { site: a, name } if a == site && s.0.str("type") == Some("production") => Some(name.as_str()), _ => None }) }
    pub fn hashes(&self) -> impl Iterator<Item=(ResourceId, SpecHash)> { self.specs.iter().map(|(i, s)| (i.clone(), s.0.hash())) }
}
