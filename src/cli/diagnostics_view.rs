use crate::core::diagnostic::Diagnostic;
pub(crate) fn line(d: &Diagnostic) -> serde_json::Value {
    serde_json::json!(d)
}
pub(crate) fn text(d: &[Diagnostic], _: &crate::git::Snapshot, _: usize) -> String {
    format!("{d:#?}")
}
