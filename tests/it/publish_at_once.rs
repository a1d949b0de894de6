//! Two policy sets that come at once: the one that is in force in the end can be judged by.

use crate::faulty_disk::FaultyDisk;
use crate::support::ADMIN_KEY;
use std::sync::{Arc, Barrier};
use std::time::Duration;
use tollgate::clock::{Clock as _, ManualClock, SystemClock};
use tollgate::config::Config;
use tollgate::operations::{App, Taken, offer_tree};
use tollgate::policy::Tree;
use tollgate::server::{Options, build_on};

/// For so long at most a set is looked for that must not be there.
const LOOKED_FOR: Duration = Duration::from_secs(1);

fn tree(agent: &str) -> Tree {
    Tree::of([
        ("policies/base.rego".to_owned(), "package tollgate.base\n".to_owned()),
        ("policies/agents/a.rego".to_owned(), format!("package tollgate.agents.a\n\nallow := {agent}\n")),
    ])
}

/// A tree and the digest of its set.
fn set(number: usize) -> (Tree, String) {
    let tree = tree(&format!("input.action.name == \"{number}\""));
    let digest = tollgate::policy::check(&tree).unwrap().digest().to_owned();
    (tree, digest)
}

/// On a thread of its own, as the watcher of the directory and a request are.
fn offer(app: &Arc<App>, tree: Tree, barrier: Option<Arc<Barrier>>) -> std::thread::JoinHandle<Taken> {
    let app = Arc::clone(app);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        if let Some(barrier) = barrier {
            barrier.wait();
        }
        runtime.block_on(offer_tree(&app, &tree)).unwrap()
    })
}

fn in_force(app: &App) -> String {
    app.read(|state| state.policy_set().unwrap().digest.clone())
}

/// Seen to fail without the lock (`operations/policies.rs`, `publish`): a set that is announced while another one is on its
/// way into force is dropped when that is there, and then comes into force itself.
#[test]
fn two_sets_that_come_at_once_are_taken_one_behind_the_other() {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in tree("true").files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.as_bytes()).unwrap();
    }
    std::fs::create_dir_all(dir.path().join("data")).unwrap();
    let mut config = Config::default();
    config.policy.watch = false;
    let options = Options {
        listen: "127.0.0.1:0".to_owned(),
        state: dir.path().join("state"),
        policies: dir.path().join("policies"),
        data: dir.path().join("data"),
        config,
        admin_key: Some(ADMIN_KEY.to_owned()),
        show_key: false,
        clock: Arc::new(ManualClock::new("2026-11-23T17:00:00Z".parse().unwrap())),
    };
    let disk = FaultyDisk::default();
    let held = disk.clone();
    actix_web::rt::System::new().block_on(async move {
        let server = build_on(options, Box::new(held)).await.unwrap();
        let app = Arc::clone(server.app());
        let ((first, a), (second, b)) = (set(1), set(2));
        disk.order(|trouble| trouble.held = true);
        let first = offer(&app, first, None);
        disk.until_a_flush_waits();
        let second = offer(&app, second, None);
        let clock = SystemClock::new();
        while app.policy.set(&b).is_none() && clock.monotonic() < LOOKED_FOR {
            std::thread::yield_now();
        }
        let early = app.policy.set(&b).is_some();
        disk.calm();
        for (thread, digest) in [(first, &a), (second, &b)] {
            let taken = thread.join().unwrap();
            assert!(matches!(&taken, Taken::Published(head) if head.digest == *digest), "{taken:?}");
        }
        assert!(!early, "the second was on its way before the first was there");
        assert!(app.policy.set(&in_force(&app)).is_some(), "what is in force can be judged by");
        // and whoever comes first
        for round in 0..20 {
            let barrier = Arc::new(Barrier::new(4));
            let offers: Vec<_> =
                (0..4).map(|n| offer(&app, set(10 + 4 * round + n).0, Some(Arc::clone(&barrier)))).collect();
            offers.into_iter().for_each(|thread| drop(thread.join().unwrap()));
            assert!(app.policy.set(&in_force(&app)).is_some(), "round {round}");
        }
    });
}
