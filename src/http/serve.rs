//! Binds the address and serves: `bind`, then `address`, then `run`.

use super::caller::Gate;
use super::config::HttpConfig;
use super::connections::Connections;
use super::edge::{Edge, edge};
use super::{metrics, routes};
use crate::operations::App;
use actix_web::dev::{Server, ServerHandle};
use actix_web::{HttpServer, middleware, web};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Files that the store, the watchers and the listener need.
const FILES_OF_OUR_OWN: usize = 128;

/// A face that is bound, and answers when it is run.
pub struct Bound {
    address: SocketAddr,
    server: Server,
    connections: Arc<Connections>,
}

/// Stops a running face from elsewhere.
#[derive(Clone)]
pub struct Stop(ServerHandle);

impl Stop {
    /// Takes no more connections and answers what is under way.
    pub async fn stop(&self) {
        self.0.stop(true).await;
    }
}

/// Binds the address; port 0 takes a free one.
pub fn bind(app: Arc<App>, config: HttpConfig, listen: &str) -> io::Result<Bound> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    metrics::install();
    let open_metrics = config.public_metrics || address.ip().is_loopback();
    let settings = config.clone();
    let workers = workers(&settings);
    let edge_data = Arc::new(Edge::new(config, Arc::clone(app.guard.clock())));
    let most = most_connections(&settings, workers);
    edge_data.connections.at_most(most.saturating_mul(workers));
    let (connections, watched) = (Arc::clone(&edge_data.connections), Arc::clone(&edge_data.connections));
    let server = HttpServer::new(move || {
        let edge_data = Arc::clone(&edge_data);
        actix_web::App::new()
            .app_data(web::ThinData(Arc::clone(&edge_data)))
            .app_data(web::ThinData(Arc::clone(&app)) as Gate)
            .app_data(metrics::Open(open_metrics))
            .configure(routes::configure)
            .default_service(web::to(routes::nothing_here))
            .wrap(middleware::from_fn(move |request, next| edge(Arc::clone(&edge_data), request, next)))
    })
    .client_request_timeout(Duration::from_millis(settings.header_timeout_ms))
    .keep_alive(Duration::from_secs(settings.keep_alive_s))
    .shutdown_timeout(settings.shutdown_timeout_s)
    .on_connect(move |stream, extensions| connections.opened(stream, extensions))
    .workers(workers)
    .max_connections(most)
    .disable_signals();
    Ok(Bound { address, server: server.listen(listener)?.run(), connections: watched })
}

/// How many threads answer.
fn workers(settings: &HttpConfig) -> usize {
    match settings.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    }
}

/// How many connections a worker takes: never so many that the journal finds no file left to open. One has two: its socket,
/// and that once more for whoever watches it.
fn most_connections(settings: &HttpConfig, workers: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let possible = files.map_or(usize::MAX, |files| files.saturating_sub(FILES_OF_OUR_OWN) / 2 / workers);
    if possible < settings.max_connections_per_worker {
        tracing::warn!(target: "tollgate::http", files, connections = possible * workers,
            "fewer connections than configured are taken, for this process may open no more files");
    }
    settings.max_connections_per_worker.min(possible.max(8))
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How to stop it from elsewhere.
    pub fn stop_handle(&self) -> Stop {
        Stop(self.server.handle())
    }

    /// Answers until it is stopped.
    pub async fn run(self) -> io::Result<()> {
        let upkeep = tokio::task::spawn(metrics::upkeep());
        let watching = tokio::task::spawn(self.connections.keep_watching());
        let served = self.server.await;
        upkeep.abort();
        watching.abort();
        served
    }
}
