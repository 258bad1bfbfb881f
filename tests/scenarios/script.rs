//! What a scenario is made of.

/// A script and the configurations that it uses.
pub struct Scenario {
    /// Name.
    pub name: &'static str,
    /// Configurations by name; a host starts with the one that bears its own name. `DIR` is the host's directory.
    pub configurations: Vec<(&'static str, String)>,
    /// Steps, separated by semicolons or new lines, see [`crate::stage`].
    pub steps: String,
    /// Parts of lines that differ on purpose: left out on both sides.
    pub known: &'static [&'static str],
    /// Played with one of ours and one keepalived, either way round, instead of with two of ours.
    pub mixed: bool,
}

impl Scenario {
    pub fn new(configurations: Vec<(&'static str, String)>, steps: impl Into<String>) -> Self {
        Self { name: "", configurations, steps: steps.into(), known: &[], mixed: false }
    }

    /// Leaves out lines with these parts, which `docs/vrrp-differences.md` explains.
    pub fn known(mut self, known: &'static [&'static str]) -> Self {
        self.known = known;
        self
    }

    /// One director of ours, one of keepalived's.
    pub fn mixed(mut self) -> Self {
        self.mixed = true;
        self
    }

    /// Every step, without blanks around it.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.split([';', '\n']).map(str::trim).filter(|step| !step.is_empty())
    }
}

/// A whole file with global definitions, blocks before the instance, and an instance.
pub fn file(globals: &str, blocks: &str, instance: &str) -> String {
    format!(
        "global_defs {{\n router_id LAB\n script_user root\n enable_script_security\n{globals}\n}}\n{blocks}\n{instance}\n"
    )
}

/// `VI_1` with VRID 51 on eth0 and 10.77.0.200, with more statements.
pub fn vi_1(priority: u8, rest: &str) -> String {
    instance("VI_1", 51, priority, "10.77.0.200/24", rest)
}

/// An instance on eth0 with addresses.
pub fn instance(name: &str, vrid: u8, priority: u8, addresses: &str, rest: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n advert_int 1\n{rest}\n \
         virtual_ipaddress {{\n{addresses}\n }}\n}}\n"
    )
}

/// One director with these statements.
pub fn alone(rest: &str) -> Vec<(&'static str, String)> {
    vec![("d1", file("", "", &vi_1(150, rest)))]
}

/// Two directors of priority 150 and 100.
pub fn pair(rest: &str) -> Vec<(&'static str, String)> {
    two(&vi_1(150, rest), &vi_1(100, rest))
}

/// Two directors with these instances.
pub fn two(first: &str, second: &str) -> Vec<(&'static str, String)> {
    vec![("d1", file("", "", first)), ("d2", file("", "", second))]
}

/// The start and the end that most scenarios share.
pub fn between(steps: &str) -> String {
    format!("start d1; start d2; 5; vips; {steps}; stop d1; 1.5; stop d2")
}
