use crate::core::{id::ResourceId, recorded::Source, spec::{Spec, SpecHash}};
#[derive(Debug)]
pub struct Desired;
impl Desired {
    pub fn spec(&self, _: &ResourceId) -> Option<Spec> { None }
    pub fn source(&self, _: &ResourceId) -> Option<Source> { None }
    pub fn contains(&self, _: &ResourceId) -> bool { false }
    pub fn production_of(&self, _: &str) -> Option<&str> { None }
    pub fn hashes(&self) -> impl Iterator<Item=(ResourceId, SpecHash)> { std::iter::empty() }
}
