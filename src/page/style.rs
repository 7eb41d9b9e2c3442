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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Colours of text or of edges that are seen, what they stand on, and the contrast they need: WCAG 2.2 asks for 4.5 of text
    /// (1.4.3) and for 3 of the edges of controls and of the focus (1.4.11).
    const PAIRS: [(&str, &str, f64); 28] = [
        ("text", "page", 4.5),
        ("text", "card", 4.5),
        ("text", "good-card", 4.5),
        ("text", "warn-card", 4.5),
        ("text", "bad-card", 4.5),
        ("text", "quiet-card", 4.5),
        ("soft", "page", 4.5),
        ("soft", "card", 4.5),
        ("soft", "quiet-card", 4.5),
        ("link", "page", 4.5),
        ("link", "card", 4.5),
        ("link", "good-card", 4.5),
        ("link", "warn-card", 4.5),
        ("link", "bad-card", 4.5),
        ("link", "quiet-card", 4.5),
        ("on-button", "button", 4.5),
        ("good", "good-card", 4.5),
        ("warn", "warn-card", 4.5),
        ("bad", "bad-card", 4.5),
        ("bad", "card", 4.5),
        ("bad", "page", 4.5),
        ("quiet", "quiet-card", 4.5),
        ("edge", "page", 3.0),
        ("edge", "card", 3.0),
        ("button", "card", 3.0),
        ("focus", "page", 3.0),
        ("focus", "card", 3.0),
        ("focus", "quiet-card", 3.0),
    ];

    /// The colours of a block of the sheet.
    fn colours(block: &str) -> HashMap<&str, [f64; 3]> {
        let lines =
            block.lines().filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';')?.split_once(": #"));
        let part = |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        lines.map(|(name, hex)| (name, [0, 2, 4].map(|at| part(hex, at)))).collect()
    }

    fn luminance(colour: [f64; 3]) -> f64 {
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_on_what_it_stands_on_by_day_and_by_night() {
        assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
        let blocks: Vec<_> = SHEET.split(":root {").skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
        assert_eq!(blocks.len(), 2, "by day, and by night");
        for (scheme, block) in ["light", "dark"].into_iter().zip(blocks) {
            let colours = colours(block);
            for (text, ground, needed) in PAIRS {
                let found = contrast(colours[text], colours[ground]);
                assert!(found >= needed, "{scheme}: {text} on {ground}: {found:.2}, needed: {needed}");
            }
        }
    }
}
