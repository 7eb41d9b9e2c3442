//! Pictures of what was measured: bars with whiskers, and lines over a logarithmic axis. Text stays text, the colours
//! follow the reader's choice of light or dark, and nothing runs.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
/// Of lines, in the style.
const COLOURS: u32 = 6;
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}\
    .dim{fill:#59636e}.grid{stroke:#d1d9e0}.whisker{stroke:#1f2328;stroke-width:1.5}.ours{fill:#0969da;stroke:#0969da}\
    .s0{fill:#0969da;stroke:#0969da}.s1{fill:#bc4c00;stroke:#bc4c00}.s2{fill:#1a7f37;stroke:#1a7f37}\
    .s3{fill:#8250df;stroke:#8250df}.s4{fill:#59636e;stroke:#59636e}.s5{fill:#bf3989;stroke:#bf3989}.theirs{fill:#8c959f;stroke:#8c959f}\
    .band{stroke:none;opacity:.2}polyline{fill:none!important;stroke-width:2}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}.grid{stroke:#3d444d}.whisker{stroke:#e6edf3}\
    .ours{fill:#1f6feb;stroke:#1f6feb}.s0{fill:#4493f8;stroke:#4493f8}.s1{fill:#db6d28;stroke:#db6d28}\
    .s2{fill:#3fb950;stroke:#3fb950}.s3{fill:#ab7df8;stroke:#ab7df8}.s4{fill:#9198a1;stroke:#9198a1}\
    .s5{fill:#db61a2;stroke:#db61a2}.theirs{fill:#656c76;stroke:#656c76}}";

/// One bar: as long as the median of the figures, with a whisker from the least to the greatest.
pub struct Bar {
    pub label: String,
    pub figures: Vec<f64>,
    /// The one that the picture is about.
    pub is_ours: bool,
}

/// Bars one below the other.
pub fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    const LEFT: f64 = 200.0;
    const RIGHT: f64 = 70.0;
    const TOP: f64 = 44.0;
    const STEP: f64 = 30.0;
    let greatest = bars.iter().flat_map(|bar| &bar.figures).copied().fold(0.0, f64::max);
    let tick = nice_step(greatest / 5.0);
    let end = (greatest / tick).ceil().max(1.0) * tick;
    let x = |figure: f64| LEFT + (WIDTH - LEFT - RIGHT) * figure / end;
    let bottom = TOP + STEP * bars.len() as f64;
    let mut out = open(title, bottom + 44.0);
    let mut at = 0.0;
    while at <= end * 1.001 {
        line(&mut out, "grid", (x(at), TOP - 6.0), (x(at), bottom));
        text(&mut out, "dim", "middle", (x(at), bottom + 16.0), &short(at));
        at += tick;
    }
    text(&mut out, "dim", "middle", (x(end / 2.0), bottom + 36.0), unit);
    for (bar, number) in bars.iter().zip(0u32..) {
        let y = TOP + STEP * f64::from(number);
        let (least, median, most) = spread(&bar.figures);
        let class = if bar.is_ours { "ours" } else { "theirs" };
        text(&mut out, "", "end", (LEFT - 8.0, y + 14.0), &bar.label);
        writeln!(
            out,
            r#"<rect class="{class}" x="{LEFT}" y="{:.1}" width="{:.1}" height="18"/>"#,
            y,
            (x(median) - LEFT).max(0.5)
        )
        .unwrap();
        line(&mut out, "whisker", (x(least), y + 9.0), (x(most), y + 9.0));
        for end in [least, most] {
            line(&mut out, "whisker", (x(end), y + 4.0), (x(end), y + 14.0));
        }
        text(&mut out, "", "start", (x(most) + 6.0, y + 14.0), &short(median));
    }
    close(out)
}

/// One line: its name and, for each x, what the rounds found.
pub struct Series {
    pub label: String,
    pub points: Vec<(f64, Vec<f64>)>,
}

/// Lines through the medians over a logarithmic x axis, each with a band from the least to the greatest.
pub fn lines(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> String {
    const LEFT: f64 = 70.0;
    const RIGHT: f64 = 24.0;
    const TOP: f64 = 44.0;
    const BOTTOM: f64 = 300.0;
    let points = || series.iter().flat_map(|series| &series.points);
    let (mut first, mut last) = (f64::INFINITY, f64::MIN_POSITIVE);
    for (x, _) in points() {
        (first, last) = (first.min(*x), last.max(*x));
    }
    let decades = (first.log10().floor(), last.log10().ceil().max(first.log10().floor() + 1.0));
    let greatest = points().flat_map(|(_, figures)| figures).copied().fold(0.0, f64::max);
    let tick = nice_step(greatest / 5.0);
    let end = (greatest / tick).ceil().max(1.0) * tick;
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * (at.log10() - decades.0) / (decades.1 - decades.0);
    let y = |figure: f64| BOTTOM - (BOTTOM - TOP) * figure / end;
    let mut out = open(title, BOTTOM + 48.0 + 20.0 * series.len() as f64);
    let mut at = 0.0;
    while at <= end * 1.001 {
        line(&mut out, "grid", (LEFT, y(at)), (WIDTH - RIGHT, y(at)));
        text(&mut out, "dim", "end", (LEFT - 8.0, y(at) + 4.0), &short(at));
        at += tick;
    }
    text(&mut out, "dim", "start", (8.0, TOP - 10.0), y_label);
    let mut decade = decades.0;
    while decade <= decades.1 {
        let at = 10f64.powf(decade);
        line(&mut out, "grid", (x(at), TOP), (x(at), BOTTOM));
        text(&mut out, "dim", "middle", (x(at), BOTTOM + 16.0), &short(at));
        decade += 1.0;
    }
    text(&mut out, "dim", "end", (WIDTH - RIGHT, BOTTOM + 36.0), x_label);
    for (series, number) in series.iter().zip(0u32..) {
        let class = format!("s{}", number % COLOURS);
        let at = |choose: fn((f64, f64, f64)) -> f64| {
            series.points.iter().map(move |(at, figures)| format!("{:.1},{:.1}", x(*at), y(choose(spread(figures)))))
        };
        let lower: Vec<String> = at(|(least, _, _)| least).collect();
        let band: Vec<String> = at(|(_, _, most)| most).chain(lower.into_iter().rev()).collect();
        writeln!(out, r#"<polygon class="{class} band" points="{}"/>"#, band.join(" ")).unwrap();
        let middle: Vec<String> = at(|(_, median, _)| median).collect();
        writeln!(out, r#"<polyline class="{class}" points="{}"/>"#, middle.join(" ")).unwrap();
        for point in &middle {
            let (cx, cy) = point.split_once(',').unwrap();
            writeln!(out, r#"<circle class="{class}" cx="{cx}" cy="{cy}" r="3"/>"#).unwrap();
        }
        let legend = BOTTOM + 36.0 + 20.0 * f64::from(number);
        writeln!(out, r#"<circle class="{class}" cx="{LEFT}" cy="{:.1}" r="5"/>"#, legend - 4.0).unwrap();
        text(&mut out, "", "start", (LEFT + 12.0, legend), &series.label);
    }
    close(out)
}

/// Least, median and greatest.
fn spread(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |position: usize| sorted.get(position).copied().unwrap_or_default();
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

/// 1, 2 or 5 times a power of ten, at least so much.
fn nice_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= at_least * 0.999).unwrap()
}

/// `12,345`, `7.5`, `0.02`.
fn short(figure: f64) -> String {
    let decimals = match figure.abs() {
        0.0 => 0,
        small if small < 0.1 => 3,
        small if small < 1.0 => 2,
        small if small < 20.0 && small.fract() != 0.0 => 1,
        _ => 0,
    };
    let plain = format!("{figure:.decimals$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut grouped = String::new();
    for (digit, number) in whole.chars().zip(0..) {
        if number > 0 && (whole.len() - number) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

fn open(title: &str, height: f64) -> String {
    let title = escaped(title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n"
    );
    writeln!(out, r#"<text class="title" x="8" y="22">{title}</text>"#).unwrap();
    out
}

fn close(mut out: String) -> String {
    out.push_str("</svg>\n");
    out
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(out, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#).unwrap();
}

fn text(out: &mut String, class: &str, anchor: &str, at: (f64, f64), text: &str) {
    let (x, y) = at;
    let text = escaped(text);
    writeln!(out, r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#).unwrap();
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
