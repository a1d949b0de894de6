//! The files of a state directory as the command line sees them: checked, exported, backed up, restored; and files that
//! an earlier Tollgate wrote.

use crate::store_asks::{admit, commit, decided, envelope, furnish, hold_of, settle};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tollgate::admission::Decision;
use tollgate::cli::{audit, backup, restore};
use tollgate::clock::ManualClock;
use tollgate::decide::Command;
use tollgate::store::sled::journal::segments;
use tollgate::store::sled::{Settings, Sled};
use tollgate::store::{Store, read};

fn open(state: &Path) -> Sled {
    let mut settings = Settings::new(state);
    settings.segment_bytes = 3000;
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
    Sled::open(&settings, Arc::new(clock)).unwrap().0
}

fn fill(store: &Sled) {
    furnish(store);
    let first = decided(store, admit("rfq-draft", "run-17/price-lookup/1", "0.42"));
    decided(store, admit("rfq-draft", "run-17/price-lookup/2", "4.60"));
    commit(store, settle(hold_of(&first), "0.40")).unwrap();
    store.put_blob(&format!("sha256:{}", tollgate::audit::Digest::of(b"package x")), b"package x").unwrap();
}

/// What `audit verify` says, and its exit code.
fn verify(state: &Path, head: Option<&str>) -> (u8, String) {
    let args = audit::VerifyArgs { state: state.to_owned(), head: head.map(|head| head.parse().unwrap()), json: false };
    let mut out = Vec::new();
    let code = audit::run(&audit::AuditArgs { command: audit::AuditCommand::Verify(args) }, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

fn export(state: &Path, since: Option<&str>) -> Vec<serde_json::Value> {
    let since = since.map(|since| since.parse().unwrap());
    let args = audit::ExportArgs { state: state.to_owned(), since, until: None, format: audit::Format::Jsonl };
    let mut out = Vec::new();
    audit::run(&audit::AuditArgs { command: audit::AuditCommand::Export(args) }, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn verify_says_what_is_there_also_beside_a_running_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    let early = store.status().head;
    decided(&store, admit("rfq-draft", "more", "0.01"));
    let (code, text) = verify(dir.path(), Some(&early));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&store.status().head) && text.contains("records   6"), "{text}");
    assert!(text.contains("blobs     2") && text.contains("is in it"), "{text}");
    let (code, text) = verify(dir.path(), Some(&"7".repeat(64)));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("an end was cut off"), "{text}");
    // what stands before the first record is nobody's hash
    assert_eq!(verify(dir.path(), Some(&"0".repeat(64))).0, 1);
    let empty = tempfile::tempdir().unwrap();
    drop(open(empty.path()));
    assert_eq!(verify(empty.path(), Some(&"0".repeat(64))).0, 0);
}

#[test]
fn a_policy_set_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    let text = "package x";
    let address = |text: &str| format!("sha256:{}", tollgate::audit::Digest::of(text.as_bytes()));
    let manifest = serde_json::json!({"files": {"policies/x.rego": address(text)}}).to_string();
    let set = address(&manifest);
    store.put_blob(&set, manifest.as_bytes()).unwrap();
    commit(&store, envelope(Command::PublishPolicySet { digest: set.clone(), reason: None })).unwrap();
    drop(store);
    assert_eq!(verify(dir.path(), None).0, 0);
    let blob = |address: &str| dir.path().join("blobs").join(&address[7..9]).join(&address[7..]);
    fs::remove_file(blob(&address(text))).unwrap();
    let (code, said) = verify(dir.path(), None);
    assert!(code == 1 && said.contains("policies/x.rego") && said.contains(&set), "{said}");
    fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    let (code, said) = verify(dir.path(), None);
    assert!(code == 1 && said.contains(&set) && said.contains(crate::store_asks::POLICY_SET), "{said}");
}

#[test]
fn a_cut_end_is_seen_by_the_head_noted_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    let head = store.status().head;
    drop(store);
    let (_, last) = segments(&dir.path().join("journal")).unwrap().pop().unwrap();
    fs::remove_file(last).unwrap();
    let (code, text) = verify(dir.path(), None);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("its end was cut off"), "the mark of what was durable says more: {text}");
    fs::remove_file(dir.path().join("journal/durable")).unwrap();
    assert_eq!(verify(dir.path(), None).0, 0, "without the head nobody can see it");
    assert_eq!(verify(dir.path(), Some(&head)).0, 1);
}

#[test]
fn verify_names_every_changed_byte() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store);
    drop(store);
    let mut files: Vec<PathBuf> =
        segments(&dir.path().join("journal")).unwrap().into_iter().map(|(_, path)| path).collect();
    assert!(files.len() > 1, "several segments");
    files.push(dir.path().join("journal/durable"));
    files.push(
        fs::read_dir(dir.path().join("blobs/"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find_map(|folder| fs::read_dir(folder).unwrap().next().map(|entry| entry.unwrap().path()))
            .unwrap(),
    );
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for position in (0..bytes.len()).step_by(if bytes.len() < 100 { 1 } else { 23 }) {
            let mut changed = bytes.clone();
            changed[position] ^= 2;
            fs::write(&path, &changed).unwrap();
            let (code, text) = verify(dir.path(), None);
            assert_eq!(code, 1, "{name}, byte {position}: {text}");
            assert!(text.contains(name), "{name}, byte {position}: {text}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(verify(dir.path(), None).0, 0);
}

#[test]
fn verify_cannot_tell_of_what_it_cannot_read() {
    let args = audit::VerifyArgs { state: "/nowhere".into(), head: None, json: false };
    let args = audit::AuditArgs { command: audit::AuditCommand::Verify(args) };
    assert!(audit::run(&args, &mut Vec::new()).is_err(), "exit code 2");
}

#[test]
fn a_backup_of_a_running_daemon_restores() {
    let dir = tempfile::tempdir().unwrap();
    let (state, copy, again) = (dir.path().join("state"), dir.path().join("copy"), dir.path().join("again"));
    let store = open(&state);
    fill(&store);
    fs::write(state.join("mask.key"), [7; 32]).unwrap();
    // a record that is being written while the copy is made
    let (_, last) = segments(&state.join("journal")).unwrap().pop().unwrap();
    let whole = fs::read(&last).unwrap();
    fs::write(&last, [&whole[..], &whole[96..140]].concat()).unwrap();
    let run_backup = |to: &Path| {
        let args = backup::BackupArgs { state: state.clone(), to: to.to_owned() };
        backup::run(&args, &mut Vec::new())
    };
    assert_eq!(run_backup(&copy).unwrap(), 0);
    fs::write(&last, &whole).unwrap();
    let head = store.status().head;
    decided(&store, admit("rfq-draft", "later", "0.01"));
    assert!(run_backup(&copy).unwrap_err().to_string().contains("not empty"));

    let run_restore = |to: &Path| {
        let args = restore::RestoreArgs { from: copy.clone(), state: to.to_owned() };
        restore::run(&args, &mut Vec::new())
    };
    assert_eq!(run_restore(&again).unwrap(), 0);
    assert!(run_restore(&again).unwrap_err().to_string().contains("not empty"));
    assert_eq!(fs::read(again.join("mask.key")).unwrap(), [7; 32]);
    let restored = open(&again);
    assert_eq!(restored.status().head, head);
    let first = decided(&store, admit("rfq-draft", "run-17/price-lookup/1", "0.42"));
    let same = decided(&restored, admit("rfq-draft", "run-17/price-lookup/1", "0.42"));
    assert_eq!(first.answer.get(), same.answer.get());
    drop(restored);

    // what happened to the backup since is noticed
    let (_, path) = segments(&copy.join("journal")).unwrap().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    assert_eq!(run_restore(&dir.path().join("third")).unwrap(), 1, "a cut end");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(run_restore(&dir.path().join("third")).unwrap(), 0);
}

const GOLDEN_CHECKPOINT: u64 = 10;
const GOLDEN_HEAD: &str = "6325761ac39484e5f1b564173624895e23ce575ab0d8d51a79a486b8acc380f4";
const GOLDEN_ADMISSION: &str = "adm_01m844dzg0000000000c000wzd";

/// An admission in the second format's journal.
const GOLDEN_ADMISSION_OF_2: &str = "adm_01m844dzg0000000000w000wzd";

/// The set that the first format's files name.
const GOLDEN_POLICY_SET: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// What was kept of the first format is a journal, without the policy set that it names.
fn only_the_set_is_missing((code, text): &(u8, String)) {
    let said = (*code, text.matches("DAMAGED").count(), text.contains("manifest is not in blobs"));
    assert_eq!(said, (1, 1, true), "{text}");
}

/// A journal that the first format's Tollgate wrote. It is never made anew: another format gets another file.
#[test]
fn format_version_1_is_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1");
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    fs::create_dir(&journal).unwrap();
    for entry in fs::read_dir(&golden).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), journal.join(entry.file_name())).unwrap();
    }
    only_the_set_is_missing(&verify(dir.path(), Some(GOLDEN_HEAD)));
    let ops: Vec<String> = export(dir.path(), None).iter().map(|e| e["op"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ops, ["policy_set.publish", "budget.create", "admit", "admit", "hold.settle"]);
    assert_eq!(export(dir.path(), Some("2026-11-23T12:00:01Z")).len(), 0);

    let store = open(dir.path());
    let first = decided(&store, admit("rfq-draft", "run-17/price-lookup/1", "0.42"));
    assert_eq!((first.id.as_str(), first.decision), (GOLDEN_ADMISSION, Decision::Allow));
    let denied = decided(&store, admit("rfq-draft", "run-17/price-lookup/2", "4.60"));
    assert_eq!(denied.codes, ["budget_exceeded"]);
    let spent = read(&store, |state| {
        state.accounts_of(&"daily".parse().unwrap()).map(|account| account.sums.spent.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(spent, ["0.40"]);
    assert_eq!(read(&store, |state| state.policy_set().map(|set| set.by.name.clone())).as_deref(), Some("mia"));
}

/// A journal that begins in the first format and goes on in the second, as one does that was upgraded. Never made anew.
#[test]
fn format_version_2_is_read_behind_version_1() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v2");
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    fs::create_dir(&journal).unwrap();
    for entry in fs::read_dir(&golden).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), journal.join(entry.file_name())).unwrap();
    }
    let versions: Vec<u8> = segments(&journal).unwrap().iter().map(|(_, path)| fs::read(path).unwrap()[12]).collect();
    assert_eq!(versions, [1, 1, 2]);
    let last = fs::read(&segments(&journal).unwrap().last().unwrap().1).unwrap();
    assert!(!String::from_utf8_lossy(&last).contains("price-lookup/3\",\"decision"), "what it holds is packed");
    only_the_set_is_missing(&verify(dir.path(), None));
    let ops: Vec<String> = export(dir.path(), None).iter().map(|e| e["op"].as_str().unwrap().to_owned()).collect();
    let wanted =
        ["policy_set.publish", "budget.create", "admit", "admit", "hold.settle", "policy_set.publish", "admit"];
    assert_eq!(ops, wanted);
    let store = open(dir.path());
    let first = decided(&store, admit("rfq-draft", "run-17/price-lookup/3", "0.42"));
    assert_eq!((first.id.as_str(), first.decision), (GOLDEN_ADMISSION_OF_2, Decision::Allow));
    let spent = read(&store, |state| {
        let sums = |account: &tollgate::budget::Account| format!("{} {}", account.sums.spent, account.sums.held);
        state.accounts_of(&"daily".parse().unwrap()).map(sums).collect::<Vec<_>>()
    });
    assert_eq!(spent, ["0.40 0.42"]);
}

/// A checkpoint that the first format's Tollgate wrote, and the journal that it was made of. Never made anew either.
#[test]
fn checkpoint_format_version_1_is_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoint-v1");
    let dir = tempfile::tempdir().unwrap();
    for folder in ["journal", "checkpoints"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        for entry in fs::read_dir(golden.join(folder)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
        }
    }
    only_the_set_is_missing(&verify(dir.path(), None));
    let mut settings = Settings::new(dir.path());
    settings.keeping.checkpoint_bytes = 64 << 20;
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
    let (store, recovery) = Sled::open(&settings, Arc::new(clock)).unwrap();
    assert_eq!((recovery.checkpoint, recovery.bad_checkpoints.len()), (Some(GOLDEN_CHECKPOINT), 0));
    let told = read(&store, |state| {
        let budget = state.budget(&"daily".parse().unwrap()).unwrap().clone();
        let account = state.accounts_of(budget.id()).next().unwrap().sums;
        let agent = state.agent(&"rfq-draft".parse().unwrap()).unwrap().clone();
        (
            format!("{} {} {}", budget.spec.limit, account.spent, account.held),
            agent.spec.team.clone().map(|team| team.to_string()),
            (state.entity_types().count(), state.pauses().count(), state.api_keys().count(), state.open_holds()),
            state.policy_set().map(|set| set.digest.clone()),
            state.seed("budgets.toml").map(str::to_owned),
        )
    });
    let wanted = (
        "5 0.40 0.50".to_owned(),
        Some("sales".to_owned()),
        (1, 1, 1, 1),
        Some(GOLDEN_POLICY_SET.to_owned()),
        Some("5e".repeat(32)),
    );
    assert_eq!(told, wanted);
    let first = decided(&store, admit("rfq-draft", "settled", "0.42"));
    assert_eq!(first.decided_at.to_string(), "2026-11-23T12:00:00Z");
    assert!(store.status().seq < GOLDEN_CHECKPOINT + 20, "the key is remembered, so nothing was decided anew");
}
