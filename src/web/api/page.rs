//! Lists: how much is asked for, where a page begins, and how its answer looks.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use data_encoding::BASE64URL_NOPAD;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::error::{Failure, Result};
use super::super::state::App;

/// Items of a page where nothing is asked for.
pub(in crate::web) const USUAL: u32 = 50;
/// Items of the largest page.
pub(in crate::web) const MOST: u32 = 200;

/// How much of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::web) struct Paging {
    /// Items of the page, 50 where nothing is said.
    #[schemars(with = "u32", range(min = 1, max = 200))]
    pub(in crate::web) limit: Option<String>,
    /// Where the page begins: `cursor` of the page before.
    #[schemars(with = "String")]
    pub(in crate::web) cursor: Option<String>,
}

impl Paging {
    /// The items that are wanted.
    pub(in crate::web) fn limit(&self) -> Result<u32> {
        let Some(text) = self.limit.as_deref() else {
            return Ok(USUAL);
        };
        text.parse()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| Failure::bad_request(format!("`limit` is a number from 1 to {MOST}")))
    }

    /// The place that a cursor of the list `list` names.
    pub(in crate::web) fn after(&self, list: &str) -> Result<Option<String>> {
        let Some(cursor) = self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else {
            return Ok(None);
        };
        BASE64URL_NOPAD
            .decode(cursor.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| Some(text.strip_prefix(list)?.strip_prefix(' ')?.to_owned()))
            .map(Some)
            .ok_or_else(wrong_cursor)
    }

    /// The number that a cursor names.
    pub(in crate::web) fn after_number(&self, list: &str) -> Result<Option<u64>> {
        self.after(list)?
            .map(|text| text.parse().map_err(|_| wrong_cursor()))
            .transpose()
    }
}

pub(in crate::web) fn wrong_cursor() -> Failure {
    Failure::not_found("page of this list; `cursor` is what the page before it said")
}

/// A cursor of the list `list`.
pub(in crate::web) fn cursor(list: &str, place: impl Display) -> String {
    BASE64URL_NOPAD.encode(format!("{list} {place}").as_bytes())
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct Page<T> {
    pub(in crate::web) items: Vec<T>,
    /// Leads to the next page; none on the last one.
    pub(in crate::web) cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of `items`, of which there is one more than `limit` when another page follows.
    pub(in crate::web) fn of(
        mut items: Vec<T>,
        limit: u32,
        list: &str,
        place: impl Fn(&T) -> String,
    ) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let cursor = items
            .last()
            .filter(|_| more)
            .map(|last| cursor(list, place(last)));
        Self { items, cursor }
    }

    /// The same page of something else.
    pub(in crate::web) fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            cursor: self.cursor,
        }
    }
}

/// The query of a request.
#[derive(Clone, Debug)]
pub(in crate::web) struct Asked<T>(pub(in crate::web) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(asked)| Self(asked))
            .map_err(|_| Failure::bad_request("the query cannot be understood"))
    }
}

/// The value of a query parameter, or none where it is missing or empty.
pub(in crate::web) fn value<T: FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|_| Failure::bad_request(format!("`{name}` has no such value")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let asked = |cursor: String| Paging {
            limit: None,
            cursor: Some(cursor),
        };
        let jobs = asked(cursor("jobs", 7));
        assert_eq!(jobs.after_number("jobs").ok(), Some(Some(7)));
        assert!(jobs.after("nodes").is_err());
        for bad in ["!", "", "am9icw", "am9icyB4"] {
            let result = asked(bad.to_owned()).after_number("jobs");
            assert_eq!(result.is_err(), !bad.is_empty(), "{bad}");
        }
    }

    #[test]
    fn limits_have_limits() {
        let asked = |limit: &str| Paging {
            limit: Some(limit.to_owned()),
            cursor: None,
        };
        assert_eq!(asked("200").limit().ok(), Some(200));
        for bad in ["0", "201", "-1", "x", "1e3", ""] {
            assert!(asked(bad).limit().is_err(), "{bad}");
        }
    }
}
