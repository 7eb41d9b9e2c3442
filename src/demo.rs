//! `koogate serve --demo`: the whole appliance on 127.0.0.1 with made-up keys, a merchant's application of its own and a
//! simulated KooGallery that walks through every call.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use serde_json::{Value, json};

use crate::commands::output;
use crate::config::Config;
use crate::init::KeyPair;
use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::key::AccessKey;
use crate::run::Server;
use crate::secret::Secret;
use crate::simulate::{
    self, Generation, Kit, KitGenerations, Observed, ObservedDirectory, Observer, Options, Outcome, Target, report,
};
use crate::store::{Store, StoreError, Tx};
use crate::supervisor::Supervisor;

/// The made-up access keys of the demo; good for nothing else.
const BASIC_KEY: &str = "demo-access-key-0000-not-a-secret";
const LICENSE_KEY: &str = "demo-license-key-0000-not-a-secret";
const KIT_KEY: &str = "demo-kit-key-0000-not-a-secret";

/// Opens the demo's status page, and nothing else.
const ADMIN_TOKEN: &str = "demo-admin-token-0000-not-a-secret";

/// The private key that opens the kit's client secrets, made for each demo.
const PRIVATE_KEY_FILE: &str = "kit-private.pem";

/// Made up too.
const SEALING_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Where the demo serves when nobody asked for another port.
const PORT: u16 = 8080;

/// Where its status page is then.
const PAGE_PORT: u16 = 8444;

/// The simulated KooGallery's enterprises have fewer users and departments.
const MOST_ROWS: i64 = 100;

/// Runs the demo until `wait_for_end` returns; `once` ends it after the table.
///
/// # Errors
/// When the demo cannot be set up; a case that fails is exit code 1.
pub fn run(
    port: Option<u16>,
    once: bool,
    wait_for_end: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let folder = Folder::create()?;
    let application = Application::start()?;
    let pair = KeyPair::generate()?;
    write_private(&folder.0.join(PRIVATE_KEY_FILE), &pair.private_key)?;
    let kit = Kit::new(&pair.public_key, KitGenerations::Both)?;
    let config = configure(&folder.0, application.address, [PORT, PAGE_PORT].map(|usual| free_port(port, usual)))?;
    let server = Server::start(&config, Supervisor::default())?;
    let url = format!("http://{}{}", server.address(), config.server.base_path);
    output::line(&format!("koogate {} demo: a simulated KooGallery calls {url}", env!("CARGO_PKG_VERSION")))?;
    let mut accepted = true;
    let generations = Generation::ALL.map(|generation| (generation.title(), generation, None));
    let kit = ("Kit, joint operation, V2 and V1 联营Kit", Generation::default(), Some(&kit));
    for (title, generation, kit) in generations.into_iter().chain([kit]) {
        output::line(&format!("\n== {title}"))?;
        let played = play(&url, server.store(), generation, kit)?;
        output::line(&report::table(&played, output::width()))?;
        accepted &= played.is_success();
    }
    if !once {
        output::line(&format!(
            "\nServing on. The production address is {url}, its access keys\n  \
             {BASIC_KEY} (basic interfaces 基础接口)\n  \
             {LICENSE_KEY} (licences License授权码交付接口)\n  \
             {KIT_KEY} (joint operation 联营SaaS同步接口)\n\
             The status page is {page}, its token {ADMIN_TOKEN} 状态页\n\
             Look around in another terminal:\n  {koogate} --config {toml} exchange list\n  \
             {koogate} --config {toml} instance list\n  {koogate} --config {toml} license list\n  \
             {koogate} --config {toml} tenant list\n\
             The database is {db} (any sqlite3 shell opens it).\n\
             Ctrl-C ends the demo and removes everything. 演示仍在运行，按 Ctrl-C 结束并清除全部数据。",
            // As it was called: nothing is installed where the demo was built from source.
            koogate = std::env::args().next().unwrap_or_else(|| "koogate".to_owned()),
            page = server.admin_address().map(|address| format!("http://{address}/")).unwrap_or_default(),
            toml = folder.0.join("koogate.toml").display(),
            db = config.database.path.display(),
        ))?;
        wait_for_end()?;
    }
    server.stop()?;
    application.stop();
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::from(crate::commands::EXIT_FAILED) })
}

fn play(url: &str, store: &Store, generation: Generation, kit: Option<&Kit>) -> anyhow::Result<simulate::Report> {
    let key = match (kit, generation.kind()) {
        (Some(_), _) => KIT_KEY,
        (None, Kind::Saas) => BASIC_KEY,
        (None, _) => LICENSE_KEY,
    };
    let named = |key: &str| AccessKey::new("demo".to_owned(), Secret::new(key.to_owned()));
    let others = [BASIC_KEY, LICENSE_KEY, KIT_KEY].map(named).to_vec();
    let target = Target::new(url, named(key), &[])?.with_other_keys(others);
    let records = Records(store);
    let options = Options { real: true, generation, kit, observer: Some(&records), ..Options::default() };
    let mut played = 0;
    let shown = std::io::stderr().is_terminal();
    let report = simulate::run(&target, &options, &mut |case| {
        played += 1;
        if shown {
            let mark = if case.outcome == Outcome::Passed { "ok" } else { "look" };
            // Best effort: the table at the end is what counts.
            let _ = write!(std::io::stderr(), "\r\x1b[K{played} {mark} {}", case.name);
        }
    });
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    Ok(report)
}

/// Lets the simulated KooGallery look into the demo's own records: what a freeze did cannot be seen from outside.
struct Records<'a>(&'a Store);

impl Observer for Records<'_> {
    fn instance(&self, kind: Kind, instance_id: &str) -> Option<Observed> {
        let row = self.0.read(|tx| tx.instance(Environment::Real, kind, instance_id)).ok()??;
        Some(Observed { status: row.life.status.to_string(), expire_time: row.life.expire_time })
    }

    fn directory(&self, tenant_id: &str, app_id: &str) -> Option<ObservedDirectory> {
        self.0.read(|tx| directory(tx, tenant_id, app_id)).ok()
    }
}

fn directory(tx: &Tx<'_>, tenant_id: &str, app_id: &str) -> Result<ObservedDirectory, StoreError> {
    let Some(tenant) = tx.tenant(tenant_id)? else { return Ok(ObservedDirectory::default()) };
    let is_bound = !tx.bindings_of(tenant.row)?.is_empty();
    let client = tx.client_of(tenant.row, app_id)?;
    let users = tx.users_of(tenant.row, None, MOST_ROWS)?;
    let departments = tx.departments_of(tenant.row, None, MOST_ROWS)?;
    Ok(ObservedDirectory {
        domain: tenant.domain_name.filter(|_| is_bound),
        client_secret: client.map(|(_, secret)| secret),
        users: users.into_iter().map(|user| (user.user_name, user.enabled && user.authorised)).collect(),
        departments: departments.into_iter().map(|found| (found.org_code, found.parent_code)).collect(),
    })
}

fn configure(folder: &Path, application: SocketAddr, [port, page_port]: [u16; 2]) -> anyhow::Result<Config> {
    let product = |kind: &Kind| {
        format!("[[product]]\nkind = \"{kind}\"\nfulfilment = \"http\"\nurl = \"http://{application}/koogate\"\n")
    };
    let products: String = Kind::ALL.iter().map(product).collect();
    let text = format!(
        "# The demo's configuration: made-up keys, removed when the demo ends.\n\
         [server]\nlisten = \"127.0.0.1:{port}\"\n\
         [database]\npath = \"koogate.db\"\n\
         [keys]\nbasic = \"{BASIC_KEY}\"\nlicense = \"{LICENSE_KEY}\"\nkit = \"{KIT_KEY}\"\n\
         kit_private_keys = [\"{PRIVATE_KEY_FILE}\"]\nsealing_key = \"{SEALING_KEY}\"\n\
         [admin]\nlisten = \"127.0.0.1:{page_port}\"\ntoken = \"{ADMIN_TOKEN}\"\n\
         [jobs]\nworkers = 8\n{products}"
    );
    let path = folder.join("koogate.toml");
    write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Config::load(&path).map_err(|errors| anyhow::anyhow!("the demo's configuration is wrong:\n{errors}"))
}

/// The usual port if it is free, or 0: any. Whoever asks for a port may run several demos, and gets the page anywhere.
fn free_port(asked: Option<u16>, usual: u16) -> u16 {
    match asked {
        Some(asked) if usual == PORT => asked,
        Some(_) => 0,
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).map_or(0, |_| usual),
    }
}

/// The demo's merchant: an application that says "ready" to everything, as a merchant's would over HTTP.
struct Application {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Application {
    fn start() -> anyhow::Result<Self> {
        let server = tiny_http::Server::http((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| anyhow::anyhow!("cannot start the demo's application: {error}"))?;
        let address = server.server_addr().to_ip().context("the demo's application has no address")?;
        let server = Arc::new(server);
        let serving = Arc::clone(&server);
        let thread = std::thread::Builder::new().name("demo-application".to_owned()).spawn(move || {
            for mut request in serving.incoming_requests() {
                let event: Value = serde_json::from_reader(request.as_reader()).unwrap_or_default();
                let answer = tiny_http::Response::from_string(answer_to(&event).to_string());
                // koogate tries again when it does not get the answer.
                let _ = request.respond(answer);
            }
        })?;
        Ok(Self { server, address, thread })
    }

    fn stop(self) {
        self.server.unblock();
        if self.thread.join().is_err() {
            log::error!("the demo's application had panicked");
        }
    }
}

fn answer_to(event: &Value) -> Value {
    let id = event["instanceId"].as_str().unwrap_or_default();
    match event["event"].as_str() {
        Some("instance.create") => json!({
            "status": "ready",
            "access": {
                "frontEndUrl": format!("https://app.example.com/{id}"),
                "adminUrl": "https://app.example.com/admin",
                "userName": "admin",
                "password": "made-up-password",
                "memo": "演示实例 / a demo instance",
            },
        }),
        Some("license.issue") => {
            // Made of the operation's id: the same request must always lead to the same licence.
            let operation = event["operationId"].as_str().unwrap_or_default();
            json!({ "status": "ready", "license": format!("DEMO-{}", operation.to_uppercase()) })
        }
        _ => json!({ "status": "ready" }),
    }
}

/// A folder that goes away with the demo.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("koogate-demo-{}", uuid::Uuid::new_v4().simple()));
        let created = std::fs::DirBuilder::new().mode(0o700).create(&path);
        created.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
