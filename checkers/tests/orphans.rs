//! Programs do not outlive the process that started them, even if it is killed.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use standfast_checkers::script::{Command, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

const PID_FILE: &str = "STANDFAST_TEST_PID_FILE";
const NOBODY: u32 = 65_534;

/// Not a test of its own: the process that is killed. Runs only when started by the test below.
#[tokio::test]
#[ignore = "started by a_killed_parent_takes_its_programs_with_it"]
async fn parent_that_runs_a_program() {
    let Some(path) = std::env::var_os(PID_FILE) else { return };
    let text = format!("echo $$ > {}; sleep 1000", PathBuf::from(path).display());
    let user = geteuid().is_root().then_some(NOBODY);
    let command = Command::new("/bin/sh").with_arguments(["-c", text.as_str()]).with_identity(user, user);
    run(&command).await.unwrap();
}

fn parent(pid_file: &Path) -> Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "parent_that_runs_a_program"])
        .env(PID_FILE, pid_file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = (0..1000).find_map(|_| {
        look().or_else(|| {
            std::thread::sleep(Duration::from_millis(10));
            None
        })
    });
    assert!(found.is_some(), "{what} did not happen");
    found.unwrap()
}

fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Whoever inherits it may not have buried it yet.
    stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
}

#[test]
fn a_killed_parent_takes_its_programs_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    std::fs::write(&pid_file, "").unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open_to_all).unwrap();
    std::fs::set_permissions(&pid_file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut parent = parent(&pid_file);
    let program = wait_for("the program's start", || {
        let text = std::fs::read_to_string(&pid_file).ok()?;
        text.ends_with('\n').then(|| Pid::from_raw(text.trim().parse().unwrap()))
    });
    assert!(!is_gone(program));
    kill(Pid::from_raw(parent.id().cast_signed()), Signal::SIGKILL).unwrap();
    parent.wait().unwrap();
    wait_for("the program's end", || is_gone(program).then_some(()));
}
