//! Whatever configuration the program can have, a file can say it: printed as TOML and read again, it is the same.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::alert::wire::Outlet;
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::open_api::aksk::Credentials;
use crate::sealing::SealingKey;
use crate::secret::Secret;

proptest! {
    #[test]
    fn a_printed_configuration_reads_as_itself((config, sealing_key) in configs()) {
        let text = print(&config, &sealing_key);
        let read = Config::from_toml(&text, Path::new("/etc/koogate"));
        let mut read = read.map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        // Warnings are the reader's comment, no setting.
        read.warnings.clear();
        read.settings.clear();
        prop_assert_eq!(read, config, "\n{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[{1,2}(server|product|keys)\\]{1,2}\n|(basic|listen|access) = |[\\PC\n\"'{}=.\\[\\]]{0,6}){0,12}") {
        let _ = Config::from_toml(&text, Path::new("/nonexistent"));
    }
}

fn configs() -> impl Strategy<Value = (Config, String)> {
    let sealing_key = any::<[u8; 32]>().prop_map(|bytes| HEXLOWER.encode(&bytes));
    let keys = (vec(access_key(), 1..4), vec(access_key(), 1..3), sealing_key);
    let rules = (signatures(), lifecycles(), jobs());
    let helpers = (of(admins()), of(logins()), of(open_apis()), of(alerts()));
    (servers(), databases(), keys, rules, helpers, vec(products(), 1..5)).prop_map(
        |(
            server,
            database,
            (basic, license, hex),
            (signature, lifecycle, jobs),
            (admin, login, open_api, alerts),
            products,
        )| {
            // Private keys stand in files, which this text cannot hold; without them there is no kit.
            let (kit, kit_private_keys) = (Vec::new(), Vec::new());
            let keys = Keys { basic, license, kit, kit_private_keys, sealing: SealingKey::from_hex(&hex).unwrap() };
            // Two listeners on one address are refused.
            let admin = admin.filter(|admin| admin.listen.port() != server.listen.port());
            let (warnings, settings) = (Vec::new(), Vec::new());
            (
                Config {
                    server,
                    database,
                    keys,
                    signature,
                    lifecycle,
                    jobs,
                    admin,
                    login,
                    open_api,
                    alerts,
                    products,
                    warnings,
                    settings,
                },
                hex,
            )
        },
    )
}

fn servers() -> impl Strategy<Value = Server> {
    let tls = (path(), path()).prop_map(|(certificate, private_key)| Tls { certificate, private_key });
    let base_path = "(/[a-z0-9~_-]{1,8}){1,3}".prop_filter("the watchdog's", |path| path != "/healthz");
    let public_url =
        of(select(vec!["https://shop.example.com", "https://shop.example.com/a/b", "http://[::1]:8080/x"]));
    let public_url = public_url.prop_map(|url| url.map(str::to_owned));
    let listen = (address(), public_url);
    (listen, of(tls), base_path, millis(100, 15_000), 8_usize..=10_000, 64_usize << 10..=64 << 20).prop_map(
        |((listen, public_url), tls, base_path, answer_within, max_connections, max_body)| Server {
            listen,
            tls,
            public_url,
            base_path,
            answer_within,
            max_connections,
            max_body,
        },
    )
}

fn databases() -> impl Strategy<Value = Database> {
    let day = 86_400_000;
    let snapshots = (path(), millis(1_000, 366 * day), 1_usize..=100_000)
        .prop_map(|(directory, every, keep)| SnapshotSeries { directory, every, keep });
    (path(), millis(day, 36_500 * day), millis(1_000, day), of(snapshots), 1_usize..=4096).prop_map(
        |(path, keep_exchanges, snapshot_every, snapshots, commit_batch)| Database {
            path,
            keep_exchanges,
            snapshot_every,
            snapshots,
            commit_batch,
        },
    )
}

fn signatures() -> impl Strategy<Value = Signature> {
    use PayloadCandidate::{Raw, Sorted, SortedWithNulls};
    let candidates = proptest::sample::subsequence(vec![Raw, Sorted, SortedWithNulls], 1..=3).prop_shuffle();
    (millis(1_000, 3_600_000), any::<[bool; 3]>(), candidates, of(millis(60_000, 31_536_000_000))).prop_map(
        |(timestamp_window, [reject_future_timestamps, nonce_replay_check, body_sign_v2], payload_candidates, age)| {
            Signature {
                v1_max_age: age,
                timestamp_window,
                reject_future_timestamps,
                nonce_replay_check,
                payload_candidates,
                body_sign_v2,
            }
        },
    )
}

fn lifecycles() -> impl Strategy<Value = Lifecycle> {
    ("[0-9]{5}[1-9]", any::<[bool; 4]>()).prop_map(|(change_check_refusal_code, [never, beijing, ignore, reject])| {
        Lifecycle {
            refresh_unfreezes: if never { RefreshUnfreezes::Never } else { RefreshUnfreezes::Always },
            change_check_refusal_code,
            v1_expire_time_zone: if beijing { TimeZone::UtcPlus8 } else { TimeZone::Utc },
            extend_params_error: if ignore { ExtendParamsError::Ignore } else { ExtendParamsError::Reject },
            l2_unknown_code: if reject { UnknownCode::Reject } else { UnknownCode::Accept },
            all_org_missing: if reject { MissingDepartments::Delete } else { MissingDepartments::MarkStale },
        }
    })
}

fn jobs() -> impl Strategy<Value = Jobs> {
    (1_usize..=256, millis(1_000, 31_536_000_000), millis(10, 3_600_000), millis(3_600_000, 86_400_000)).prop_map(
        |(workers, give_up_after, first_retry, slowest_retry)| Jobs {
            workers,
            give_up_after,
            first_retry,
            slowest_retry,
        },
    )
}

fn admins() -> impl Strategy<Value = Admin> {
    let token = "[!-~]{16,40}".prop_filter("a placeholder", |token| !token.starts_with('<'));
    let names = prop::collection::vec("[a-z]{1,8}(\\.[a-z0-9-]{1,8}x){0,2}", 0..3);
    (address(), token, names).prop_map(|(listen, token, host_names)| Admin {
        listen,
        token: Secret::new(token),
        host_names,
    })
}

fn logins() -> impl Strategy<Value = Login> {
    let secret = "[!-~]{32,64}".prop_filter("a placeholder", |secret| !secret.starts_with('<')).prop_map(Secret::new);
    let address = || "(https://[a-z]{1,8}|http://127\\.0\\.0\\.1)(:[1-9][0-9]{0,3})?(/[a-z0-9=&~]{0,8}){0,2}";
    let page = "https://[a-z]{1,8}(/#/[a-z]{1,8})?\\?(appId=\\{appId\\})?";
    let rest = (millis(5_000, 600_000), millis(60_000, 31_536_000_000), any::<bool>());
    (name(), address(), secret, of(address()), page, rest).prop_map(
        |(app_id, application_url, secret, callback_url, login_page, rest)| Login {
            app_id,
            application_url,
            secret,
            callback_url,
            login_page,
            token_lifetime: rest.0,
            session_lifetime: rest.1,
            local_centres: rest.2,
        },
    )
}

fn alerts() -> impl Strategy<Value = Alerts> {
    let url = || "https://[a-z]{1,8}/[!-~]{0,20}".prop_map(Secret::new);
    let robots = (select(vec![Outlet::DingTalk, Outlet::Feishu]), url(), of("SEC[!-~]{8,20}".prop_map(Secret::new)));
    let robot = robots.prop_map(|(kind, url, secret)| AlertWebhook { kind, url, secret });
    let wecom = url().prop_map(|url| AlertWebhook { kind: Outlet::WeCom, url, secret: None });
    let languages = select(vec![AlertLanguage::Zh, AlertLanguage::En, AlertLanguage::Both]);
    (vec(prop_oneof![robot, wecom], 1..4), of(url()), languages)
        .prop_map(|(webhooks, heartbeat_url, language)| Alerts { webhooks, heartbeat_url, language })
}

fn open_apis() -> impl Strategy<Value = OpenApi> {
    let secret = "[!-~]{16,64}".prop_filter("a placeholder", |secret| !secret.starts_with('<')).prop_map(Secret::new);
    let sites = select(vec![Site::China, Site::International, Site::Europe]).prop_map(Endpoint::Site);
    let other = "(https://[a-z]{1,8}|http://127\\.0\\.0\\.1)(:[1-9][0-9]{0,3})?".prop_map(Endpoint::Other);
    let orders = select(vec![OrderQuery::Auto, OrderQuery::Required, OrderQuery::Off]);
    let usage = (any::<bool>(), 1_usize..=1000);
    let heartbeats = (millis(0, 86_400_000), millis(0, 30 * 86_400_000));
    (prop_oneof![sites, other], name(), secret, orders, usage, any::<bool>(), heartbeats).prop_map(
        |(endpoint, access_key_id, secret_access_key, order_query, (is_old, usage_batch_size), hashes, heartbeats)| {
            OpenApi {
                endpoint,
                credentials: Credentials { access_key_id, secret_access_key },
                // A file, which this text cannot hold.
                trusted_certificates: None,
                order_query,
                usage_interface: if is_old { UsageInterface::Old } else { UsageInterface::New },
                usage_batch_size,
                multipart_payload: if hashes { MultipartPayload::Hash } else { MultipartPayload::Unsigned },
                heartbeat_fresh: heartbeats.0,
                heartbeat_stale: heartbeats.1,
            }
        },
    )
}

fn products() -> impl Strategy<Value = Product> {
    let secret = vec(any::<u8>(), 24..=64).prop_map(|bytes| Secret::new(format!("whsec_{}", BASE64.encode(&bytes))));
    let program = prop_oneof!["[a-z]{1,8}", "(/[a-z]{1,8}){1,3}"].prop_map(PathBuf::from);
    let fulfilment = prop_oneof![
        ("https?://[a-z]{1,8}(:[1-9][0-9]{0,3})?(/[!-\"$-~]{0,8})?", of(secret))
            .prop_map(|(url, secret)| Fulfilment::Http { url, secret }),
        (program, vec("\\PC{0,8}", 0..3)).prop_map(|(program, args)| Fulfilment::Command { program, args }),
        (name(), 0_u32..=1_000_000).prop_map(|(name, low_stock)| Fulfilment::Stock { name, low_stock }),
        (accesses(), any::<bool>())
            .prop_map(|(access, generate_password)| Fulfilment::Fixed { access, generate_password }),
        Just(Fulfilment::Manual),
    ];
    let licences = (select(Kind::ALL.to_vec()), of(1_u32..=1_000_000), any::<[bool; 2]>());
    (of(name()), of(name()), fulfilment, of(accesses()), any::<[bool; 3]>(), millis(1_000, 600_000), licences).prop_map(
        |(product_id, sku_code, fulfilment, access, choices, timeout, (kind, most, [small, required]))| {
            let applies = matches!(fulfilment, Fulfilment::Http { .. } | Fulfilment::Command { .. });
            // What a kind cannot be fulfilled by is that of SaaS.
            let kind = match (&fulfilment, kind) {
                (Fulfilment::Fixed { .. }, _) | (Fulfilment::Stock { .. }, Kind::LicenseCode) => Kind::Saas,
                (_, kind) => kind,
            };
            let (saas, online) = (kind == Kind::Saas, kind == Kind::LicenseOnline);
            let [accept, test_calls, change_check] = choices.map(|choice| choice && applies);
            let change_check = change_check && saas;
            Product {
                kind,
                product_id,
                sku_code,
                default_access: access.filter(|_| saas && !matches!(fulfilment, Fulfilment::Fixed { .. })),
                fulfilment,
                encrypt_type: if small && saas { EncryptType::Aes128 } else { EncryptType::Aes256 },
                max_licenses: most.filter(|_| online),
                fingerprint: if required && online { Fingerprint::Required } else { Fingerprint::Optional },
                accept: if accept { Accept::After } else { Accept::AtOnce },
                test_calls: if test_calls { TestCalls::Forward } else { TestCalls::Answer },
                change_check: if change_check { ChangeCheck::Ask } else { ChangeCheck::Allow },
                timeout: if applies { timeout } else { Product::DEFAULT_TIMEOUT },
            }
        },
    )
}

fn accesses() -> impl Strategy<Value = AccessTemplate> {
    let template =
        |pattern| proptest::string::string_regex(pattern).unwrap().prop_map(|text| Template::parse(&text).unwrap());
    let url = "https?://[a-z]{1,8}(/\\{(instanceId|orderId|orderLineId|productId)\\})?";
    let text = "([^{}]|\\{\\{|\\}\\}|\\{instanceId\\}){1,8}";
    (template(url), of(template(url)), of(template(text)), of(template(text))).prop_map(
        |(front_end_url, admin_url, user_name, memo)| AccessTemplate { front_end_url, admin_url, user_name, memo },
    )
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn access_key() -> impl Strategy<Value = Secret<String>> {
    // One character repeated would do too, but not the placeholders.
    "[!-~]{8,40}".prop_filter("a placeholder", |key| !key.starts_with('<')).prop_map(Secret::new)
}

fn path() -> impl Strategy<Value = PathBuf> {
    "(/[^/\0]{1,8}){1,3}".prop_map(PathBuf::from)
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9云\"'\\\\][A-Za-z0-9云 ._-]{0,8}[A-Za-z0-9]"
}

fn millis(from: u64, to: u64) -> impl Strategy<Value = Duration> {
    // Round values are what people write; the others check that nothing is rounded.
    prop_oneof![from..=to, (from..=to).prop_map(move |value| (value / 1_000 * 1_000).max(from))]
        .prop_map(Duration::from_millis)
}

/// Prints every key, also those that have their default.
fn print(config: &Config, sealing_key: &str) -> String {
    let mut out = Printer(String::new());
    let Config { server, database, keys, signature, lifecycle, jobs, admin, login, open_api, alerts, products, .. } =
        config;
    out.head("[server]");
    out.text("listen", server.listen);
    out.text("base_path", &server.base_path);
    server.public_url.iter().for_each(|url| out.text("public_url", url));
    out.text("answer_within", DurationText(server.answer_within));
    out.plain("max_connections", server.max_connections);
    out.text("max_body", SizeText(server.max_body as u64));
    if let Some(Tls { certificate, private_key }) = &server.tls {
        out.head("[server.tls]");
        out.text("certificate", certificate.display());
        out.text("private_key", private_key.display());
    }
    out.head("[database]");
    out.text("path", database.path.display());
    out.text("keep_exchanges", DurationText(database.keep_exchanges));
    out.text("snapshot_every", DurationText(database.snapshot_every));
    out.plain("commit_batch", database.commit_batch);
    if let Some(SnapshotSeries { directory, every, keep }) = &database.snapshots {
        out.head("[database.snapshots]");
        out.text("directory", directory.display());
        out.text("every", DurationText(*every));
        out.plain("keep", keep);
    }
    out.head("[keys]");
    out.texts("basic", keys.basic.iter().map(Secret::expose));
    out.texts("license", keys.license.iter().map(Secret::expose));
    out.text("sealing_key", sealing_key);
    out.head("[signature]");
    out.text("timestamp_window", DurationText(signature.timestamp_window));
    out.plain("reject_future_timestamps", signature.reject_future_timestamps);
    out.plain("nonce_replay_check", signature.nonce_replay_check);
    out.plain("body_sign_v2", signature.body_sign_v2);
    signature.v1_max_age.iter().for_each(|age| out.text("v1_max_age", DurationText(*age)));
    out.texts(
        "payload_candidates",
        signature.payload_candidates.iter().map(|candidate| match candidate {
            PayloadCandidate::Raw => "raw",
            PayloadCandidate::Sorted => "sorted",
            PayloadCandidate::SortedWithNulls => "sorted-with-nulls",
        }),
    );
    out.head("[lifecycle]");
    out.text(
        "refresh_unfreezes",
        if lifecycle.refresh_unfreezes == RefreshUnfreezes::Always { "always" } else { "never" },
    );
    out.text("change_check_refusal_code", &lifecycle.change_check_refusal_code);
    out.text("v1_expire_time_zone", if lifecycle.v1_expire_time_zone == TimeZone::Utc { "UTC" } else { "UTC+8" });
    let rejects = lifecycle.extend_params_error == ExtendParamsError::Reject;
    out.text("extend_params_error", if rejects { "reject" } else { "ignore" });
    let deletes = lifecycle.all_org_missing == MissingDepartments::Delete;
    out.text("all_org_missing", if deletes { "delete" } else { "mark_stale" });
    out.text("l2_unknown_code", if lifecycle.l2_unknown_code == UnknownCode::Accept { "accept" } else { "reject" });
    out.head("[jobs]");
    out.plain("workers", jobs.workers);
    out.text("give_up_after", DurationText(jobs.give_up_after));
    out.text("first_retry", DurationText(jobs.first_retry));
    out.text("slowest_retry", DurationText(jobs.slowest_retry));
    if let Some(admin) = admin {
        out.head("[admin]");
        out.text("listen", admin.listen);
        out.plain("allow_remote", !admin.listen.ip().is_loopback());
        out.text("token", admin.token.expose());
        out.texts("host_names", admin.host_names.iter());
    }
    login.iter().for_each(|login| out.login(login));
    open_api.iter().for_each(|open_api| out.open_api(open_api));
    alerts.iter().for_each(|alerts| out.alerts(alerts));
    products.iter().for_each(|product| out.product(product));
    out.0
}

/// TOML, a line at a time.
struct Printer(String);

impl Printer {
    fn login(&mut self, login: &Login) {
        self.head("[login]");
        self.text("app_id", &login.app_id);
        self.text("application_url", &login.application_url);
        self.text("secret", login.secret.expose());
        login.callback_url.iter().for_each(|url| self.text("callback_url", url));
        self.text("login_page", &login.login_page);
        self.text("token_lifetime", DurationText(login.token_lifetime));
        self.text("session_lifetime", DurationText(login.session_lifetime));
        self.plain("local_centres", login.local_centres);
    }

    fn alerts(&mut self, alerts: &Alerts) {
        self.head("[alerts]");
        let language = match alerts.language {
            AlertLanguage::Zh => "zh",
            AlertLanguage::En => "en",
            AlertLanguage::Both => "both",
        };
        self.text("language", language);
        alerts.heartbeat_url.iter().for_each(|url| self.text("heartbeat_url", url.expose()));
        for webhook in &alerts.webhooks {
            self.head("[[alerts.webhooks]]");
            self.text("kind", webhook.kind.as_str());
            self.text("url", webhook.url.expose());
            webhook.secret.iter().for_each(|secret| self.text("secret", secret.expose()));
        }
    }

    fn open_api(&mut self, open_api: &OpenApi) {
        self.head("[open_api]");
        match &open_api.endpoint {
            Endpoint::Site(Site::China) => self.text("site", "china"),
            Endpoint::Site(Site::International) => self.text("site", "international"),
            Endpoint::Site(Site::Europe) => self.text("site", "europe"),
            Endpoint::Other(origin) => self.text("endpoint", origin),
        }
        self.text("access_key_id", &open_api.credentials.access_key_id);
        self.text("secret_access_key", open_api.credentials.secret_access_key.expose());
        let orders = match open_api.order_query {
            OrderQuery::Auto => "auto",
            OrderQuery::Required => "required",
            OrderQuery::Off => "off",
        };
        self.text("order_query", orders);
        self.text("usage_interface", if open_api.usage_interface == UsageInterface::Old { "old" } else { "new" });
        self.plain("usage_batch_size", open_api.usage_batch_size);
        let hashes = open_api.multipart_payload == MultipartPayload::Hash;
        self.text("multipart_payload", if hashes { "hash" } else { "unsigned" });
        self.text("heartbeat_fresh", DurationText(open_api.heartbeat_fresh));
        self.text("heartbeat_stale", DurationText(open_api.heartbeat_stale));
    }

    fn product(&mut self, product: &Product) {
        self.head("[[product]]");
        self.text("kind", product.kind);
        if product.kind == Kind::Saas {
            self.text("encrypt_type", product.encrypt_type.code());
            self.text("change_check", if product.change_check == ChangeCheck::Ask { "ask" } else { "allow" });
        }
        if product.kind == Kind::LicenseOnline {
            product.max_licenses.iter().for_each(|most| self.plain("max_licenses", most));
            let required = product.fingerprint == Fingerprint::Required;
            self.text("fingerprint", if required { "required" } else { "optional" });
        }
        for (key, value) in [("product_id", &product.product_id), ("sku_code", &product.sku_code)] {
            value.iter().for_each(|value| self.text(key, value));
        }
        self.text("accept", if product.accept == Accept::After { "after" } else { "at-once" });
        self.text("test_calls", if product.test_calls == TestCalls::Forward { "forward" } else { "answer" });
        match &product.fulfilment {
            Fulfilment::Http { url, secret } => {
                self.text("fulfilment", "http");
                self.text("url", url);
                self.text("timeout", DurationText(product.timeout));
                secret.iter().for_each(|secret| self.text("secret", secret.expose()));
            }
            Fulfilment::Command { program, args } => {
                self.text("fulfilment", "command");
                self.text("timeout", DurationText(product.timeout));
                let program = program.display().to_string();
                self.texts("command", std::iter::once(&program).chain(args));
            }
            Fulfilment::Stock { name, low_stock } => {
                self.text("fulfilment", "stock");
                self.text("stock", name);
                self.plain("low_stock", low_stock);
            }
            Fulfilment::Fixed { generate_password, .. } => {
                self.text("fulfilment", "fixed");
                self.plain("generate_password", generate_password);
            }
            Fulfilment::Manual => self.text("fulfilment", "manual"),
        }
        if let Some(access) = product.access() {
            self.head("[product.access]");
            self.text("front_end_url", &access.front_end_url);
            let others = [("admin_url", &access.admin_url), ("user_name", &access.user_name), ("memo", &access.memo)];
            for (key, template) in others {
                template.iter().for_each(|template| self.text(key, template));
            }
        }
    }

    fn head(&mut self, head: &str) {
        writeln!(self.0, "{head}").unwrap();
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        writeln!(self.0, "{key} = {value}").unwrap();
    }

    fn text(&mut self, key: &str, value: impl std::fmt::Display) {
        self.plain(key, toml::Value::String(value.to_string()));
    }

    fn texts(&mut self, key: &str, values: impl Iterator<Item = impl std::fmt::Display>) {
        self.plain(key, toml::Value::Array(values.map(|value| toml::Value::String(value.to_string())).collect()));
    }
}
