//! The style sheet and the script of the pages. Their names change with their content, so that a
//! browser may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;

use super::error::{Failure, Result};
use super::reply;

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: String,
    content_type: &'static str,
    text: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style",
        "css",
        "text/css; charset=utf-8",
        include_str!("assets/style.css"),
    )
});

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "app",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("assets/app.js"),
    )
});

pub(super) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "icon",
        "svg",
        "image/svg+xml",
        include_str!("assets/icon.svg"),
    )
});

impl Asset {
    fn new(name: &str, ending: &str, content_type: &'static str, text: &'static str) -> Self {
        let digest = blake3::hash(text.as_bytes()).to_hex();
        Self {
            path: format!("/assets/{name}-{}.{ending}", &digest[..16]),
            content_type,
            text,
        }
    }
}

pub(super) async fn show(Path(name): Path<String>) -> Result<Response> {
    let asset = [&*STYLE, &*SCRIPT, &*ICON]
        .into_iter()
        .find(|asset| asset.path.strip_prefix("/assets/") == Some(&name))
        .ok_or_else(|| Failure::not_found("file"))?;
    let mut response = reply::plain(asset.content_type, asset.text.as_bytes().to_vec());
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    Ok(response)
}
