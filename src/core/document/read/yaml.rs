//! How YAML is read: strictly, and with a budget.

use serde::de::DeserializeOwned;
use serde_yaml::Options;
use serde_yaml::options::DuplicateKeyPolicy;

/// Reads one document into its type.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_str_with_options(text, options(DuplicateKeyPolicy::Error))
}

/// Options under which a scalar means what stands there: `no` is a text, `0755` is a text,
/// and a document cannot grow beyond what its file holds.
pub(crate) fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: 32,
            max_nodes: 200_000,
            max_events: 500_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_documents: 1,
            max_recorded_anchor_bytes: 4 * super::LARGEST_FILE,
            max_total_scalar_bytes: 4 * super::LARGEST_FILE,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 50_000,
        },
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    }
}
