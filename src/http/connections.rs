//! Open connections: counted, and closed where a client holds on to one without asking anything and without reading what it
//! was answered. The server below closes what never sent its first request, and what is idle between two; a client
//! that has begun its next request and does not end it, or does not read, would stay for ever. And where nearly as many are
//! open as may be, those that were quiet for longest make room for who comes.

use crate::clock::Clock;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use parking_lot::Mutex;
use std::any::Any;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often they are looked through.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who was quiet for less than this need not make room: they may be about to ask.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// All that are open.
#[derive(Debug)]
pub struct Connections {
    clock: Arc<dyn Clock>,
    /// How long one may be quiet, no request of it being answered.
    longest_quiet: Duration,
    /// How many the server takes; those above wait outside.
    most: AtomicUsize,
    open: Mutex<Vec<Weak<Connection>>>,
    count: Arc<AtomicUsize>,
}

/// One of them.
#[derive(Debug)]
pub struct Connection {
    /// The same socket once more, to shut it down with; none where the system had no more to give.
    socket: Option<std::net::TcpStream>,
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// When the last one was answered, in milliseconds of the monotonic clock.
    quiet_since_ms: AtomicU64,
    clock: Arc<dyn Clock>,
    count: Arc<AtomicUsize>,
}

/// A request of a connection is being answered, until this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Connection>);

impl Connections {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>, longest_quiet: Duration) -> Self {
        let most = AtomicUsize::new(usize::MAX);
        Self { clock, longest_quiet, most, open: Mutex::default(), count: Arc::default() }
    }

    /// The server takes so many.
    pub fn at_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes note of a new one, for as long as the server keeps `extensions`.
    pub fn opened(&self, stream: &dyn Any, extensions: &mut Extensions) {
        let stream = stream.downcast_ref::<TcpStream>();
        let socket = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok()).map(std::net::TcpStream::from);
        self.count.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            socket,
            busy: AtomicUsize::new(0),
            quiet_since_ms: AtomicU64::new(ms(self.clock.monotonic())),
            clock: Arc::clone(&self.clock),
            count: Arc::clone(&self.count),
        });
        self.open.lock().push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Looks through them for as long as it is run.
    pub async fn keep_watching(self: Arc<Self>) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            every.tick().await;
            self.close_quiet();
        }
    }

    fn close_quiet(&self) {
        let now = ms(self.clock.monotonic());
        let longest = ms(self.longest_quiet);
        let mut open = self.open.lock();
        open.retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            if connection.quiet_ms(now).is_some_and(|quiet| quiet > longest) {
                metrics::counter!("tollgate_http_stalled_total").increment(1);
                connection.close();
                return false;
            }
            true
        });
        self.make_room(&mut open, now);
    }

    /// Where fewer than an eighth of the places are free, a quarter of them is freed, if so many are quiet.
    fn make_room(&self, open: &mut Vec<Weak<Connection>>, now: u64) {
        let most = self.most.load(Ordering::Relaxed);
        if open.len() <= most - most / 8 {
            return;
        }
        let quiet = |connection: &Weak<Connection>| connection.upgrade()?.quiet_ms(now);
        let mut waits: Vec<u64> = open.iter().filter_map(quiet).filter(|quiet| *quiet >= ms(LEFT_ALONE)).collect();
        waits.sort_unstable_by_key(|quiet| std::cmp::Reverse(*quiet));
        let mut left = (open.len() - (most - most / 4)).min(waits.len());
        let Some(at_least) = left.checked_sub(1).map(|last| waits[last]) else { return };
        open.retain(|one| {
            let Some(connection) = one.upgrade() else { return false };
            let goes = left > 0 && connection.quiet_ms(now).is_some_and(|quiet| quiet >= at_least);
            if goes {
                left -= 1;
                metrics::counter!("tollgate_http_crowded_out_total").increment(1);
                connection.close();
            }
            !goes
        });
    }
}

impl Connection {
    /// For how long it was quiet; none while a request of it is answered.
    fn quiet_ms(&self, now: u64) -> Option<u64> {
        let quiet = now.saturating_sub(self.quiet_since_ms.load(Ordering::Relaxed));
        (self.busy.load(Ordering::Relaxed) == 0).then_some(quiet)
    }

    /// Ends it, whatever waits to be read or written: the server finds it at its end.
    fn close(&self) {
        if let Some(socket) = &self.socket {
            // one that the client has closed already is as good
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Busy {
    /// With the connection that a request came by; none where there is no server around it.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let connection = Arc::clone(request.conn_data::<Arc<Connection>>()?);
        connection.busy.fetch_add(1, Ordering::Relaxed);
        Some(Self(connection))
    }

    /// Ends the connection.
    pub fn close(&self) {
        metrics::counter!("tollgate_http_stalled_total").increment(1);
        self.0.close();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.quiet_since_ms.store(ms(self.0.clock.monotonic()), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
