use crate::process::{Finished, Process, command_in};
use crate::{Unavailable, require_tools, sandbox};
use nix::sched::{CloneFlags, setns, unshare};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const COMMAND_LIMIT: Duration = Duration::from_secs(30);

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A network namespace, alive as long as somebody holds this descriptor or runs in it.
#[derive(Debug)]
pub(crate) struct Namespace(OwnedFd);

impl Namespace {
    fn create() -> io::Result<Namespace> {
        let maker = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(Namespace(File::open("/proc/thread-self/ns/net")?.into()))
        });
        maker.join().map_err(|_| io::Error::other("the thread that makes a namespace panicked"))?
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// A path by which other processes of this PID namespace reach it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    fn join(&self) -> nix::Result<()> {
        setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)
    }
}

/// A set of hosts and their scratch directory. Dropping it (and its hosts and processes) removes all of it.
#[derive(Debug)]
pub struct Lab {
    scratch: PathBuf,
    prefix: String,
    namespaces: Mutex<Vec<Arc<Namespace>>>,
}

impl Lab {
    /// An empty lab. `name` appears in the scratch directory's name.
    ///
    /// # Errors
    /// When there is no right to make network namespaces, `ip` is missing, or the scratch directory cannot be made.
    pub fn new(name: &str) -> Result<Lab, Unavailable> {
        require_tools(&["ip"])?;
        if !sandbox::can_unshare() {
            return Err(Unavailable("network namespaces need root (CAP_SYS_ADMIN) or a sandbox".into()));
        }
        let prefix = unique(name);
        let scratch = sandbox::scratch_root().join(format!("standfast-lab-{prefix}"));
        std::fs::create_dir_all(&scratch)
            .map_err(|e| Unavailable(format!("cannot make {}: {e}", scratch.display())))?;
        Ok(Lab { scratch, prefix, namespaces: Mutex::default() })
    }

    /// A name that no other lab on this machine has.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The scratch directory, removed with the lab.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Writes a file into the scratch directory (mode 0644, so that the configuration checks take it) and tells its path.
    ///
    /// # Errors
    /// Those of [`std::fs::write`].
    pub fn file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.scratch.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// As [`Lab::file`], executable.
    ///
    /// # Errors
    /// Those of [`std::fs::write`].
    pub fn script(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// A host: a network namespace with `lo` up, which lives at least as long as the lab.
    ///
    /// # Errors
    /// When the kernel refuses the namespace or `ip` fails.
    pub fn host(&self, name: &str) -> io::Result<Host> {
        let namespace = Arc::new(Namespace::create()?);
        if let Ok(mut namespaces) = self.namespaces.lock() {
            namespaces.push(Arc::clone(&namespace));
        }
        let host = Host { name: name.into(), namespace, scratch: self.scratch.clone() };
        host.ip("link set lo up")?;
        Ok(host)
    }

    /// A bridge in a namespace of its own; no spanning tree, no multicast snooping, so frames flow at once.
    ///
    /// # Errors
    /// As [`Lab::host`].
    pub fn switch(&self, name: &str) -> io::Result<Switch> {
        let host = self.host(name)?;
        host.ip("link add br0 type bridge stp_state 0 mcast_snooping 0 forward_delay 0")?;
        host.ip("link set br0 up")?;
        Ok(Switch { host, ports: AtomicU32::new(0) })
    }

    /// A veth pair between two hosts, both ends up.
    ///
    /// # Errors
    /// When `ip` fails, for instance because a name is taken.
    pub fn cable(&self, a: &Host, a_interface: &str, b: &Host, b_interface: &str) -> io::Result<()> {
        let peer = b.namespace.path();
        a.ip(&format!("link add name {a_interface} type veth peer name {b_interface} netns {peer}"))?;
        a.ip(&format!("link set {a_interface} up"))?;
        b.ip(&format!("link set {b_interface} up"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

fn unique(name: &str) -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{counter}-{:08x}", std::process::id(), time.subsec_nanos())
}

/// A bridge that hosts are plugged into.
#[derive(Debug)]
pub struct Switch {
    host: Host,
    ports: AtomicU32,
}

impl Switch {
    /// Joins `host` to this switch by an interface called `interface` (in the host). Tells the name of the switch's port.
    ///
    /// # Errors
    /// As [`Lab::cable`].
    pub fn plug(&self, host: &Host, interface: &str) -> io::Result<String> {
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        let peer = self.host.namespace.path();
        host.ip(&format!("link add name {interface} type veth peer name {port} netns {peer}"))?;
        self.host.ip(&format!("link set {port} master br0 up"))?;
        host.ip(&format!("link set {interface} up"))?;
        Ok(port)
    }

    /// The namespace of the bridge: for `tcpdump` on `br0`, or for `link set portN down` (a cut that the host sees as no carrier).
    pub fn host(&self) -> &Host {
        &self.host
    }
}

/// A network namespace with its interfaces.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    namespace: Arc<Namespace>,
    scratch: PathBuf,
}

impl Host {
    /// The name given at its making.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with `arguments` (split at blanks).
    ///
    /// # Errors
    /// With the command and what it wrote, when it fails.
    pub fn ip(&self, arguments: &str) -> io::Result<()> {
        self.run_checked("ip", arguments).map(drop)
    }

    /// Runs `program` with `arguments` (split at blanks) and gives its output.
    ///
    /// # Errors
    /// When it cannot be started, takes more than 30 s, or its exit code is not 0.
    pub fn run_checked(&self, program: &str, arguments: &str) -> io::Result<String> {
        let finished = self.run(program, arguments.split_whitespace())?;
        if finished.status.success() {
            return Ok(finished.output);
        }
        Err(io::Error::other(format!(
            "{}: `{program} {arguments}` failed with code {}: {}",
            self.name,
            finished.code(),
            finished.output.trim()
        )))
    }

    /// Runs `program` with `arguments` to its end; any exit code is fine.
    ///
    /// # Errors
    /// When it cannot be started or takes more than 30 s.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> io::Result<Finished> {
        let log = self.scratch.join(format!("run-{}", COUNTER.fetch_add(1, Ordering::Relaxed)));
        let finished = Process::start(self.command(program).args(arguments), log.clone())?.finish(COMMAND_LIMIT);
        let _ = std::fs::remove_file(log);
        finished
    }

    /// Starts `program` and lets it run; its output goes to a file in the scratch directory.
    ///
    /// It is killed when the returned guard is dropped, and when the calling thread ends: start it from a thread that lives as
    /// long as the program should.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> io::Result<Process> {
        self.start_command(self.command(program).args(arguments))
    }

    /// As [`Host::start`], for a command made by [`Host::command`] and then furnished further.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_command(&self, command: &mut Command) -> io::Result<Process> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Process::start(command, self.scratch.join(format!("{}-{number}.log", self.name)))
    }

    /// A command that will run in this host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        command_in(&self.namespace, program)
    }

    /// Runs `task` in a thread inside this host and waits for it. Sockets made there stay there.
    ///
    /// # Errors
    /// When the namespace cannot be joined.
    ///
    /// # Panics
    /// When `task` panics.
    pub fn enter<T: Send>(&self, task: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.namespace.join()?;
                Ok(task())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread inside this host that lives as long as it likes.
    ///
    /// # Errors
    /// When the thread cannot be made. A namespace that cannot be joined shows when the thread is joined.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<std::thread::JoinHandle<io::Result<T>>> {
        let namespace = Arc::clone(&self.namespace);
        std::thread::Builder::new().name(self.name.clone()).spawn(move || {
            namespace.join()?;
            Ok(task())
        })
    }

    /// Writes a sysctl, for instance `net.ipv4.ip_forward`; dots or slashes.
    ///
    /// # Errors
    /// When there is no such setting or it refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        self.enter(|| std::fs::write(&path, value))?
            .map_err(|e| io::Error::new(e.kind(), format!("{}: sysctl {name}={value}: {e}", self.name)))
    }

    /// The IPv4 and IPv6 addresses of `interface`, each with its prefix length, as `ip -o addr` shows them.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn addresses(&self, interface: &str) -> io::Result<Vec<String>> {
        let listing = self.run_checked("ip", &format!("-o addr show dev {interface}"))?;
        Ok(listing.lines().filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned).collect())
    }

    /// Has `interface` this address (without prefix length)?
    pub fn has_address(&self, interface: &str, address: &str) -> bool {
        let found = self.addresses(interface).unwrap_or_default();
        found.iter().any(|entry| entry.split('/').next() == Some(address))
    }
}
