//! koogate's production address on axum: the same dispatcher, the same group-commit writer and the same database behind
//! hyper instead of koogate's own door. What differs in a measurement is the HTTP side alone.
//!
//! The dispatcher blocks until the commit is on disk, so each call runs on tokio's pool for blocking work, as the
//! documentation of tokio asks for; calling the writer from async code would measure another program.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Response, Uri};
use axum::routing::post;
use axum::serve::ListenerExt;
use koogate::config::Config;
use koogate::dispatch::{Dispatcher, Waiters};
use koogate::http::{Method, Request};
use koogate::protocol::basic_v2::BASIC_V2;
use koogate::settings::Settings;
use koogate::store::{self, Role, Store};

fn main() {
    let path = std::env::args().nth(1).expect("the path of a koogate.toml");
    let config = Config::load(path.as_ref()).expect("a configuration");
    let settings = Arc::new(Settings::new(&config).expect("settings"));
    let database = store::Settings { path: config.database.path.clone(), snapshot: config.database.snapshot_path(), commit_batch: config.database.commit_batch };
    let sealing = Arc::new(config.keys.sealing.clone());
    let store = Arc::new(Store::open(&database, Role::Server, sealing).expect("the database"));
    let waiters = Arc::new(Waiters::default());
    let dispatcher = Dispatcher::new(store, settings, waiters, Box::new(|| ())).expect("threads");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(serve(Arc::new(dispatcher), &config));
}

async fn serve(dispatcher: Arc<Dispatcher>, config: &Config) {
    let answer = move |uri: Uri, body: Bytes| {
        let dispatcher = Arc::clone(&dispatcher);
        async move {
            let target = uri.to_string();
            let reply = tokio::task::spawn_blocking(move || {
                let (headers, peer) = (Vec::new(), IpAddr::V4(Ipv4Addr::LOCALHOST));
                let received = Instant::now();
                let method = Method::Post;
                dispatcher.answer(&BASIC_V2, None, Request { method, target, headers, body: body.into(), peer, received })
            });
            let reply = reply.await.expect("an answer");
            let mut response = Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                response = response.header(*name, value);
            }
            response.body(Body::from(reply.body)).expect("a response")
        }
    };
    let router = Router::new().route(&config.server.base_path, post(answer));
    let listener = tokio::net::TcpListener::bind(config.server.listen).await.expect("a listener");
    // The words that the benchmark looks for.
    eprintln!("serves http://{}{}", listener.local_addr().expect("an address"), config.server.base_path);
    // As koogate's door does: answers leave at once.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    axum::serve(listener, router).await.expect("serving");
}
