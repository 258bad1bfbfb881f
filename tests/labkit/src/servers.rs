//! What the daemon under test talks to: web servers that behave or not, a mail relay, a UDP echo; and a web client.

use crate::Host;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// What a [`WebServer`] does with a request.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// 200 with this text and a line end, whatever the path.
    Text(String),
    /// The status and the exact body for each path; 404 for others.
    Pages(HashMap<String, (u16, String)>),
    /// Bytes that are no HTTP.
    Garbage,
    /// A proper answer, one byte every 200 ms.
    Drip,
    /// Accepts and says nothing for as long as the client stays.
    Silent,
}

impl Behaviour {
    /// [`Behaviour::Pages`] from a list.
    pub fn pages(pages: &[(&str, u16, &str)]) -> Behaviour {
        let entry = |(path, status, body): &(&str, u16, &str)| ((*path).to_owned(), (*status, (*body).to_owned()));
        Behaviour::Pages(pages.iter().map(entry).collect())
    }
}

/// A web server in a host, each connection in a thread. Dropping it closes the port: connections are then refused.
#[derive(Debug)]
pub struct WebServer {
    listener: TcpListener,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WebServer {
    /// Listens on `address`, for instance `10.0.0.11:80`.
    ///
    /// # Errors
    /// Those of bind.
    pub fn start(host: &Host, address: &str, behaviour: Behaviour) -> io::Result<WebServer> {
        let listener = host.enter(|| TcpListener::bind(address))??;
        let behaviour = Arc::new(Mutex::new(behaviour));
        let requests = Arc::new(AtomicU64::new(0));
        let (accepting, shown, counted) = (listener.try_clone()?, Arc::clone(&behaviour), Arc::clone(&requests));
        let thread = std::thread::spawn(move || serve(&accepting, &shown, &counted));
        Ok(WebServer { listener, behaviour, requests, thread: Some(thread) })
    }

    /// Changes what it does from the next request on.
    pub fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// Connections accepted so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // A listening socket that is shut down wakes its accept(2) with an error.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, behaviour: &Mutex<Behaviour>, requests: &AtomicU64) {
    while let Ok((stream, _)) = listener.accept() {
        requests.fetch_add(1, Ordering::Relaxed);
        let behaviour = behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
        std::thread::spawn(move || respond(&stream, &behaviour));
    }
}

/// Reads one HTTP request from `stream` and does as `behaviour` says.
///
/// # Errors
/// Those of the stream, a silent client included (after 5 s).
pub fn respond(mut stream: &TcpStream, behaviour: &Behaviour) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let path = read_request(stream)?;
    match behaviour {
        Behaviour::Text(text) => stream.write_all(response(200, &format!("{text}\n")).as_bytes()),
        Behaviour::Pages(pages) => {
            let (status, body) = pages.get(&path).cloned().unwrap_or((404, String::new()));
            stream.write_all(response(status, &body).as_bytes())
        }
        Behaviour::Garbage => stream.write_all(&[0xff, 0x00, b'\n', 0x80].repeat(2000)),
        Behaviour::Drip => response(200, "slow").bytes().try_for_each(|byte| {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(&[byte])
        }),
        Behaviour::Silent => {
            stream.set_read_timeout(None)?;
            stream.read(&mut [0]).map(drop)
        }
    }
}

/// The path of a request, read up to its blank line.
fn read_request(stream: &TcpStream) -> io::Result<String> {
    let mut path = String::new();
    for line in BufReader::new(stream).lines().take(100) {
        let line = line?;
        if path.is_empty() {
            line.split(' ').nth(1).unwrap_or("/").clone_into(&mut path);
        }
        if line.is_empty() {
            return Ok(path);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn response(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Lab\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Asks for `path` by a connection of its own from inside `host`; the status and the body.
///
/// # Errors
/// When there is no connection or no whole answer within `limit` (for each step).
pub fn http_get(host: &Host, target: SocketAddr, path: &str, limit: Duration) -> io::Result<(u16, String)> {
    let mut stream = host.enter(|| TcpStream::connect_timeout(&target, limit))??;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let _ = stream.shutdown(Shutdown::Both);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.trim_end().to_owned())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP response: {text:?}"))),
    }
}

/// One mail as it came in.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// The name after `HELO` or `EHLO`.
    pub greeting: String,
    /// `MAIL FROM`, without brackets and parameters.
    pub sender: String,
    /// Every `RCPT TO`.
    pub recipients: Vec<String>,
    /// Headers and body, lines joined by `\n`.
    pub text: String,
}

impl Mail {
    /// A header's value with folded lines joined by a blank, "" when it is absent.
    pub fn header(&self, name: &str) -> String {
        let mut head = self.text.lines().take_while(|line| !line.is_empty());
        let starts = |line: &str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        let Some(first) = head.find(|line| starts(line)) else { return String::new() };
        let first = first.split_once(':').map_or("", |(_, value)| value.trim());
        let folded = head.take_while(|line| line.starts_with([' ', '\t']));
        folded.fold(first.to_owned(), |value, line| value + " " + line.trim())
    }

    /// What follows the blank line.
    pub fn body(&self) -> &str {
        self.text.split_once("\n\n").map_or("", |(_, body)| body)
    }
}

/// A mail relay that accepts everything and keeps it.
#[derive(Debug)]
pub struct MailSink {
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailSink {
    /// Listens on `address` until the program ends.
    ///
    /// # Errors
    /// Those of bind.
    pub fn start(host: &Host, address: &str) -> io::Result<MailSink> {
        let listener = host.enter(|| TcpListener::bind(address))??;
        let mails = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&mails);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = Arc::clone(&keep);
                std::thread::spawn(move || converse(&stream, &keep));
            }
        });
        Ok(MailSink { mails })
    }

    /// The mails so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Their subjects.
    pub fn subjects(&self) -> Vec<String> {
        self.mails().iter().map(|mail| mail.header("Subject")).collect()
    }
}

/// RFC 5321's dialogue, accepting everything.
fn converse(stream: &TcpStream, keep: &Mutex<Vec<Mail>>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = stream;
    answer.write_all(b"220 lab ESMTP\r\n")?;
    let (mut in_data, mut mail) = (false, Mail::default());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match (in_data, line.as_str()) {
            (true, ".") => {
                in_data = false;
                let next = Mail { greeting: mail.greeting.clone(), ..Mail::default() };
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::replace(&mut mail, next));
                answer.write_all(b"250 kept\r\n")?;
            }
            (true, text) => mail.text.extend([text, "\n"]),
            (false, command) => {
                in_data = command.eq_ignore_ascii_case("DATA");
                answer.write_all(reply(command, &mut mail).as_bytes())?;
            }
        }
    }
    Ok(())
}

fn reply(command: &str, mail: &mut Mail) -> &'static str {
    let address = || command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    let upper = command.to_ascii_uppercase();
    if upper.starts_with("HELO ") || upper.starts_with("EHLO ") {
        mail.greeting = command.split_whitespace().nth(1).unwrap_or_default().to_owned();
    } else if upper.starts_with("MAIL FROM") {
        mail.sender = address();
    } else if upper.starts_with("RCPT TO") {
        mail.recipients.push(address());
    }
    match upper.as_str() {
        "DATA" => "354 go on\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 ok\r\n",
    }
}

/// Answers each datagram with a name; closed when dropped.
#[derive(Debug)]
pub struct UdpResponder {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl UdpResponder {
    /// Listens on `address`, which is also the source of the answers.
    ///
    /// # Errors
    /// Those of bind.
    pub fn start(host: &Host, address: &str, name: &str) -> io::Result<UdpResponder> {
        let socket = host.enter(|| UdpSocket::bind(address))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (stop, name) = (Arc::new(AtomicBool::new(false)), name.to_owned());
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopping.load(Ordering::Relaxed) {
                if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(name.as_bytes(), from);
                }
            }
        });
        Ok(UdpResponder { stop, thread: Some(thread) })
    }
}

impl Drop for UdpResponder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
