//! The machines and cables of the lab, and the programs on them.

use crate::roles;
use standfast_labkit::servers::MailSink;
use standfast_labkit::{Host, Lab, Process};
use std::io;
use std::path::PathBuf;

pub const VIP: &str = "192.0.2.100";

/// How the directors forward.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Nat,
    Dr,
}

impl Mode {
    pub fn from_name(name: &str) -> Result<Mode, String> {
        match name {
            "nat" | "NAT" => Ok(Mode::Nat),
            "dr" | "DR" => Ok(Mode::Dr),
            other => Err(format!("--mode is nat or dr, not `{other}`")),
        }
    }

    /// The shipped configurations of the two directors.
    fn configurations(self) -> [&'static str; 2] {
        match self {
            Mode::Nat => [include_str!("../nat-director1.conf"), include_str!("../nat-director2.conf")],
            Mode::Dr => [include_str!("../dr-director1.conf"), include_str!("../dr-director2.conf")],
        }
    }

    pub fn picture(self) -> &'static str {
        match self {
            Mode::Nat => NAT_PICTURE,
            Mode::Dr => DR_PICTURE,
        }
    }
}

const NAT_PICTURE: &str = "
                   192.0.2.0/24                     10.20.0.0/24
                        |     .2 [director1] .2          |
  [client] .10 ---------+--                    ----------+--- .11 [web1]
   and mail relay       |     .3 [director2] .3          +--- .12 [web2]
                          VIP .100     gateway .1
";

const DR_PICTURE: &str = "
                   192.0.2.0/24
                        +--- .2 [director1]
  [client] .10 ---------+--- .3 [director2]     VIP .100
   and mail relay       +--- .11 [web1]         VIP on lo
                        +--- .12 [web2]         VIP on lo
";

/// A director and the daemon on it.
pub struct Director {
    pub name: &'static str,
    pub host: Host,
    directory: PathBuf,
    program: PathBuf,
    first_arguments: Vec<String>,
    daemon: Option<Process>,
    _sorry: Process,
}

impl Director {
    pub fn start(&mut self) -> io::Result<()> {
        let mut command = self.host.command(&self.program);
        command.args(&self.first_arguments).args(["-n", "-l", "-D", "-f"]).arg(self.directory.join("keepalived.conf"));
        for (option, file) in [("-p", "parent.pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid")] {
            command.arg(option).arg(self.directory.join(file));
        }
        command.env("NOTIFY_LOG", self.notify_log());
        self.daemon = Some(self.host.start_command(&mut command)?);
        Ok(())
    }

    pub fn daemon(&mut self) -> io::Result<&mut Process> {
        self.daemon.as_mut().ok_or_else(|| io::Error::other(format!("no daemon was started on {}", self.name)))
    }

    pub fn holds_vip(&self) -> bool {
        self.host.has_address("eth0", VIP)
    }

    /// What the notify scripts wrote: `TIME KIND NAME STATE ...`.
    pub fn notifications(&self) -> String {
        std::fs::read_to_string(self.notify_log()).unwrap_or_default()
    }

    pub fn log(&self) -> String {
        self.daemon.as_ref().map(Process::output).unwrap_or_default()
    }

    fn notify_log(&self) -> PathBuf {
        self.directory.join("notify.log")
    }
}

/// A web server: its process can be killed and started again.
pub struct WebServer {
    pub name: &'static str,
    host: Host,
    process: Option<Process>,
}

impl WebServer {
    pub fn start(&mut self) -> io::Result<()> {
        self.process = Some(roles::start_web_server(&self.host, self.name, "0.0.0.0:80")?);
        Ok(())
    }

    pub fn kill(&mut self) {
        self.process = None;
    }
}

/// All of it.
pub struct Network {
    pub client: Host,
    pub directors: [Director; 2],
    pub web: [WebServer; 2],
    pub mail: MailSink,
    _lab: Lab,
}

impl Network {
    pub fn build(mode: Mode, daemon: Option<&str>) -> io::Result<Network> {
        let lab = Lab::new("failover").map_err(io::Error::other)?;
        let client = lab.host("client")?;
        let directors = [director(&lab, mode, 0, daemon)?, director(&lab, mode, 1, daemon)?];
        let web = [web_server(&lab, "web1")?, web_server(&lab, "web2")?];
        let front = lab.switch("front")?;
        front.plug(&client, "eth0")?;
        client.ip("addr add 192.0.2.10/24 dev eth0")?;
        for (director, number) in directors.iter().zip(2..) {
            front.plug(&director.host, "eth0")?;
            director.host.ip(&format!("addr add 192.0.2.{number}/24 dev eth0"))?;
        }
        match mode {
            Mode::Nat => wire_nat(&lab, &directors, &web)?,
            Mode::Dr => wire_dr(&front, &web)?,
        }
        let mail = MailSink::start(&client, "192.0.2.10:25")?;
        Ok(Network { client, directors, web, mail, _lab: lab })
    }
}

fn director(lab: &Lab, mode: Mode, index: usize, daemon: Option<&str>) -> io::Result<Director> {
    let name = ["director1", "director2"][index];
    let host = lab.host(name)?;
    let directory = lab.scratch().join(name);
    std::fs::create_dir(&directory)?;
    lab.file(&format!("{name}/keepalived.conf"), mode.configurations()[index])?;
    lab.script(&format!("{name}/notify.sh"), include_str!("../notify.sh"))?;
    let sorry = roles::start_web_server(&host, "sorry", "0.0.0.0:80")?;
    let (program, first_arguments) = match daemon {
        Some(command) => split(command),
        None => (std::env::current_exe()?, vec!["daemon".to_owned()]),
    };
    Ok(Director { name, host, directory, program, first_arguments, daemon: None, _sorry: sorry })
}

fn split(command: &str) -> (PathBuf, Vec<String>) {
    let mut words = command.split_whitespace();
    (words.next().unwrap_or_default().into(), words.map(str::to_owned).collect())
}

fn web_server(lab: &Lab, name: &'static str) -> io::Result<WebServer> {
    let mut server = WebServer { name, host: lab.host(name)?, process: None };
    server.start()?;
    Ok(server)
}

/// A private network behind the directors; the moving address 10.20.0.1 is the web servers' default gateway.
fn wire_nat(lab: &Lab, directors: &[Director; 2], web: &[WebServer; 2]) -> io::Result<()> {
    let back = lab.switch("back")?;
    for (director, number) in directors.iter().zip(2..) {
        back.plug(&director.host, "eth1")?;
        director.host.ip(&format!("addr add 10.20.0.{number}/24 dev eth1"))?;
        director.host.sysctl("net.ipv4.ip_forward", "1")?;
    }
    for (server, number) in web.iter().zip(11..) {
        back.plug(&server.host, "eth0")?;
        server.host.ip(&format!("addr add 10.20.0.{number}/24 dev eth0"))?;
        server.host.ip("route add default via 10.20.0.1")?;
    }
    Ok(())
}

fn wire_dr(front: &standfast_labkit::Switch, web: &[WebServer; 2]) -> io::Result<()> {
    for (server, number) in web.iter().zip(11..) {
        front.plug(&server.host, "eth0")?;
        server.host.ip(&format!("addr add 192.0.2.{number}/24 dev eth0"))?;
        let mut command = server.host.command("sh");
        command.args(["-c", include_str!("../realserver.sh"), "realserver.sh", "start", VIP]);
        command.env("STATE_DIR", format!("/run/realserver-{}", server.name));
        let finished = server.host.start_command(&mut command)?.finish(std::time::Duration::from_secs(10))?;
        if !finished.status.success() {
            return Err(io::Error::other(format!("realserver.sh failed on {}: {}", server.name, finished.output)));
        }
    }
    Ok(())
}
