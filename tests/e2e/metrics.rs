//! The numbers for Prometheus: a server that has done everything tells everything, what it counts has happened, and
//! whatever the dashboard, the alert rules and the documents name is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use koogate::metrics::table::{self, Metric, Sort};
use serde_json::Value;

use crate::admin_api::shown::{self, MOCK_ORDER};
use crate::admin_api::{ADMIN, TOKEN};
use crate::harness::{Application, Koogate, Scratch, Signed, eventually, new_instance, nonce, now_ms, send, text};
use crate::koogallery::KooGallery;
use crate::shop::{PATIENT, Shop, as_test, retry};
use crate::tls::peer::{Authority, VERSIONS};
use crate::tls::serve;

const STOCK: &str = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\nlow_stock = 1\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// What `/metrics` tells in the older text, or in OpenMetrics.
fn page(koogate: &Koogate, token: &str, accept: Option<&str>) -> String {
    let bearer = format!("Bearer {token}");
    let headers: Vec<_> =
        [("Authorization", bearer.as_str())].into_iter().chain(accept.map(|accept| ("Accept", accept))).collect();
    let answer = send(koogate.admin.unwrap(), "GET", "/metrics", &headers, b"").unwrap();
    assert_eq!(answer.status, 200);
    let expected = if accept.is_some() { "application/openmetrics-text" } else { "text/plain" };
    assert!(answer.header("Content-Type").unwrap().starts_with(expected));
    text(&answer.body)
}

/// The value of every series.
fn numbers(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
    };
    lines.map(value).collect()
}

/// The metrics that a page has.
fn told(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect()
}

/// Two servers that have done, between them, whatever can be counted.
struct Busy {
    shop: Shop,
    _koogallery: KooGallery,
    secure: Koogate,
    _folder: Scratch,
}

impl Busy {
    fn start() -> Self {
        let koogallery = KooGallery::start();
        let sections = format!("{}[database.snapshots]\ndirectory = \"series\"\n", koogallery.toml());
        let shop = shown::shop_calling(&sections);
        shown::sell(&shop);
        let asked = shop.koogate.admin("GET", &format!("/api/v1/orders/{MOCK_ORDER}"), Some(TOKEN), "");
        assert_eq!(asked.status, 200);
        let authority = Authority::new();
        let folder = serve::scratch(&authority.issue(&["localhost"]), STOCK);
        let secure = folder.serve();
        serve::call(&secure, &authority.client(VERSIONS[0], &["http/1.1"]), &as_test(new_instance("CS1")));
        Self { shop, _koogallery: koogallery, secure, _folder: folder }
    }

    fn pages(&self) -> [String; 2] {
        [page(&self.shop.koogate, TOKEN, None), page(&self.secure, serve::TOKEN, None)]
    }

    /// The same once the first snapshots are taken.
    fn whole_pages(&self) -> [String; 2] {
        let is_whole = |pages: &[String; 2]| pages.iter().all(|page| page.contains("\nkoogate_snapshot_bytes "));
        eventually(|| Some(self.pages()).filter(is_whole), || self.pages().concat())
    }
}

#[test]
fn servers_that_have_done_everything_tell_every_metric_of_the_table() {
    let busy = Busy::start();
    let told: BTreeSet<_> = busy.whole_pages().iter().flat_map(|page| told(page)).collect();
    // A copy is proved again when it has lain for a day.
    let expected = table::ALL.iter().map(Metric::name_in_queries);
    let expected: BTreeSet<_> = expected.filter(|name| name != "koogate_snapshot_drilled_timestamp_seconds").collect();
    assert_eq!(told, expected);
    // Whoever asks for it gets the other form, with the same series; whole bounds have a decimal point there.
    let open = || page(&busy.shop.koogate, TOKEN, Some("application/openmetrics-text; version=1.0.0"));
    assert!(open().ends_with("# EOF\n"), "{}", open());
    let unified = |series: &str| {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',').map(|label| label.replace(".0\"", "\""));
        (name.to_owned(), labels.collect::<BTreeSet<_>>())
    };
    let series = |page: &str| numbers(page).keys().map(|series| unified(series)).collect::<BTreeSet<_>>();
    // Work goes on meanwhile, and what it counts for the first time is another series.
    let differ = || {
        let (open, plain) = (series(&open()), series(&page(&busy.shop.koogate, TOKEN, None)));
        open.symmetric_difference(&plain).cloned().collect::<Vec<_>>()
    };
    eventually(|| differ().is_empty().then_some(()), || format!("{:?}", differ()));
}

#[test]
fn what_is_counted_has_happened() {
    let shop = Shop::with(Application::ready(), &format!("{PATIENT}{ADMIN}"), "");
    let purchase = new_instance("CS1");
    shop.expect("000000", &purchase);
    shop.expect("000000", &retry(&purchase));
    shop.expect("000000", &as_test(new_instance("CS2")));
    let refused = |signed: Signed| {
        let answer = shop.koogate.post(&format!("/saasproduce?{}", signed.query()), b"{}").unwrap();
        assert_ne!(answer.code(), "000000");
    };
    refused(Signed::now("another access key", b"{}"));
    refused(Signed::at(crate::harness::KEY, b"{}", now_ms() - 3_600_000, &nonce()));
    let page = page(&shop.koogate, TOKEN, None);
    let numbers = numbers(&page);
    let number = |series: &str| *numbers.get(series).unwrap_or_else(|| panic!("{series} is not in\n{page}"));
    let calls = |environment: &str| {
        format!(
            "koogate_calls_total{{environment=\"{environment}\",family=\"basic-v2\",activity=\"newInstance\",result=\"000000\"}}"
        )
    };
    assert_eq!((number(&calls("real")), number(&calls("test"))), (2.0, 1.0));
    assert_eq!(number("koogate_calls_replayed_total{family=\"basic-v2\"}"), 1.0);
    assert_eq!(number("koogate_calls_waited_total{family=\"basic-v2\"}"), 1.0);
    assert_eq!(number("koogate_call_duration_seconds_count{family=\"basic-v2\"}"), 3.0);
    assert_eq!(number("koogate_call_duration_seconds_bucket{family=\"basic-v2\",le=\"+Inf\"}"), 3.0);
    assert_eq!(number("koogate_calls_refused_total{reason=\"key\"}"), 1.0);
    assert_eq!(number("koogate_calls_refused_total{reason=\"clock\"}"), 1.0);
    assert_eq!(number("koogate_hook_attempts_total{kind=\"saas\",outcome=\"ready\"}"), 1.0);
    assert_eq!(number("koogate_hook_attempts_total{kind=\"saas\",outcome=\"failed\"}"), 0.0);
    assert_eq!(number("koogate_hook_duration_seconds_count{kind=\"saas\"}"), 1.0);
    let commits = number("koogate_commit_sync_duration_seconds_count");
    assert!(commits >= 3.0 && commits <= number("koogate_commits_total"), "{page}");
    assert_eq!(number("koogate_commit_duration_seconds_count"), commits);
    assert!(number("koogate_commit_batch_size_sum") >= commits, "{page}");
    assert!(number("koogate_http_requests_total{listener=\"public\"}") >= 5.0, "{page}");
    assert_eq!(number("koogate_connections_limit{listener=\"admin\"}"), 64.0);
    assert_eq!((number("koogate_creations_open"), number("koogate_database_writable")), (0.0, 1.0));
    assert!(number("koogate_database_bytes") > 0.0 && number("koogate_disk_free_bytes") > 0.0, "{page}");
    assert!(number("process_resident_memory_bytes") > 0.0 && number("process_open_fds") > 0.0, "{page}");
    for newest in ["koogate_last_call_timestamp_seconds", "koogate_last_test_call_timestamp_seconds"] {
        assert!(number(newest) >= number("process_start_time_seconds").floor() - 1.0, "{newest}\n{page}");
    }
}

#[test]
fn what_waits_is_told_with_its_age() {
    let application = Application::start(|_| (500, "out of order".to_owned()));
    let jobs = "[jobs]\nfirst_retry = \"1h\"\nslowest_retry = \"1h\"\n";
    let product = application.product("");
    let impatient = crate::shop::IMPATIENT;
    let shop = Shop::with_products(application, &format!("{impatient}{jobs}{ADMIN}"), &format!("{product}{STOCK}"));
    shop.expect("000004", &new_instance("CS1"));
    // The stock's product comes second, so it sells nothing; what is left of it is told all the same.
    shop.scratch.run_ok(&["stock", "import", "accounts", &stock_file(&shop.scratch)]);
    let is_told = |numbers: &BTreeMap<String, f64>| {
        let number = |series: &str| numbers.get(series).copied();
        number("koogate_creations_open") == Some(1.0)
            && number("koogate_jobs_failing") == Some(1.0)
            && number("koogate_jobs{state=\"waiting\"}") == Some(1.0)
            && number("koogate_stock_unused{stock=\"accounts\"}") == Some(2.0)
            && number("koogate_stock_low{stock=\"accounts\"}") == Some(1.0)
            && number("koogate_creations_oldest_seconds").is_some_and(|age| age >= 1.0)
    };
    let now = || numbers(&page(&shop.koogate, TOKEN, None));
    eventually(|| Some(now()).filter(is_told), || format!("{:#?}", now()));
}

fn stock_file(scratch: &Scratch) -> String {
    let file = scratch.path("accounts.csv");
    std::fs::write(&file, "user_name,password,front_end_url\na,p-1,https://a/\nb,p-2,https://a/\n").unwrap();
    file.to_string_lossy().into_owned()
}

// --- What names them ---

/// Names of metrics in a text, as the table has them.
fn named(text: &str) -> BTreeSet<&str> {
    // A colon is part of a word, so that the path of a test is one.
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    // What follows is a name, and no version or pattern.
    let is_name = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = |word: &str| word.strip_prefix("koogate_").or(word.strip_prefix("process_")).is_some_and(is_name);
    words.filter(|word| rest(word)).collect()
}

/// The series that a metric has in queries.
fn series_of(metric: &Metric) -> Vec<String> {
    let name = metric.name_in_queries();
    let ends = match metric.sort {
        Sort::Histogram => &["", "_bucket", "_sum", "_count"][..],
        Sort::Counter | Sort::Gauge => &[""],
    };
    ends.iter().map(|end| format!("{name}{end}")).collect()
}

#[test]
fn every_metric_that_is_named_anywhere_exists_and_every_one_is_documented() {
    let known: BTreeSet<String> = table::ALL.iter().flat_map(series_of).collect();
    let mut files: Vec<PathBuf> = ["packaging/grafana/koogate.json", "packaging/prometheus/alerts.yml", "README.md"]
        .iter()
        .chain(["packaging/prometheus/alerts_test.yml", "docs/openapi.yaml"].iter())
        .map(PathBuf::from)
        .collect();
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    files.extend(
        docs.map(|name| Path::new("docs").join(name)).filter(|file| file.extension().is_some_and(|e| e == "md")),
    );
    let mut unknown = BTreeSet::new();
    for file in &files {
        let text = read(&file.to_string_lossy());
        let strangers = named(&text).into_iter().filter(|name| !known.contains(*name));
        unknown.extend(strangers.map(|name| format!("{}: {name}", file.display())));
    }
    assert_eq!(unknown, BTreeSet::new());
    let document = read("docs/metrics.md");
    for Metric { labels, help, .. } in table::ALL {
        assert!(document.contains(help), "{help}");
        labels.iter().for_each(|label| assert!(document.contains(&format!("`{label}`")), "{label}"));
    }
    let documented = named(&document);
    let missing: Vec<_> =
        table::ALL.iter().map(Metric::name_in_queries).filter(|name| !documented.contains(name.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new(), "not in docs/metrics.md");
}

#[test]
fn the_dashboard_shows_every_metric_and_begins_with_what_costs_money() {
    let text = read("packaging/grafana/koogate.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels[0]["title"].as_str().unwrap().starts_with("What costs money"));
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| &v["type"]).collect();
    assert_eq!(variables, ["datasource", "query", "query"]);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{title}: its id is another's");
        let is_bilingual = title.contains(|c: char| c > '\u{2e80}') || matches!(title, "CPU" | "WAL");
        assert!(is_bilingual, "{title}: no Chinese");
        let place = |name: &str| panel["gridPos"][name].as_i64().unwrap();
        for column in place("x")..place("x") + place("w") {
            for row in place("y")..place("y") + place("h") {
                assert!(column < 24 && taken.insert((column, row)), "{title}: its place is another's");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title}");
        }
    }
    let shown = named(&text);
    let missing: Vec<_> = table::ALL
        .iter()
        .filter(|metric| !series_of(metric).iter().any(|name| shown.contains(name.as_str())))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_alert_rule_has_a_test_and_says_the_mend_in_both_languages() {
    let (rules, tests) = (read("packaging/prometheus/alerts.yml"), read("packaging/prometheus/alerts_test.yml"));
    let names: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(names.len(), 31, "docs/metrics.md says how many there are");
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name}: no test");
        let rule = rules.split(&format!("- alert: {name}\n")).nth(1).unwrap();
        let rule = rule.split("- alert: ").next().unwrap();
        for annotation in ["summary:", "summary_zh:", "description:", "description_zh:", "severity:"] {
            assert!(rule.contains(annotation), "{name}: no {annotation}");
        }
    }
}

mod needs_promtool {
    use super::*;

    fn promtool(args: &[&str], folder: &Path, input: &str) -> Output {
        let mut command = Command::new("promtool");
        command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("promtool (Debian: prometheus)");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn passes(output: &Output) {
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{said}");
    }

    #[test]
    #[ignore = "needs promtool; .ci/run runs it"]
    fn the_text_of_servers_that_have_done_everything_is_clean() {
        for page in Busy::start().whole_pages() {
            let output = promtool(&["check", "metrics"], root(), &page);
            passes(&output);
            // A matter of style is said and is no failure in every version.
            assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()), "{page}");
        }
    }

    #[test]
    #[ignore = "needs promtool; .ci/run runs it"]
    fn every_alert_rule_can_be_read_and_does_what_its_test_says() {
        let folder = root().join("packaging/prometheus");
        passes(&promtool(&["check", "rules", "alerts.yml"], &folder, ""));
        passes(&promtool(&["test", "rules", "alerts_test.yml"], &folder, ""));
    }

    #[test]
    #[ignore = "needs promtool; .ci/run runs it"]
    fn every_query_of_the_dashboard_can_be_read() {
        let dashboard: Value = serde_json::from_str(&read("packaging/grafana/koogate.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
        let queries = targets.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m"));
        let rule = |(number, query): (usize, String)| {
            format!("  - record: query:{number}\n    expr: '{}'\n", query.replace('\'', "''"))
        };
        let rules: String = queries.enumerate().map(rule).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("queries.yml"), format!("groups:\n- name: queries\n  rules:\n{rules}"))
            .unwrap();
        passes(&promtool(&["check", "rules", "queries.yml"], folder.path(), ""));
    }
}
