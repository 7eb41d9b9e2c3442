//! How single values are shown: times, lengths of time, and texts that others wrote.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{self, Offset};
use maud::{Markup, html};

use super::layout::View;
use super::text::{Text, Words, text, words};
use crate::excerpt::is_unprintable;

/// What KooGallery's console shows, and what the pages show: UTC+8 the whole year.
const BEIJING: Offset = tz::offset(8);

/// Where there is nothing to show.
pub const NOTHING: &str = "–";

/// An instant in Beijing time, which the page names at its foot; in UTC for programs and on hovering.
pub fn time(at: Timestamp) -> Markup {
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    html! {
        time datetime=(at) title=(format!("{} UTC", at.strftime("%Y-%m-%d %H:%M:%S"))) { (beijing(at)) }
    }
}

/// The same, or a dash.
pub fn time_or_dash(at: Option<Timestamp>) -> Markup {
    at.map_or_else(|| html! { (NOTHING) }, time)
}

/// The same as text.
pub fn beijing(at: Timestamp) -> String {
    BEIJING.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A day of the calendar in Beijing, as `11-26`.
pub fn beijing_day(at: Timestamp) -> String {
    BEIJING.to_datetime(at).strftime("%m-%d").to_string()
}

/// A length of time in its two largest units: `2 d 3 h`, `2 天 3 小时`.
pub fn duration(length: Duration) -> Words {
    const UNITS: [(u64, Text); 5] = [
        (365 * 86_400, text("年", "y")),
        (86_400, text("天", "d")),
        (3_600, text("小时", "h")),
        (60, text("分钟", "min")),
        (1, text("秒", "s")),
    ];
    let seconds = length.as_secs();
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    for (at, (size, unit)) in UNITS.iter().enumerate().skip(first).take(2) {
        let number = rest / size;
        rest %= size;
        if number > 0 || at == first {
            zh.push(format!("{number} {}", unit.zh));
            en.push(format!("{number} {}", unit.en));
        }
    }
    words(zh.join(" "), en.join(" "))
}

/// How long ago an instant was, or how long it is until then.
pub fn distance(view: &View<'_>, at: Timestamp) -> Words {
    let difference = view.now.duration_since(at);
    let length = duration(difference.unsigned_abs());
    if difference.is_negative() {
        words(format!("{}后", length.zh), format!("in {}", length.en))
    } else {
        words(format!("{}前", length.zh), format!("{} ago", length.en))
    }
}

/// A text that somebody else wrote, whole: apart from its surroundings in direction and in wrapping, and without the
/// characters that hide text or turn it round.
pub fn foreign(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// The same where a list has little room: the first characters, all of them on hovering.
pub fn foreign_short(text: &str) -> Markup {
    const SHORT: usize = 48;
    const HOVER: usize = 400;
    /// An id of this length is not broken between lines: an order's has 12 to 17 characters.
    const UNBROKEN: usize = 18;
    let text = visible(text);
    match text.char_indices().nth(SHORT) {
        None if text.chars().count() <= UNBROKEN => html! { bdi.id { (text) } },
        None => html! { bdi { (text) } },
        Some((end, _)) => {
            let whole: String = text.chars().take(HOVER).collect();
            html! { bdi title=(whole) { (text[..end]) "…" } }
        }
    }
}

/// The same, or a dash.
pub fn foreign_or_dash(text: Option<&str>) -> Markup {
    text.filter(|text| !text.is_empty()).map_or_else(|| html! { (NOTHING) }, foreign_short)
}

/// Text without characters that nobody sees: each is shown as �.
pub fn visible(text: &str) -> String {
    let harmful = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_beijing_and_told_in_utc() {
        let at: Timestamp = "2026-11-26T16:47:01.5Z".parse().unwrap();
        assert_eq!(
            time(at).into_string(),
            "<time datetime=\"2026-11-26T16:47:01Z\" title=\"2026-11-26 16:47:01 UTC\">2026-11-27 00:47:01</time>"
        );
        assert_eq!(beijing_day(at), "11-27");
    }

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        for (seconds, zh, en) in [
            (0, "0 秒", "0 s"),
            (59, "59 秒", "59 s"),
            (60, "1 分钟", "1 min"),
            (3_661, "1 小时 1 分钟", "1 h 1 min"),
            (3_600, "1 小时", "1 h"),
            (90_061, "1 天 1 小时", "1 d 1 h"),
            (86_459, "1 天", "1 d"),
            (400 * 86_400, "1 年 35 天", "1 y 35 d"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), words(zh, en));
        }
    }

    #[test]
    fn what_others_wrote_is_escaped_kept_apart_and_without_invisible_characters() {
        assert_eq!(
            foreign("<script>\u{202e}'\"&\0").into_string(),
            "<bdi>&lt;script&gt;\u{fffd}'&quot;&amp;\u{fffd}</bdi>"
        );
        let long = foreign_short(&"云".repeat(10_000)).into_string();
        assert!(long.contains(&format!(">{}…</bdi>", "云".repeat(48))), "{long}");
        assert_eq!(long.matches('云').count(), 448);
        assert_eq!(foreign_or_dash(None).into_string(), "–");
    }
}
