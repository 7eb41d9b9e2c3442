//! A merchant's endpoint for KooGallery on axum and rusqlite, as one would write it without koogate.
//!
//! `compare-axum one-commit|group-commit PORT [CERTIFICATE.pem KEY.pem]`: how many requests share a commit, where it
//! listens (0: any port), and, with a certificate, HTTPS instead of HTTP. The database is `peer.db` in the working folder.

mod nonces;
mod store;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Response, Uri, header};
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use nonces::Nonces;
use store::{Exchange, Store};
use wire::{Answer, Key, Refusal, Stamp};

const KEY: &str = "11111111-2222-3333-4444-555555555555";

/// So many requests share a commit at most, where they do.
const BATCH: usize = 512;

/// So long a stop waits for requests in flight.
const GRACE: Duration = Duration::from_secs(5);

struct App {
    key: Key,
    nonces: Nonces,
    store: Store,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mode, port, tls) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [mode, port] => (mode, port, None),
        [mode, port, certificate, key] => (mode, port, Some(acceptor(certificate.as_ref(), key.as_ref())?)),
        _ => bail!("usage: compare-axum one-commit|group-commit PORT [CERTIFICATE.pem KEY.pem]"),
    };
    let batch = match mode {
        "one-commit" => 1,
        "group-commit" => BATCH,
        other => bail!("no mode {other}"),
    };
    let port: u16 = port.parse().context("the port")?;
    let key = Key::new(KEY);
    let (store, writer) = Store::open(Path::new("peer.db"), key.clone(), batch)?;
    let app = App { key, nonces: Nonces::default(), store };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(serve(Arc::new(app), port, tls))?;
    // With the last request the last handle on the writer goes: it commits what is queued and closes the database.
    drop(runtime);
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
}

async fn serve(app: Arc<App>, port: u16, tls: Option<TlsAcceptor>) -> anyhow::Result<()> {
    let router = Router::new().route("/saasproduce", post(answer)).with_state(app);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    eprintln!("serves {scheme}://{}/saasproduce", listener.local_addr()?);
    let mut stop = signal(SignalKind::terminate())?;
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Too many open files: some of them will be closed.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = stop.recv() => break,
        };
        tokio::spawn(converse(stream, tls.clone(), router.clone(), connections.watcher()));
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, connections.shutdown()).await;
    Ok(())
}

async fn converse(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    // KooGallery minds the case of Body-Sign.
    http.title_case_headers(true);
    let service = TowerToHyperService::new(router);
    // A connection that breaks concerns nobody else.
    let _ = match tls {
        None => watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await,
            Err(_) => return,
        },
    };
}

async fn answer(State(app): State<Arc<App>>, Query(stamp): Query<Stamp>, uri: Uri, body: Bytes) -> Response<Body> {
    let answer = match produce(&app, &stamp, &uri, body).await {
        Ok(answer) => answer,
        Err(refusal) => app.key.signed(refusal.body().to_owned()),
    };
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("body-sign", answer.body_sign)
        .body(Body::from(answer.body))
        .expect("the signature is plain text")
}

async fn produce(app: &App, stamp: &Stamp, uri: &Uri, body: Bytes) -> Result<Answer, Refusal> {
    let (received_at, nonce) = app.key.verify(stamp, &body)?;
    if !app.nonces.is_new(nonce, received_at) {
        return Err(Refusal::Authentication);
    }
    // From here on the call is authentic, and is recorded whatever becomes of it.
    let work = wire::read(&app.key, &body);
    let request_line = format!("POST {uri}");
    let answer = app.store.run(Exchange { received_at, request_line, body, work }).await.ok_or(Refusal::Internal)?;
    Ok(match answer {
        store::Answered::Signed(answer) => answer,
        store::Answered::Plain(body) => app.key.signed(body),
    })
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
