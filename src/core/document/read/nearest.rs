//! Did you mean …?

/// The candidate that `word` was probably meant to be, or none.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > 100 {
        return None;
    }
    let lower = word.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| {
            let plain = candidate.to_lowercase().replace('_', "-");
            (strsim::damerau_levenshtein(&lower, &plain), candidate)
        })
        .filter(|(distance, candidate)| {
            let longer = word.chars().count().max(candidate.chars().count());
            *distance <= (longer / 3).max(1) && *distance < longer
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_nothing_else() {
        let fields = ["memory", "version", "workers", "ram_budget"];
        assert_eq!(nearest("memroy", fields), Some("memory"));
        assert_eq!(nearest("Workers", fields), Some("workers"));
        assert_eq!(nearest("ram-budget", fields), Some("ram_budget"));
        assert_eq!(nearest("timeout", fields), None);
        assert_eq!(nearest("", fields), None);
    }
}
