//! The style sheet and the picture, and what browsers are told about a page.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use ring::digest;

/// The style sheet.
pub const SHEET: &str = include_str!("style.css");

/// The picture of the tab.
pub const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect width=\"32\" height=\"32\" \
                        rx=\"7\" fill=\"#1d4f7a\"/><path d=\"M9 24V8m0 9 9-9m-6 6 10 10\" fill=\"none\" stroke=\"#fff\" \
                        stroke-width=\"4\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/></svg>";

/// The last segment of the picture's address.
pub const ICON_NAME: &str = "icon.svg";

/// The last segment of the style sheet's address: another sheet has another name, so browsers may keep it for ever.
pub fn sheet_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let hash = digest::digest(&digest::SHA256, SHEET.as_bytes());
        format!("koogate-{}.css", &HEXLOWER.encode(hash.as_ref())[..16])
    });
    &NAME
}

/// What a browser is told about every page: nothing runs, nothing is loaded from elsewhere, nobody frames it, nothing of it is
/// kept, and no other site learns its address. (`no-referrer` would also take the `Origin` from its own forms.)
pub const HEADERS: [(&str, &str); 7] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];
