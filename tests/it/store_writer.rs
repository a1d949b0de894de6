//! The single writer's promises, on a core that only counts: nothing is seen or answered before it is durable, nothing
//! that was answered is lost, a full queue says so, and a panic ends one command, not the writer.

use crate::faulty_disk::FaultyDisk;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tollgate::audit::{Chain, FRAME_HEADER, MAX_PAYLOAD, WriterId};
use tollgate::clock::{ClockGuard, ManualClock};
use tollgate::store::CommitFailure;
use tollgate::store::sled::journal::{Appended, Journal, walk};
use tollgate::store::sled::writer::{Core, Decided, Moment, Queue, Settings, Shared, start};

/// Sums up what it is told to add.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<u64>>, Arc<AtomicBool>);

enum Ask {
    Add(u64),
    /// The sum as this batch sees it, and nothing to write.
    Look,
    /// Something that ends its batch.
    Last(u64),
    /// A panic between the journal and the readers.
    BreakMerge,
}

impl Core for Counter {
    type Command = Ask;
    type Answer = u64;
    type Refusal = String;
    type Changes = (u64, bool);

    fn ends_batch(&self, ask: &Ask) -> bool {
        matches!(ask, Ask::Last(_))
    }
    fn is_due(&self, _: jiff::Timestamp) -> bool {
        self.1.load(Ordering::Relaxed)
    }
    fn decide(&mut self, asks: &[Ask], moment: &Moment, payload: &mut Vec<u8>) -> Decided<(u64, bool), u64, String> {
        let before = *self.0.lock().unwrap();
        if asks.is_empty() {
            // what falls due is more than a record takes; zeros that nobody touches cost no memory
            *payload = vec![0; FRAME_HEADER + MAX_PAYLOAD + 1];
            return Decided { changes: Some((before, false)), outcomes: Vec::new() };
        }
        let (mut sum, mut breaks) = (before, false);
        let outcomes = asks
            .iter()
            .map(|ask| match ask {
                Ask::Add(0) => Err(CommitFailure::Refused("nothing to add".to_owned())),
                Ask::Add(more) | Ask::Last(more) => {
                    sum += more;
                    Ok(sum)
                }
                Ask::Look => Ok(sum),
                Ask::BreakMerge => {
                    breaks = true;
                    Ok(sum)
                }
            })
            .collect();
        payload.extend_from_slice(format!("{{\"sum\":{sum},\"seq\":{}}}", moment.seq).as_bytes());
        Decided { changes: (sum != before || breaks).then_some((sum, breaks)), outcomes }
    }
    fn merge(&mut self, (sum, breaks): (u64, bool), _: &Moment, _: &Appended) {
        assert!(!breaks, "ordered");
        *self.0.lock().unwrap() = sum;
    }
}

struct Daemon {
    clock: ManualClock,
    core: Counter,
    queue: Queue<Counter>,
    shared: Arc<Shared>,
    disk: FaultyDisk,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // a test that failed while it held the disk would wait for ever for the writer to end
        self.disk.calm();
    }
}

fn daemon(dir: &Path, disk: &FaultyDisk, settings: Settings) -> Daemon {
    daemon_rolling(dir, disk, settings, 1 << 20)
}

fn daemon_rolling(dir: &Path, disk: &FaultyDisk, settings: Settings, roll_at: u64) -> Daemon {
    let walked = walk(dir, &mut |_, _| Ok(())).unwrap();
    let journal = Journal::open(Arc::new(disk.clone()), dir, &walked, WriterId::from_bytes([1; 16]), roll_at).unwrap();
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
    let core = Counter::default();
    let guard = Arc::new(ClockGuard::new(Arc::new(clock.clone()), None));
    let (queue, shared) = start(core.clone(), journal, guard, settings).unwrap();
    Daemon { clock, core, queue, shared, disk: disk.clone() }
}

fn settings(queue: usize, batch: usize) -> Settings {
    Settings { queue, batch, tick: Duration::from_millis(5) }
}

/// The sums in the journal, in order.
fn sums(dir: &Path) -> Vec<u64> {
    let mut sums = Vec::new();
    walk(dir, &mut |_, frame| {
        let value: serde_json::Value = serde_json::from_slice(&frame.payload.json().unwrap()).unwrap();
        sums.push(value["sum"].as_u64().unwrap());
        Ok(())
    })
    .unwrap();
    sums
}

#[test]
fn nothing_is_seen_or_answered_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let daemon = daemon(dir.path(), &disk, settings(16, 8));
    disk.order(|trouble| trouble.held = true);
    let mut first = daemon.queue.submit(Ask::Add(5));
    disk.until_a_flush_waits();
    assert!(first.try_recv().is_err(), "no answer before the flush");
    assert_eq!(*daemon.core.0.lock().unwrap(), 0, "nothing is seen before the flush");
    assert_eq!(daemon.shared.chain(), Chain::START);
    // what comes meanwhile makes one batch, also what only looks
    let second = daemon.queue.submit(Ask::Add(7));
    let look = daemon.queue.submit(Ask::Look);
    let refused = daemon.queue.submit(Ask::Add(0));
    disk.calm();
    assert_eq!(first.blocking_recv().unwrap(), Ok(5));
    assert_eq!(second.blocking_recv().unwrap(), Ok(12));
    assert_eq!(look.blocking_recv().unwrap(), Ok(12));
    assert_eq!(refused.blocking_recv().unwrap(), Err(CommitFailure::Refused("nothing to add".to_owned())));
    assert_eq!(sums(dir.path()), [5, 12], "one record a batch");
    assert_eq!(daemon.queue.submit(Ask::Look).blocking_recv().unwrap(), Ok(12));
    assert_eq!(sums(dir.path()), [5, 12], "what changes nothing writes nothing");
}

#[test]
fn a_failed_flush_refuses_the_batch_and_the_next_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let daemon = daemon(dir.path(), &disk, settings(16, 8));
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Ok(1));
    disk.order(|trouble| trouble.sync_fails = true);
    let refused = daemon.queue.submit(Ask::Add(10)).blocking_recv().unwrap();
    assert!(matches!(refused, Err(CommitFailure::NotDurable(_))), "{refused:?}");
    assert_eq!(daemon.shared.failure(), None, "a new segment is open");
    assert_eq!(daemon.queue.submit(Ask::Look).blocking_recv().unwrap(), Ok(1), "nothing of it is seen");

    disk.order(|trouble| {
        trouble.write_fails_after = Some(20);
        trouble.create_fails = 2;
    });
    for _ in 0..2 {
        let refused = daemon.queue.submit(Ask::Add(100)).blocking_recv().unwrap();
        assert!(matches!(refused, Err(CommitFailure::NotDurable(_))), "{refused:?}");
        assert!(daemon.shared.failure().is_some(), "reads go on, commits are refused");
    }
    assert_eq!(daemon.queue.submit(Ask::Add(2)).blocking_recv().unwrap(), Ok(3), "it mends itself");
    assert_eq!(daemon.shared.failure(), None);
    daemon.queue.close();
    assert_eq!(sums(dir.path()), [1, 3], "what was refused is dead");
}

#[test]
fn a_full_queue_says_so_and_closing_drains_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let daemon = daemon(dir.path(), &disk, settings(3, 2));
    disk.order(|trouble| trouble.held = true);
    let first = daemon.queue.submit(Ask::Add(1));
    disk.until_a_flush_waits();
    let waiting: Vec<_> = (0..3).map(|_| daemon.queue.submit(Ask::Add(1))).collect();
    assert_eq!(daemon.queue.depth(), 3);
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Err(CommitFailure::Busy));
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| daemon.queue.close());
        disk.calm();
        closing.join().unwrap();
    });
    assert_eq!(first.blocking_recv().unwrap(), Ok(1));
    let sums_answered: Vec<_> = waiting.into_iter().map(|reply| reply.blocking_recv().unwrap().unwrap()).collect();
    assert_eq!(sums_answered, [2, 3, 4], "in the order of arrival");
    assert_eq!(sums(dir.path()), [1, 3, 4], "at most two a batch");
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Err(CommitFailure::Closing));
}

#[test]
fn what_is_late_or_nobody_waits_for_is_not_decided() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let daemon = daemon(dir.path(), &disk, settings(16, 2));
    disk.order(|trouble| trouble.held = true);
    let first = daemon.queue.submit_until(Ask::Add(1), Some(Duration::ZERO));
    disk.until_a_flush_waits();
    let until = |seconds| Some(Duration::from_secs(seconds));
    let late = daemon.queue.submit_until(Ask::Last(10), until(9));
    let just = daemon.queue.submit_until(Ask::Add(100), until(10));
    drop(daemon.queue.submit(Ask::Add(1_000)));
    let gone_and_late: Vec<_> = (0..5).map(|_| daemon.queue.submit_until(Ask::Add(10_000), until(1))).collect();
    let patient = daemon.queue.submit(Ask::Add(2));
    daemon.clock.advance(Duration::from_secs(10));
    disk.calm();
    assert_eq!(first.blocking_recv().unwrap(), Ok(1), "its turn came in time");
    assert_eq!(late.blocking_recv().unwrap(), Err(CommitFailure::Late));
    assert_eq!(just.blocking_recv().unwrap(), Ok(101));
    for reply in gone_and_late {
        assert_eq!(reply.blocking_recv().unwrap(), Err(CommitFailure::Late));
    }
    assert_eq!(patient.blocking_recv().unwrap(), Ok(103));
    assert_eq!(daemon.queue.depth(), 0);
    daemon.queue.close();
    assert_eq!(sums(dir.path()), [1, 103], "one batch of two: the others take no room in it");
}

#[test]
fn some_commands_end_their_batch() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let daemon = daemon(dir.path(), &disk, settings(16, 16));
    disk.order(|trouble| trouble.held = true);
    let mut replies = vec![daemon.queue.submit(Ask::Add(1))];
    disk.until_a_flush_waits();
    replies.extend([Ask::Add(1), Ask::Last(10), Ask::Add(1), Ask::Add(1)].map(|ask| daemon.queue.submit(ask)));
    disk.calm();
    for reply in replies {
        reply.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(sums(dir.path()), [1, 12, 14]);
}

#[test]
fn after_a_panic_behind_the_journal_nothing_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), &FaultyDisk::default(), settings(16, 16));
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Ok(1));
    let broken = daemon.queue.submit(Ask::BreakMerge).blocking_recv();
    assert!(!matches!(broken, Ok(Ok(_))), "no answer that is an allow");
    let after = daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap();
    assert!(matches!(after, Err(CommitFailure::NotDurable(_))), "{after:?}");
    assert!(daemon.shared.failure().is_some());
    daemon.queue.close();
}

/// Returns when it holds, or fails after many looks.
fn soon(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..20_000_000 {
        if holds() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{what}");
}

#[test]
fn what_falls_due_and_is_too_long_for_a_record_is_a_failure_that_shows() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), &FaultyDisk::default(), settings(16, 8));
    daemon.core.1.store(true, Ordering::Relaxed);
    soon("readiness says why", || daemon.shared.failure().is_some_and(|why| why.contains("longer than the journal")));
    daemon.core.1.store(false, Ordering::Relaxed);
    soon("and when it is over", || daemon.shared.failure().is_none());
    assert_eq!(daemon.queue.submit(Ask::Add(5)).blocking_recv().unwrap(), Ok(5));
}

#[test]
fn a_segment_that_could_not_be_followed_is_tried_again_while_nothing_waits() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let daemon = daemon_rolling(dir.path(), &disk, settings(16, 8), 150);
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Ok(1));
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Ok(2));
    disk.order(|trouble| trouble.create_fails = 1_000_000);
    let refused = daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap();
    assert!(matches!(refused, Err(CommitFailure::NotDurable(_))), "{refused:?}");
    assert!(daemon.shared.failure().is_some());
    disk.calm();
    soon("ready again without a command", || daemon.shared.failure().is_none());
    assert_eq!(daemon.queue.submit(Ask::Add(1)).blocking_recv().unwrap(), Ok(3));
    assert_eq!(sums(dir.path()), [1, 2, 3]);
}
