//! A state directory on a small file system that fills up.

use super::process::Site;
use crate::support::{example, until};
use std::path::PathBuf;
use std::process::Command;

/// A file system in memory, where the tests may mount one. It is unmounted when it is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    /// Takes all but so many bytes.
    fn fill(&self, but: usize) {
        use std::io::Write as _;
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length - but as u64).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_it_says_so_and_goes_on_when_there_is_room() {
    let site = Site::new();
    let Some(disk) = Small::mount(site.state(), 24) else {
        eprintln!("not tested: no file system can be mounted here");
        return;
    };
    let process = site.start();
    let admin = process.admin();
    let mut answered = Vec::new();
    let mut number = 0;
    for round in 0..2 {
        disk.fill(120_000);
        let refused = loop {
            number += 1;
            let ask = example(&format!("full-{number}"), "0");
            let answer = admin.admit(&ask);
            if answer.status() != 200 {
                break answer;
            }
            answered.push((ask, answer.text().to_owned()));
            assert!(number < 5_000, "it fills up");
        };
        refused.problem(503, "store_unavailable");
        let metrics = admin.get("/metrics").expect(200);
        let counted = metrics.text().lines().find(|line| line.starts_with("tollgate_journal_failures_total"));
        assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
        assert!(site.log().contains("could not be made durable"), "{}", site.log());
        let (ask, first) = &answered[0];
        let listed = admin.get("/api/v1/budgets").expect(200);
        assert!(listed["items"].is_array(), "reads go on");
        disk.make_room();
        let again = admin.admit(ask).expect(200);
        assert_eq!(again.text(), first, "round {round}");
        admin.get("/readyz").expect(200);
        disk.fill(0);
        while admin.get("/readyz").status() == 200 {
            number += 1;
            admin.admit(&example(&format!("full-{number}"), "0"));
        }
        disk.make_room();
        // nobody asks for anything but readiness: it finds out by itself
        until("it is ready again", || admin.get("/readyz").status() == 200);
    }
    process.kill();
    site.verify();
    let process = site.start();
    for (ask, answer) in &answered {
        assert_eq!(process.admin().admit(ask).expect(200).text(), answer);
    }
}
