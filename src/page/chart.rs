//! Small charts as SVG within the page: bars of calls and failures, lines of answer times. Each has a title and a
//! description for whoever does not see it, and a table beside it has the same numbers.

use maud::{Markup, html};

use super::layout::View;
use super::text::{Bilingual, Text, Words};

const WIDTH: u32 = 720;
const HEIGHT: u32 = 180;
/// Where the drawing begins, beside the numbers of the scale, and where it ends, above the words of the time.
const LEFT: u32 = 56;
const BOTTOM: u32 = 156;
const TOP: u32 = 12;
/// What the longest label of a time needs.
const LABEL: f64 = 66.0;

/// A span of time in a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// When it begins, as it stands under the chart.
    pub label: String,
    /// The values, one for each series; `None`: there is none.
    pub values: Vec<Option<f64>>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// What it is called.
    pub name: Text,
    /// Its class in the style sheet: `one` or `two`.
    pub class: &'static str,
}

/// What a chart says to whoever does not see it.
#[derive(Debug, Clone)]
pub struct Told {
    /// `id` of the chart, unique on its page.
    pub id: &'static str,
    /// What it is.
    pub title: Text,
    /// What it shows, in a sentence.
    pub description: Words,
}

/// The next round number at or above a value: 1, 2 or 5 and zeros.
fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value * 0.999_999).unwrap_or(value)
}

fn scale(columns: &[Column], floor: f64) -> f64 {
    let values = columns.iter().flat_map(|column| column.values.iter().flatten());
    round_up(values.fold(floor, |most, value| most.max(*value)))
}

fn y(value: f64, top: f64) -> f64 {
    let share = (value / top).clamp(0.0, 1.0);
    f64::from(BOTTOM) - share * f64::from(BOTTOM - TOP)
}

#[expect(clippy::cast_precision_loss, reason = "charts have some hundred columns")]
fn x(at: usize, count: usize) -> f64 {
    f64::from(LEFT) + f64::from(WIDTH - LEFT) * at as f64 / count.max(1) as f64
}

/// Bars, the first series behind the others: calls, and those of them that failed.
pub fn bars(view: &View<'_>, told: &Told, series: &[Series], columns: &[Column]) -> Markup {
    let top = scale(columns, 1.0);
    let width = (x(1, columns.len()) - x(0, columns.len())) * 0.8;
    let drawing = html! {
        @for (at, column) in columns.iter().enumerate() {
            @for (value, series) in column.values.iter().zip(series) {
                @if let Some(value) = value.filter(|value| *value > 0.0) {
                    // What is there at all is to be seen.
                    @let upper = y(value, top).min(f64::from(BOTTOM) - 1.5);
                    rect class=(series.class) x=(number(x(at, columns.len()))) y=(number(upper)) width=(number(width)) height=(number(f64::from(BOTTOM) - upper)) {
                        title { (column.label) " · " (view.say(&series.name)) " " (number(value)) }
                    }
                }
            }
        }
    };
    framed(view, told, series, columns, top, &drawing)
}

/// Lines, with gaps where there is nothing.
pub fn lines(view: &View<'_>, told: &Told, series: &[Series], columns: &[Column]) -> Markup {
    let top = scale(columns, 1.0);
    let middle = (x(1, columns.len()) - x(0, columns.len())) / 2.0;
    let drawing = html! {
        @for (which, series) in series.iter().enumerate() {
            path class=(format!("line {}", series.class)) d=(path_of(columns, which, top, middle)) fill="none" {}
            @for (at, column) in columns.iter().enumerate() {
                @if let Some(Some(value)) = column.values.get(which) {
                    circle class=(series.class) cx=(number(x(at, columns.len()) + middle)) cy=(number(y(*value, top))) r="2" {
                        title { (column.label) " · " (view.say(&series.name)) " " (number(*value)) }
                    }
                }
            }
        }
    };
    framed(view, told, series, columns, top, &drawing)
}

fn path_of(columns: &[Column], which: usize, top: f64, middle: f64) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (at, column) in columns.iter().enumerate() {
        match column.values.get(which).copied().flatten() {
            Some(value) => {
                let step = if is_drawing { 'L' } else { 'M' };
                path.push_str(&format!("{step}{} {} ", number(x(at, columns.len()) + middle), number(y(value, top))));
                is_drawing = true;
            }
            None => is_drawing = false,
        }
    }
    path.trim_end().to_owned()
}

fn framed(view: &View<'_>, told: &Told, series: &[Series], columns: &[Column], top: f64, drawing: &Markup) -> Markup {
    let (title, description) = (format!("{}-title", told.id), format!("{}-desc", told.id));
    let labelled = format!("{title} {description}");
    // So many labels stand side by side.
    let every = columns.len().div_ceil(8).max(1);
    html! {
        figure.chart {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(labelled) {
                title #(title) { (view.say(&told.title)) }
                desc #(description) { (view.say(&told.description)) }
                @for share in [0.0, 0.5, 1.0] {
                    @let at = number(y(top * share, top));
                    line.grid x1=(LEFT) x2=(WIDTH) y1=(at) y2=(at) {}
                    text.scale x=(LEFT - 6) y=(number(y(top * share, top) + 4.0)) text-anchor="end" { (number(top * share)) }
                }
                (drawing)
                @for (at, column) in columns.iter().enumerate().filter(|(at, _)| at % every == 0) {
                    // One that has no room before the edge is left out, and every second one where letters are large.
                    @let place = x(at, columns.len());
                    @if place + LABEL <= f64::from(WIDTH) {
                        text.scale .spare[(at / every) % 2 == 1] x=(number(place)) y=(HEIGHT - 6) { (column.label) }
                    }
                }
            }
            figcaption {
                @for series in series {
                    span class={ "key " (series.class) } { span.swatch aria-hidden="true" {} " " (view.say(&series.name)) } " "
                }
                (told.description.in_language(view.language))
            }
        }
    }
}

/// A number with as many decimals as say something.
pub fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Language, text, words};

    fn view() -> View<'static> {
        View { language: Language::En, now: jiff::Timestamp::UNIX_EPOCH, csrf: None, target: "/", flash: None }
    }

    fn column(label: &str, values: &[Option<f64>]) -> Column {
        Column { label: label.to_owned(), values: values.to_vec() }
    }

    const SERIES: [Series; 2] =
        [Series { name: text("调用", "Calls"), class: "one" }, Series { name: text("失败", "Failed"), class: "two" }];

    fn told() -> Told {
        Told { id: "c", title: text("调用", "Calls"), description: words("说明", "what it shows") }
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, expected) in [
            (0.0, 1.0),
            (-3.0, 1.0),
            (f64::NAN, 1.0),
            (1.0, 1.0),
            (3.0, 5.0),
            (5.0, 5.0),
            (51.0, 100.0),
            (0.03, 0.05),
            (1e6, 1e6),
        ] {
            assert!((round_up(value) - expected).abs() < expected * 1e-6, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn a_chart_says_what_it_shows_and_draws_what_there_is() {
        let columns = [column("00:00", &[Some(10.0), Some(0.0)]), column("01:00", &[Some(5.0), Some(1.0)])];
        let svg = bars(&view(), &told(), &SERIES, &columns).into_string();
        assert!(svg.contains("aria-labelledby=\"c-title c-desc\""), "{svg}");
        assert!(svg.contains("<title id=\"c-title\">Calls</title><desc id=\"c-desc\">what it shows</desc>"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(svg.contains("01:00 · Failed 1"), "{svg}");
    }

    #[test]
    fn a_line_is_interrupted_where_there_is_nothing_and_an_empty_chart_is_a_chart() {
        let columns =
            [column("a", &[Some(1.0)]), column("b", &[None]), column("c", &[Some(1.0)]), column("d", &[Some(0.5)])];
        let svg = lines(&view(), &told(), &SERIES[..1], &columns).into_string();
        assert_eq!((svg.matches('M').count(), svg.matches("<circle").count()), (2, 3), "{svg}");
        for empty in [lines(&view(), &told(), &SERIES, &[]), bars(&view(), &told(), &SERIES, &[])] {
            assert!(empty.into_string().contains("</svg>"));
        }
    }

    #[test]
    fn hostile_labels_stay_text() {
        let svg = bars(&view(), &told(), &SERIES, &[column("</title><script>", &[Some(1.0), None])]).into_string();
        assert!(!svg.contains("<script>"), "{svg}");
    }
}
