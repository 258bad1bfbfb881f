use crate::CheckerId;

/// Names one real server of a pool for as long as it lives, also over a reload. The caller chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u64);

/// What a pool is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// The virtual server in keepalived's notation: `[10.0.0.100]:tcp:80`, `FWM 4`.
    pub service: String,
    /// `quorum`: sum of the living servers' weights from which on the service is up.
    pub quorum: u32,
    /// `hysteresis`: the sum must reach quorum + hysteresis to gain, and fall below quorum - hysteresis to lose.
    pub hysteresis: u32,
    /// `rs_init_notifies`: servers that are up from the start are told about, too.
    pub init_notifies: bool,
    /// `omega`: notifications of "down" at the end of the daemon.
    pub omega: bool,
    /// `sorry_server`.
    pub sorry: Option<SorryConfig>,
    /// `real_server` blocks in the order of the file.
    pub servers: Vec<ServerConfig>,
}

/// `sorry_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SorryConfig {
    /// In keepalived's notation: `[10.1.0.4]:tcp:80`.
    pub name: String,
    /// `sorry_server_inhibit`: always in the table, with weight 0 while it does not serve.
    pub inhibit: bool,
}

/// `real_server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Identity.
    pub id: ServerId,
    /// In keepalived's notation: `[10.1.0.1]:tcp:80`.
    pub name: String,
    /// `weight`.
    pub weight: i32,
    /// `inhibit_on_failure`: a failed server stays in the table with weight 0.
    pub inhibit_on_failure: bool,
    /// Its checkers; it is up only while all of them are. Without any it is always up.
    pub checkers: Vec<PoolChecker>,
}

/// A checker as the pool sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolChecker {
    /// Identity, the same as in its [`CheckerSpec`](crate::CheckerSpec).
    pub id: CheckerId,
    /// `alpha`: down until its first success.
    pub alpha: bool,
    /// What is known from the start; `None` where the first attempt must tell.
    pub known: Option<Fact>,
}

impl PoolChecker {
    /// A checker that knows nothing yet.
    pub fn new(id: CheckerId, alpha: bool) -> Self {
        Self { id, alpha, known: None }
    }
}

/// What a checker that makes no attempts (`FILE_CHECK`, `BFD_CHECK`) says about its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// The server may serve.
    pub up: bool,
    /// Added to the server's weight while it is up.
    pub shift: i32,
}
