use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

fn shell(text: &str) -> Command {
    Command::new("/bin/sh").with_arguments(["-c", text])
}

fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

async fn eventually_dead(pid: &str) -> bool {
    for _ in 0..200 {
        if !is_alive(pid) {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn reports_exit_statuses_and_signals() {
    assert_eq!(run(&shell("exit 0")).await.unwrap(), Outcome::Exited(0));
    assert_eq!(run(&shell("exit 255")).await.unwrap(), Outcome::Exited(255));
    assert_eq!(run(&shell("kill -KILL $$")).await.unwrap(), Outcome::Signaled(9));
}

#[tokio::test]
async fn passes_arguments_without_a_shell() {
    let command = Command::new("/usr/bin/test").with_arguments(["a b; exit 1", "=", "a b; exit 1"]);
    assert_eq!(run(&command).await.unwrap(), Outcome::Exited(0));
}

#[tokio::test]
async fn a_missing_program_is_an_error() {
    let error = run(&Command::new("/nonexistent/check")).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn much_output_goes_nowhere() {
    let command = shell("head -c 100000000 /dev/zero; head -c 100000000 /dev/zero >&2");
    assert_eq!(run(&command.with_timeout(Duration::from_secs(20))).await.unwrap(), Outcome::Exited(0));
}

#[tokio::test]
async fn stdin_is_empty_and_nothing_else_is_open() {
    // Not close-on-exec, as a careless library would leave it.
    let leak = nix::unistd::dup(fs::File::open("/dev/null").unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("descriptors");
    let text = format!("read line && exit 1; ls /proc/self/fd > {}", list.display());
    assert_eq!(run(&shell(&text)).await.unwrap(), Outcome::Exited(0));
    // 3 is the directory that ls itself reads.
    let open: Vec<_> = fs::read_to_string(list).unwrap().split_whitespace().map(str::to_owned).collect();
    assert_eq!(open, ["0", "1", "2", "3"]);
    drop(leak);
}

#[tokio::test]
async fn a_hanging_program_ends_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let text = format!("sleep 1000 & echo $! > {}; wait", pids.display());
    let begun = Instant::now();
    let command = shell(&text).with_timeout(Duration::from_millis(300));
    assert_eq!(run(&command).await.unwrap(), Outcome::TimedOut);
    assert!(begun.elapsed() < Duration::from_millis(2200), "SIGTERM was not enough");
    assert!(eventually_dead(&fs::read_to_string(pids).unwrap()).await);
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let text = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", pids.display());
    let begun = Instant::now();
    let command = shell(&text).with_timeout(Duration::from_millis(300));
    assert_eq!(run(&command).await.unwrap(), Outcome::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(2300));
    let pid = fs::read_to_string(pids).unwrap();
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "a zombie is left");
}

#[tokio::test]
async fn giving_up_kills_the_group() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let text = format!("sleep 1000 & echo $! > {}; wait", pids.display());
    let running = tokio::spawn(async move { run(&shell(&text)).await });
    let pid = loop {
        match fs::read_to_string(&pids) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => sleep(Duration::from_millis(5)).await,
        }
    };
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert!(eventually_dead(&pid).await);
}

#[tokio::test]
async fn runs_as_another_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: changing the user needs root");
        return;
    }
    let command = shell("test $(id -u) = 65534 && test $(id -g) = 65534 && test \"$(id -G)\" = 65534");
    assert_eq!(run(&command.with_identity(Some(65534), Some(65534))).await.unwrap(), Outcome::Exited(0));
}

#[tokio::test]
async fn runs_in_a_process_group_of_its_own() {
    let text = "set -- $(cat /proc/$$/stat); test $5 -eq $$";
    assert_eq!(run(&shell(text)).await.unwrap(), Outcome::Exited(0));
}

#[test]
fn programs_are_found_in_path_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("check");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let search = directory.path().as_os_str();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(find_program("check", search, 0, 0), Err(ProgramError::NotExecutable(_))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(find_program("check", search, 0, 0).unwrap(), path);
    assert!(matches!(find_program("check", search, 65534, 65534), Err(ProgramError::NotExecutable(_))));
    assert!(matches!(find_program("chekc", search, 0, 0), Err(ProgramError::NotInPath(_))));
    assert!(matches!(find_program("/nonexistent", search, 0, 0), Err(ProgramError::Unreachable(..))));
    assert!(matches!(find_program("/tmp", search, 0, 0), Err(ProgramError::NotAFile(_))));
    assert!(matches!(find_program("", search, 0, 0), Err(ProgramError::Empty)));
}

#[tokio::test]
async fn supplementary_groups_are_those_that_were_named() {
    if !nix::unistd::geteuid().is_root()
        || !fs::read_to_string("/proc/self/setgroups").is_ok_and(|may| may.trim() == "allow")
    {
        eprintln!("skipped: only root may change groups");
        return;
    }
    let groups = |groups: Vec<u32>, wanted: &str| {
        let text = format!("test \"$(id -u) $(id -G)\" = \"{wanted}\"");
        shell(&text).with_identity(Some(65_534), Some(65_534)).with_groups(groups)
    };
    assert_eq!(run(&groups(vec![65_534, 7, 9], "65534 65534 7 9")).await.unwrap(), Outcome::Exited(0));
    assert_eq!(run(&groups(Vec::new(), "65534 65534")).await.unwrap(), Outcome::Exited(0));
}
