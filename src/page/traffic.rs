//! How much KooGallery calls, how much of it fails, and how long answers take: charts and the numbers they are made of.

use jiff::Timestamp;
use jiff::tz::{self, Offset};
use maud::{Markup, html};

use super::chart::{self, Column, Series, Told, bars, lines};
use super::layout::View;
use super::pieces::section;
use super::shown::NOTHING;
use super::table::{column, number, table};
use super::text::{Text, text, words};

/// The heading of the page.
pub const TITLE: Text = text("调用量", "Traffic");

const BEIJING: Offset = tz::offset(8);

/// So many classes of answer times: each is a quarter longer than the one before, from 0.1 ms on.
const CLASSES: usize = 64;

/// The calls of a span of time, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// How many there were.
    pub calls: i64,
    /// Answered with a code that is neither success nor processing, or not answered at all.
    pub failed: i64,
    /// Some numbers are those of a sample.
    pub is_sample: bool,
    /// How many answers took so long, by class.
    times: Vec<i64>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { calls: 0, failed: 0, is_sample: false, times: vec![0; CLASSES] }
    }
}

impl Sum {
    /// From the calls that were looked at: code, and microseconds until the answer; each stands for `every`.
    pub fn of<'a>(calls: i64, every: i64, sample: impl Iterator<Item = (Option<&'a str>, Option<i64>)>) -> Self {
        let mut sum = Self { calls, is_sample: every > 1, ..Self::default() };
        for (code, duration_us) in sample {
            if !matches!(code, Some("000000" | "000004")) {
                sum.failed += every;
            }
            if let Some(us) = duration_us {
                sum.times[class_of(us)] += every;
            }
        }
        sum.failed = sum.failed.min(calls);
        sum
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.is_sample |= other.is_sample;
        for (mine, theirs) in self.times.iter_mut().zip(&other.times) {
            *mine += theirs;
        }
    }

    /// The time within which so many hundredths of the answers were ready, in milliseconds, to a quarter of it; `None`:
    /// there was no answer.
    pub fn percentile(&self, hundredths: i64) -> Option<f64> {
        let all: i64 = self.times.iter().sum();
        let wanted = (all * hundredths + 99) / 100;
        let mut seen = 0;
        let found = self.times.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.filter(|_| all > 0).map(upper_ms)
    }
}

fn class_of(us: i64) -> usize {
    (0..CLASSES).find(|class| to_ms(us) <= upper_ms(*class)).unwrap_or(CLASSES - 1)
}

fn upper_ms(class: usize) -> f64 {
    0.1 * 1.25_f64.powi(i32::try_from(class).unwrap_or(0))
}

#[expect(clippy::cast_precision_loss, reason = "durations and counts are far below 2^52")]
fn to_ms(us: i64) -> f64 {
    us as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "durations and counts are far below 2^52")]
fn to_float(count: i64) -> f64 {
    count as f64
}

/// Spans of time, each from when on, oldest first.
pub type Spans = Vec<(Timestamp, Sum)>;

/// The body of the page: the last day by the hour, and the last fortnight by six hours. `is_whole`: all hours are in it.
pub fn body(view: &View<'_>, day: &Spans, fortnight: &Spans, is_whole: bool) -> Markup {
    html! {
        @if !is_whole { p.hint { (view.say(&text(
            "调用很多，较早的时段尚未统计；刷新本页继续统计。",
            "There are very many calls: the earlier ones are not counted yet. Reload the page to go on counting.",
        ))) } }
        (section(view, "day", &text("最近 24 小时", "The last 24 hours"), &charts(view, ("day-calls", "day-times"), day, "%H:%M")))
        (section(view, "fortnight", &text("最近 14 天", "The last 14 days"), &charts(view, ("fortnight-calls", "fortnight-times"), fortnight, "%m-%d %H:%M")))
        p.hint { (view.say(&text(
            "含测试调用。失败：结果码不是 000000 或 000004，或未应答。应答时间为分位数，精度约四分之一；调用很多的小时按样本估算。数字最多延迟 30 秒。",
            "With test calls. Failed: another code than 000000 and 000004, or no answer. Times are percentiles, to a quarter; hours \
             with very many calls are estimated from a sample. Numbers are at most 30 seconds old.",
        ))) }
    }
}

fn label(at: Timestamp, form: &str) -> String {
    BEIJING.to_datetime(at).strftime(form).to_string()
}

fn charts(view: &View<'_>, ids: (&'static str, &'static str), spans: &Spans, form: &str) -> Markup {
    const CALLS: [Series; 2] =
        [Series { name: text("调用", "Calls"), class: "one" }, Series { name: text("失败", "Failed"), class: "two" }];
    const TIMES: [Series; 2] = [
        Series { name: text("一半以内（p50），毫秒", "Half within (p50), ms"), class: "one" },
        Series { name: text("95% 以内（p95），毫秒", "95% within (p95), ms"), class: "two" },
    ];
    let mut all = Sum::default();
    spans.iter().for_each(|(_, sum)| all.add(sum));
    let calls: Vec<_> = spans
        .iter()
        .map(|(at, sum)| Column {
            label: label(*at, form),
            values: vec![Some(to_float(sum.calls)), Some(to_float(sum.failed))],
        })
        .collect();
    let times: Vec<_> = spans
        .iter()
        .map(|(at, sum)| Column { label: label(*at, form), values: vec![sum.percentile(50), sum.percentile(95)] })
        .collect();
    let about_calls = words(
        format!("共 {} 次调用，{} 次失败。", all.calls, all.failed),
        format!("{} calls, {} of them failed.", all.calls, all.failed),
    );
    let ms = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), chart::number);
    let (half, most) = (ms(all.percentile(50)), ms(all.percentile(95)));
    let about_times = words(
        format!("一半的应答在 {half} 毫秒以内，95% 在 {most} 毫秒以内。"),
        format!("Half of the answers within {half} ms, 95% within {most} ms."),
    );
    let calls_told =
        Told { id: ids.0, title: text("每段时间的调用数", "Calls by time"), description: about_calls };
    let times_told = Told { id: ids.1, title: text("应答时间", "Answer times"), description: about_times };
    html! {
        (bars(view, &calls_told, &CALLS, &calls))
        (lines(view, &times_told, &TIMES, &times))
        details { summary { (view.say(&text("以表格查看", "The same as a table"))) } (numbers(view, spans, form)) }
    }
}

fn numbers(view: &View<'_>, spans: &Spans, form: &str) -> Markup {
    let ms = |value: Option<f64>| value.map_or_else(|| html! { (NOTHING) }, |value| html! { (chart::number(value)) });
    let rows: Vec<_> = spans
        .iter()
        .rev()
        .map(|(at, sum)| {
            vec![
                html! { (label(*at, form)) },
                html! { @if sum.is_sample { "≈ " } (sum.calls) },
                html! { (sum.failed) },
                ms(sum.percentile(50)),
                ms(sum.percentile(95)),
            ]
        })
        .collect();
    let columns = [
        column("从", "From"),
        number("调用", "Calls"),
        number("失败", "Failed"),
        number("p50 毫秒", "p50 ms"),
        number("p95 毫秒", "p95 ms"),
    ];
    table(
        view,
        view.say(&text("最新的在前", "Newest first")),
        &columns,
        &rows,
        &text("没有数据。", "There is nothing."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_counts_failures_and_knows_its_percentiles() {
        let sample = [
            (Some("000000"), Some(1_000)),
            (Some("000004"), Some(2_000)),
            (Some("000005"), Some(100_000)),
            (None, None),
        ];
        let sum = Sum::of(4, 1, sample.into_iter());
        assert_eq!((sum.calls, sum.failed, sum.is_sample), (4, 2, false));
        let within = |value: f64, of: f64| value >= of && value <= of * 1.25;
        assert!(within(sum.percentile(50).unwrap(), 2.0), "{:?}", sum.percentile(50));
        assert!(within(sum.percentile(95).unwrap(), 100.0), "{:?}", sum.percentile(95));
        assert_eq!(Sum::default().percentile(95), None);
    }

    #[test]
    fn sums_add_up_and_a_sample_stands_for_all() {
        let mut all = Sum::of(10, 1, std::iter::repeat_n((Some("000000"), Some(500)), 10));
        all.add(&Sum::of(1000, 10, std::iter::repeat_n((Some("000005"), Some(5_000)), 100)));
        assert_eq!((all.calls, all.failed, all.is_sample), (1010, 1000, true));
        assert!(all.percentile(50).unwrap() >= 5.0);
        // Longer than the last class, and shorter than the first.
        assert_eq!(Sum::of(1, 1, std::iter::once((None, Some(i64::MAX)))).percentile(50), Some(upper_ms(CLASSES - 1)));
        assert_eq!(Sum::of(1, 1, std::iter::once((None, Some(0)))).percentile(50), Some(0.1));
    }
}
