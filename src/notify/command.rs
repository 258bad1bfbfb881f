//! From a script in the configuration to a command that may run: user, path, permissions.

use crate::users::{self, Account, PREFERRED_USER};
use nix::unistd::{AccessFlags, access};
use standfast_checkers::script;
use standfast_parser::model::{Globals, Script};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const DEFAULT_SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// A command that was checked and can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Absolute program and arguments; never empty.
    pub argv: Vec<String>,
    /// Who runs it.
    pub account: Account,
    /// `set_supplementary_groups`: the other groups of that user.
    pub groups: Vec<u32>,
    /// The command as written, for log lines.
    pub text: String,
}

impl Command {
    /// The same for the runner of the checkers' crate, without a limit of time.
    #[must_use]
    pub fn for_checkers(&self) -> script::Command {
        let program = self.argv.first().cloned().unwrap_or_default();
        let command = script::Command::new(program).with_arguments(self.argv.iter().skip(1).cloned());
        // Setting what is set already would drop supplementary groups, which an unprivileged user namespace forbids.
        if self.account == Account::own() {
            return command;
        }
        command.with_identity(Some(self.account.uid), Some(self.account.gid)).with_groups(self.groups.clone())
    }
}

/// What came of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It may run.
    Ready(Command),
    /// It may not, for the reason in keepalived's words; it is treated as not configured.
    Disabled(Problem),
}

/// Why a script does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no account to run it as.
    #[error("Failed to set default user for notify script {0} - ignoring")]
    NoDefaultUser(String),
    /// Its user or group does not exist.
    #[error("Invalid user/group for notify script {0} - ignoring")]
    BadUser(String),
    /// The file cannot be reached.
    #[error("Script {0} cannot be accessed - {1}")]
    NotAccessible(String, String),
    /// The account may not execute it.
    #[error("WARNING - script '{0}' is not executable for uid:gid {1}:{2} - disabling.")]
    NotExecutable(String, u32, u32),
    /// Somebody but root could change what root would run, and `enable_script_security` is set.
    #[error("Unsafe permissions found for script '{0}' - disabling.")]
    Insecure(String),
}

impl Problem {
    /// Whether permissions are the reason.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        matches!(self, Self::Insecure(_))
    }
}

/// Rules for scripts of one configuration, and what was found while applying them.
#[derive(Debug)]
pub struct ScriptPolicy {
    default_account: Option<Account>,
    security: bool,
    keep_symlinks: bool,
    supplementary: bool,
    outsider: Option<u32>,
    notes: Vec<String>,
    /// Why the default account is not the one that was meant; told with the first script that needs it.
    no_default: Option<String>,
    runs_any: bool,
    run_by_root: bool,
    insecure: bool,
}

impl ScriptPolicy {
    /// `script_user` and `enable_script_security`. Without the former, the user `keepalived_script` or, where scripts are not
    /// secured, the daemon's own account.
    #[must_use]
    pub fn new(globals: &Globals) -> Self {
        let security = globals.enable_script_security;
        let mut policy = Self {
            default_account: None,
            security,
            keep_symlinks: globals.use_symlink_paths,
            supplementary: globals.set_supplementary_groups,
            outsider: users::outsider(),
            notes: Vec::new(),
            no_default: None,
            runs_any: false,
            run_by_root: false,
            insecure: false,
        };
        let account = match &globals.script_user {
            Some(user) => Account::resolve(user),
            None => Account::of_user(PREFERRED_USER),
        };
        policy.default_account = match account {
            Ok(account) => Some(account),
            Err(error) => {
                policy.no_default = Some(error.to_string());
                Some(Account::own()).filter(|_| globals.script_user.is_none() && !security)
            }
        };
        policy
    }

    /// `script_user`, or what stands for it; `None` where that account does not exist.
    #[must_use]
    pub fn default_account(&self) -> Option<Account> {
        self.default_account
    }

    /// Who would run a script, if that account exists.
    #[must_use]
    pub fn account_of(&self, script: &Script) -> Option<Account> {
        self.account(script).ok()
    }

    /// Checks one script.
    pub fn prepare(&mut self, script: &Script) -> Outcome {
        match self.check(script) {
            Ok(command) => Outcome::Ready(command),
            Err(problem) => {
                self.notes.push(problem.to_string());
                Outcome::Disabled(problem)
            }
        }
    }

    /// Checks one script; `None` when there is none or it may not run.
    pub fn prepare_optional(&mut self, script: Option<&Script>) -> Option<script::Command> {
        match self.prepare(script?) {
            Outcome::Ready(command) => Some(command.for_checkers()),
            Outcome::Disabled(_) => None,
        }
    }

    /// Whether root runs a script although scripts are not secured: keepalived's `-t` ends with status 6 then.
    #[must_use]
    pub fn violated(&self) -> bool {
        self.run_by_root && !self.security
    }

    /// What there is to say about the scripts, in keepalived's words, each thing once.
    #[must_use]
    pub fn into_notes(mut self) -> Vec<String> {
        if self.runs_any && !self.security {
            let more = if self.insecure { " There are insecure scripts." } else { "" };
            let text = "SECURITY VIOLATION - scripts are being executed but script_security not enabled.";
            self.notes.push(format!("{text}{more}"));
        }
        let mut said = std::collections::BTreeSet::new();
        self.notes.retain(|note| said.insert(note.clone()));
        self.notes
    }

    fn check(&mut self, script: &Script) -> Result<Command, Problem> {
        if script.user.is_none() {
            self.notes.extend(self.no_default.take());
        }
        let account = self.account(script)?;
        let groups = if self.supplementary { account.groups() } else { Vec::new() };
        let text = script.text.clone();
        let Some((program, arguments)) = script.argv.split_first() else {
            return Err(Problem::NotAccessible(text, "no command".to_owned()));
        };
        if program.starts_with("</") {
            let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.argv.join(" ")];
            return Ok(Command { argv, account, groups, text });
        }
        let found = self.locate(program)?;
        let inaccessible = |error: std::io::Error| Problem::NotAccessible(program.clone(), reason(&error));
        let real = found.canonicalize().map_err(inaccessible)?;
        self.check_permissions(program, &real, account)?;
        let path = if self.keep_symlinks { found } else { real };
        self.runs_any = true;
        self.run_by_root |= account.uid == 0;
        let argv = std::iter::once(path.to_string_lossy().into_owned()).chain(arguments.iter().cloned()).collect();
        Ok(Command { argv, account, groups, text })
    }

    fn account(&self, script: &Script) -> Result<Account, Problem> {
        match &script.user {
            Some(user) => Account::resolve(user).map_err(|_| Problem::BadUser(script.text.clone())),
            None => {
                let program = script.argv.first().unwrap_or(&script.text);
                self.default_account.ok_or_else(|| Problem::NoDefaultUser(program.clone()))
            }
        }
    }

    /// The path of a program; a bare name is searched in PATH.
    fn locate(&mut self, program: &str) -> Result<PathBuf, Problem> {
        let inaccessible = |reason: String| Problem::NotAccessible(program.to_owned(), reason);
        if program.contains('/') {
            return Ok(PathBuf::from(program));
        }
        let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_SEARCH_PATH.into());
        let found =
            std::env::split_paths(&search).map(|directory| directory.join(program)).find(|path| is_program(path));
        let path = found.ok_or_else(|| inaccessible("not found in PATH".to_owned()))?;
        let shown = path.display();
        self.notes.push(format!(
            "WARNING - script `{program}` resolved by path search to `{shown}`. Please specify full path."
        ));
        Ok(path)
    }

    fn check_permissions(&mut self, program: &str, path: &Path, account: Account) -> Result<(), Problem> {
        let metadata = path.metadata().map_err(|error| Problem::NotAccessible(program.to_owned(), reason(&error)))?;
        if !metadata.is_file() || !may_execute(&metadata, path, account) {
            return Err(Problem::NotExecutable(program.to_owned(), account.uid, account.gid));
        }
        if account.uid == 0 && !only_root_can_change(path, self.outsider) {
            self.insecure = true;
            if self.security {
                return Err(Problem::Insecure(program.to_owned()));
            }
            self.notes.push(format!("Unsafe permissions found for script '{program}'."));
        }
        Ok(())
    }
}

fn reason(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Whether the account has execute permission on the file itself. The own account is asked of the kernel, so that access control
/// lists count; for others the mode decides.
fn may_execute(metadata: &Metadata, path: &Path, account: Account) -> bool {
    if account == Account::own() {
        return access(path, AccessFlags::X_OK).is_ok();
    }
    let mode = metadata.mode();
    let needed = if account.uid == 0 {
        0o111
    } else if metadata.uid() == account.uid {
        0o100
    } else if metadata.gid() == account.gid {
        0o010
    } else {
        0o001
    };
    mode & needed != 0
}

/// Whether the file and every directory above it belong to root and nobody else may write to them; a sticky directory is harmless.
///
/// In a user namespace the system's own files belong to an outsider, who is trusted like root.
fn only_root_can_change(path: &Path, outsider: Option<u32>) -> bool {
    let secure = |part: &Path| std::fs::symlink_metadata(part).is_ok_and(|metadata| is_secure(&metadata, outsider));
    path.ancestors().all(secure)
}

fn is_secure(metadata: &Metadata, outsider: Option<u32>) -> bool {
    let mode = metadata.mode();
    let trusted = |number: u32| number == 0 || Some(number) == outsider;
    if !trusted(metadata.uid()) {
        return false;
    }
    let sticky_directory = metadata.is_dir() && mode & STICKY != 0;
    let group_writes = !trusted(metadata.gid()) && mode & GROUP_MAY_WRITE != 0;
    sticky_directory || metadata.is_symlink() || !(group_writes || mode & OTHERS_MAY_WRITE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_parser::model::ScriptUser;
    use std::os::unix::fs::PermissionsExt as _;

    fn script(words: &[&str]) -> Script {
        let argv = words.iter().map(|word| (*word).to_owned()).collect();
        Script { argv, text: words.join(" "), user: None, span: Default::default() }
    }

    fn policy(security: bool, user: Option<&str>) -> ScriptPolicy {
        let script_user = user.map(|user| ScriptUser { user: user.to_owned(), group: None });
        ScriptPolicy::new(&Globals { enable_script_security: security, script_user, ..Globals::default() })
    }

    fn program(directory: &Path, mode: u32) -> String {
        let path = directory.join("x.sh");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_system_program_is_ready_with_its_arguments() {
        let mut policy = policy(true, Some("root"));
        let Outcome::Ready(command) = policy.prepare(&script(&["/bin/echo", "a b"])) else { panic!("disabled") };
        assert!(command.argv[0].starts_with('/') && command.argv[0].ends_with("/echo"), "{command:?}");
        assert_eq!((command.argv[1].as_str(), command.account), ("a b", Account::ROOT));
        assert!(!policy.violated());
        assert_eq!(policy.into_notes(), Vec::<String>::new());
    }

    #[test]
    fn names_are_searched_and_it_is_said() {
        let mut policy = policy(true, Some("root"));
        assert!(matches!(policy.prepare(&script(&["sh"])), Outcome::Ready(_)));
        assert!(policy.into_notes()[0].starts_with("WARNING - script `sh` resolved by path search to `/"));
    }

    #[test]
    fn missing_programs_are_disabled_with_the_systems_reason() {
        let mut policy = policy(false, Some("root"));
        let outcome = policy.prepare(&script(&["/no/such/script.sh"]));
        let Outcome::Disabled(problem) = outcome else { panic!("ready") };
        assert_eq!(problem.to_string(), "Script /no/such/script.sh cannot be accessed - No such file or directory");
        assert!(!policy.violated());
        assert!(matches!(policy.prepare(&script(&["no_such_program_x"])), Outcome::Disabled(_)));
    }

    #[test]
    fn files_that_cannot_be_executed_are_disabled() {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), 0o644);
        let mut policy = policy(false, Some("root"));
        let outcome = policy.prepare(&script(&[&path]));
        assert_eq!(outcome, Outcome::Disabled(Problem::NotExecutable(path, 0, 0)));
    }

    #[test]
    fn what_others_can_write_is_refused_with_security_and_told_without() {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), 0o757);
        let mut secured = policy(true, Some("root"));
        assert_eq!(secured.prepare(&script(&[&path])), Outcome::Disabled(Problem::Insecure(path.clone())));
        let mut open = policy(false, Some("root"));
        assert!(matches!(open.prepare(&script(&[&path])), Outcome::Ready(_)));
        assert!(open.violated());
        let notes = open.into_notes();
        assert_eq!(notes[0], format!("Unsafe permissions found for script '{path}'."));
        assert!(notes[1].ends_with("script_security not enabled. There are insecure scripts."), "{notes:?}");
    }

    #[test]
    fn accounts_that_do_not_exist_disable_scripts() {
        let mut policy = policy(false, Some("no_such_user_x"));
        let echo = script(&["/bin/echo"]);
        assert_eq!(policy.prepare(&echo), Outcome::Disabled(Problem::NoDefaultUser("/bin/echo".into())));
        let user = Some(ScriptUser { user: "no_such_user_y".into(), group: None });
        let outcome = policy.prepare(&Script { user, ..echo });
        assert_eq!(outcome, Outcome::Disabled(Problem::BadUser("/bin/echo".into())));
        assert_eq!(policy.into_notes()[0], "Script user 'no_such_user_x' does not exist");
    }

    #[test]
    fn security_without_an_account_disables_every_script() {
        if Account::of_user(PREFERRED_USER).is_ok() {
            eprintln!("skipped: this machine has the user {PREFERRED_USER}");
            return;
        }
        let mut policy = policy(true, None);
        assert!(matches!(policy.prepare(&script(&["/bin/echo"])), Outcome::Disabled(Problem::NoDefaultUser(_))));
    }

    #[test]
    fn device_redirections_go_through_the_shell() {
        let mut policy = policy(false, Some("root"));
        let Outcome::Ready(command) = policy.prepare(&script(&["</dev/tcp/127.0.0.1/80"])) else { panic!("disabled") };
        assert_eq!(command.argv, ["/bin/sh", "-c", "</dev/tcp/127.0.0.1/80"]);
    }
}
