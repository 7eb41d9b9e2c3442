//! The style sheet and the picture of the tab: the only things a page loads.

use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::style;
use crate::page::trouble::Trouble;

/// `GET /static/{file}`. A style sheet of another koogate has another name and is not there.
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let file = visit.path("file");
    let (content_type, body, keep) = if file == style::sheet_name() {
        ("text/css; charset=utf-8", style::SHEET, "public, max-age=31536000, immutable")
    } else if file == style::ICON_NAME {
        ("image/svg+xml", style::ICON, "public, max-age=86400")
    } else {
        return Err(Trouble::NotFound.into());
    };
    Ok(Reply::new(200, content_type, body)
        .with_header("Cache-Control", keep)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Cross-Origin-Resource-Policy", "same-origin"))
}
