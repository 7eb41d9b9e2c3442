//! The configuration: what the user wrote in TOML becomes what the program uses, checked and derived, or the complete
//! list of what is wrong with it.
//!
//! The text is walked once, section by section (`section.rs`); each section's file holds its type, its defaults and its
//! reader. A [`Config`] is only made here, and nothing downstream validates it again. Only keys with an effect are
//! accepted. Opening the database, binding addresses and calling anything is not done here; of the machine only
//! files of secrets and environment variables are read.

mod access;
mod alerts;
mod database;
mod error;
mod keys;
mod listeners;
mod login;
mod open_api;
mod product;
mod rules;
mod secrets;
mod section;
mod shown;
mod template;
mod units;
mod value;

#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod round_trip_tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use self::access::{AccessTemplate, FilledAccess};
pub use self::alerts::{AlertLanguage, AlertWebhook, Alerts};
pub use self::database::{Database, SnapshotSeries};
pub use self::error::{ConfigError, ConfigErrors, ConfigWarning, Problem, SecretProblem};
pub use self::keys::Keys;
pub use self::listeners::{Admin, Server, Tls};
pub use self::login::Login;
pub use self::open_api::{Endpoint, MultipartPayload, OpenApi, OrderQuery, Site, UsageInterface};
pub use self::product::{Accept, ChangeCheck, Fingerprint, Fulfilment, Product, TestCalls};
pub use self::rules::{
    ExtendParamsError, Jobs, Lifecycle, MissingDepartments, PayloadCandidate, RefreshUnfreezes, Signature, TimeZone,
    UnknownCode,
};
pub use self::secrets::{PrivateKeyFile, exposed};
use self::section::{Log, Section, Surroundings};
pub use self::shown::{Origin, Setting, Value};
pub use self::template::{PlaceholderValues, Template, TemplateError};
pub use self::units::{DurationText, SizeText, parse_duration, parse_size};
use crate::kind::Kind;

/// Everything the user can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The public listener.
    pub server: Server,
    /// The SQLite file.
    pub database: Database,
    /// The keys.
    pub keys: Keys,
    /// How signatures are checked.
    pub signature: Signature,
    /// What calls do to an instance.
    pub lifecycle: Lifecycle,
    /// The work in the background.
    pub jobs: Jobs,
    /// The operator's listener, if there is one.
    pub admin: Option<Admin>,
    /// The login helper, if it is wanted.
    pub login: Option<Login>,
    /// How KooGallery is called, if it is.
    pub open_api: Option<OpenApi>,
    /// Who is told when something is wrong, if anybody is.
    pub alerts: Option<Alerts>,
    /// At least one; the first that matches wins.
    pub products: Vec<Product>,
    /// What works but should be known.
    pub warnings: Vec<ConfigWarning>,
    /// Every value in effect, and where it comes from.
    pub settings: Vec<Setting>,
}

impl Config {
    /// Reads a configuration file. Relative paths in it start from its own folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let (text, mode) = read_file(path).map_err(|error| ConfigErrors {
            file: file.clone(),
            errors: vec![ConfigError { line: None, key: String::new(), problem: Problem::Unreadable(error) }],
        })?;
        if secrets::is_changeable(mode) {
            let problem = SecretProblem::Changeable { file: file.clone(), mode: mode & 0o777 }.into();
            return Err(ConfigErrors { file, errors: vec![ConfigError { line: None, key: String::new(), problem }] });
        }
        let base_dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let surroundings = Surroundings { file: file.clone(), base_dir, environment };
        let (mut config, holds_secrets) = Self::read(&text, &surroundings)?;
        if let Some(advice) = secrets::exposed(mode).filter(|_| holds_secrets) {
            let message = format!("it holds secrets and {advice}");
            config.warnings.push(ConfigWarning { file, line: None, key: String::new(), message });
        }
        Ok(config)
    }

    /// The files besides the configuration that hold secrets.
    pub fn secret_files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let named = self.settings.iter().filter_map(|setting| match &setting.origin {
            Origin::File(path, _) => Some(path.clone()),
            _ => None,
        });
        named.chain(self.keys.kit_private_keys.iter().map(|key| key.path.clone()))
    }

    /// Reads a configuration from its text; messages call it `koogate.toml`.
    ///
    /// # Errors
    ///
    /// With everything that is wrong in it.
    pub fn from_toml(text: &str, base_dir: &Path) -> Result<Self, ConfigErrors> {
        let file = "koogate.toml".to_owned();
        Self::read(text, &Surroundings { file, base_dir: base_dir.to_owned(), environment }).map(|(config, _)| config)
    }

    /// Returns the configuration, and whether secrets stand in the text itself.
    fn read(text: &str, surroundings: &Surroundings) -> Result<(Self, bool), ConfigErrors> {
        let (document, syntax) = DeTable::parse_recoverable(text);
        let mut log = Log::new(text, surroundings);
        log.errors = syntax.iter().map(|error| syntax_error(&log, error)).collect();
        // After a syntax error the rest of the document is guesswork: nothing more is said about it.
        let config = if syntax.is_empty() { Section::root(&mut log, document.get_ref(), read_root) } else { None };
        let Log { mut errors, mut warnings, holds_secrets, settings, .. } = log;
        // In the order of the file; what has no place in it comes last.
        warnings.sort_by_key(|warning| warning.line.unwrap_or(usize::MAX));
        match config {
            Some(config) if errors.is_empty() => Ok((Self { warnings, settings, ..config }, holds_secrets)),
            _ => {
                let place = |error: &ConfigError| {
                    let nowhere = error.line.is_none().then(|| error.key.clone());
                    (error.line.unwrap_or(usize::MAX), nowhere)
                };
                errors.sort_by_cached_key(place);
                Err(ConfigErrors { file: surroundings.file.clone(), errors })
            }
        }
    }
}

/// `None` when something without a default is missing, which is reported.
fn read_root(root: &mut Section<'_, '_>) -> Option<Config> {
    let server = root.section("server", Server::read);
    let database = root.section("database", Database::read);
    let products = read_products(root);
    let sold: Vec<Kind> = products.iter().flatten().map(|product| product.kind).collect();
    let keys = root.section("keys", |section| Keys::read(section, &sold));
    let signature = root.section("signature", Signature::read);
    let lifecycle = root.section("lifecycle", Lifecycle::read);
    let jobs = root.section("jobs", Jobs::read);
    let admin = root.optional_section("admin", Admin::read).flatten();
    let login = root.optional_section("login", Login::read).flatten();
    let open_api = root.optional_section("open_api", OpenApi::read).flatten();
    let alerts = root.optional_section("alerts", Alerts::read).flatten();
    if open_api.is_none() && sold.contains(&Kind::LicenseOnline) {
        let message = "it is missing: online licences (kind \"license-online\") are made, but wait, for they reach \
                       KooGallery by calls to it";
        root.warn_at(None, "open_api", message);
    }
    if login.is_some() && keys.as_ref().is_some_and(|keys| keys.kit.is_empty()) {
        let message =
            "users are refused until KooGallery has said their tenant, with calls under keys.kit: it is missing";
        root.warn("login", message);
    }
    if let Some(admin) = &admin
        && admin.listen == server.listen
        && admin.listen.port() != 0
    {
        root.error("admin", Problem::Contradiction("listens where [server] listens; give it another port".to_owned()));
    }
    Some(Config {
        server,
        database,
        keys: keys?,
        signature,
        lifecycle,
        jobs,
        admin,
        login,
        open_api,
        alerts,
        products: products?,
        warnings: Vec::new(),
        settings: Vec::new(),
    })
}

/// `None` when an entry is unusable, which is reported.
fn read_products(root: &mut Section<'_, '_>) -> Option<Vec<Product>> {
    if !root.has("product") {
        root.error("product", Problem::Missing { expected: "at least one [[product]]".to_owned() });
    }
    let entries = root.sections("product", Product::read);
    let (lines, products): (Vec<usize>, Vec<Option<Product>>) = entries.into_iter().unzip();
    let products: Vec<Product> = products.into_iter().collect::<Option<_>>()?;
    for (index, product) in products.iter().enumerate() {
        if let Some(earlier) = products[..index].iter().position(|earlier| earlier.covers(product)) {
            let message = format!("never used: product[{earlier}] stands before it and matches everything it matches");
            root.warn_at(lines.get(index).copied(), &format!("product[{index}]"), message);
        }
    }
    for (kind, calls) in [
        (Kind::Saas, "a V2 purchase names"),
        (Kind::LicenseCode, "most calls for licence codes name"),
        (Kind::LicenseOnline, "a purchase names"),
    ] {
        let mut entries = products.iter().filter(|product| product.kind == kind).peekable();
        if entries.peek().is_some() && !entries.any(|product| product.matches(kind, None, None)) {
            let message = format!(
                "no entry of kind \"{kind}\" is without product_id and sku_code: {calls} no product, so it would match \
                 nothing and be answered 000005"
            );
            root.warn_at(None, "product", message);
        }
    }
    Some(products)
}

/// The parser's words without its excerpt of the text, which may hold a secret.
fn syntax_error(log: &Log<'_>, error: &toml::de::Error) -> ConfigError {
    ConfigError {
        line: error.span().map(|span| log.line_at(span.start)),
        key: String::new(),
        problem: Problem::Syntax(error.message().to_owned()),
    }
}

fn read_file(path: &Path) -> io::Result<(String, u32)> {
    let mut file = File::open(path)?;
    let mode = secrets::mode_for_others(&file.metadata()?);
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, mode))
}

fn environment(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}
