//! Mails: composed as keepalived composes them, sent by tasks that nobody waits for.

use super::tally::{Counters, count};
use lettre::address::Envelope;
use lettre::message::header::{Date, Header, HeaderName, HeaderValue, Headers, Subject};
use lettre::message::{Mailbox, Mailboxes, header};
use lettre::transport::smtp::client::Tls;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use standfast_parser::model::{Globals, SmtpServer};
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// Mails that wait or are being sent; more are dropped and counted.
const QUEUE: usize = 256;
/// Conversations with the mail server at a time.
const PARALLEL: usize = 4;
/// keepalived allows its time-out to every step of the conversation; a whole one has so many.
const STEPS: u32 = 3;

/// RFC 5322 section 2.1.1 allows lines of 998 characters.
const SUBJECT_LIMIT: usize = 900;

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Subject without the router id in brackets.
    pub subject: String,
    /// The one line of the body.
    pub body: String,
}

/// Where mails go; made from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    server: SmtpServer,
    helo: String,
    timeout: Duration,
    router_id: String,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Settings {
    /// `None` unless `smtp_server` and at least one usable `notification_email` are set. Addresses that are none are told.
    #[must_use]
    pub fn new(globals: &Globals, host: &str) -> (Option<Self>, Vec<String>) {
        let mut notes = Vec::new();
        let Some(server) = globals.smtp_server.clone() else { return (None, notes) };
        let mut mailbox = |text: &str| {
            let parsed = parse_mailbox(text, host);
            if parsed.is_none() {
                notes.push(format!("`{text}` is not a mail address - ignoring"));
            }
            parsed
        };
        let to: Vec<Mailbox> =
            join_names(&globals.notification_email).iter().filter_map(|text| mailbox(text)).collect();
        let default_from = format!("root@{host}");
        let from = mailbox(globals.notification_email_from.as_deref().unwrap_or(&default_from));
        let Some(from) = from.filter(|_| !to.is_empty()) else { return (None, notes) };
        let settings = Self {
            server,
            helo: one_line(globals.smtp_helo_name.as_deref().unwrap_or(host)),
            timeout: globals.smtp_connect_timeout,
            router_id: globals.router_id.clone().unwrap_or_else(|| host.to_owned()),
            from,
            to,
        };
        (Some(settings), notes)
    }

    /// The mail as it goes over the wire, without the final dot: headers Date, From, Subject, X-Mailer, To, and one line.
    #[must_use]
    pub fn compose(&self, mail: &Mail, now: SystemTime) -> String {
        let mut headers = Headers::new();
        headers.set(Date::new(now));
        headers.set(header::From::from(Mailboxes::from(self.from.clone())));
        headers.insert_raw(subject(&one_line(&format!("[{}] {}", self.router_id, mail.subject))));
        headers.set(Mailer);
        headers.set(header::To::from(self.to.iter().cloned().collect::<Mailboxes>()));
        format!("{headers}\r\n{}\r\n", one_line(&mail.body))
    }

    async fn send(&self, mail: &Mail) -> Result<(), Failure> {
        let addresses = self.to.iter().map(|mailbox| mailbox.email.clone()).collect();
        let envelope = Envelope::new(Some(self.from.email.clone()), addresses)
            .map_err(|error| Failure::Told(error.to_string()))?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server.host)
            .port(self.server.port)
            .tls(Tls::None)
            .hello_name(ClientId::Domain(self.helo.clone()))
            .timeout(Some(self.timeout))
            .build();
        let message = self.compose(mail, SystemTime::now());
        let conversation = transport.send_raw(&envelope, message.as_bytes());
        match tokio::time::timeout(self.timeout * STEPS, conversation).await {
            Err(_) => Err(Failure::Silent),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Failure {
    /// Nobody is there.
    #[error("no connection within the time-out")]
    Unreachable,
    /// The server took the connection and then nothing more came.
    #[error("it does not answer")]
    Silent,
    /// In the words of the server or the system.
    #[error("{0}")]
    Told(String),
}

impl Failure {
    fn of(error: &lettre::transport::smtp::Error) -> Self {
        // The library tells apart the two kinds of errors of the network by their words only.
        let connecting = error.to_string().starts_with("Connection error");
        match error.is_timeout() {
            true if connecting => Self::Unreachable,
            true => Self::Silent,
            false => Self::Told(with_source(error)),
        }
    }
}

fn with_source(error: &lettre::transport::smtp::Error) -> String {
    let text = error.to_string();
    match error.source().map(ToString::to_string) {
        Some(source) if !text.contains(&source) => format!("{text}: {source}"),
        _ => text,
    }
}

/// keepalived never folds its subjects, and filters look for them in one line; only what must be encoded is.
fn subject(text: &str) -> HeaderValue {
    if text.is_ascii() && text.len() < SUBJECT_LIMIT {
        return HeaderValue::dangerous_new_pre_encoded(Subject::name(), text.to_owned(), text.to_owned());
    }
    Subject::from(text.to_owned()).display()
}

/// The configuration's words make recipients; `Ops Team <ops@example.net>` without quotes is three words and one recipient.
fn join_names(words: &[String]) -> Vec<String> {
    let mut recipients: Vec<String> = Vec::new();
    let mut name: Vec<String> = Vec::new();
    for word in words {
        if word.contains('@') {
            if word.starts_with('<') {
                name.push(word.clone());
                recipients.push(std::mem::take(&mut name).join(" "));
                continue;
            }
            recipients.append(&mut name);
            recipients.push(word.clone());
        } else {
            name.push(word.clone());
        }
    }
    recipients.append(&mut name);
    recipients
}

/// `a@b`, `Name <a@b>`, or a bare local name, which is completed with the host.
fn parse_mailbox(text: &str, host: &str) -> Option<Mailbox> {
    let text = text.trim();
    if text.contains(char::is_control) {
        return None;
    }
    if let Ok(mailbox) = text.parse() {
        return Some(mailbox);
    }
    if let Ok(email) = Address::new(text, host) {
        return Some(Mailbox::new(None, email));
    }
    // A display name with characters that would need quotes, as people write it.
    let (name, address) = text.strip_suffix('>')?.rsplit_once('<')?;
    Some(Mailbox::new(Some(name.trim().to_owned()), address.parse().ok()?))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Debug, Clone)]
struct Mailer;

impl Header for Mailer {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-Mailer")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "Keepalived".to_owned())
    }
}

/// Sends mails one after another, a few side by side. Needs a tokio runtime with I/O and time.
#[derive(Debug)]
pub struct Postman {
    queue: mpsc::Sender<(Arc<Settings>, Mail)>,
    office: tokio::task::JoinHandle<()>,
    dropped: Arc<AtomicU64>,
    counters: Arc<Counters>,
}

impl Default for Postman {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Postman {
    /// Starts its task on the current runtime; what becomes of the mails is counted.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        let office = tokio::spawn(office(receiver, Arc::clone(&dropped), Arc::clone(&counters)));
        Self { queue, office, dropped, counters }
    }

    /// Queues a mail, or drops it when the mail server is so slow that the queue is full.
    pub fn send(&self, settings: &Arc<Settings>, mail: Mail) {
        if self.queue.try_send((Arc::clone(settings), mail)).is_ok() {
            return;
        }
        count(&self.counters.mails_failed);
        if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!("{QUEUE} mails wait for the mail server - further ones are dropped");
        }
    }

    /// Takes no more mails and gives those that wait a last chance; true when none is left.
    pub async fn finish(self, patience: Duration) -> bool {
        let Self { queue, mut office, .. } = self;
        drop(queue);
        let settled = tokio::time::timeout(patience, &mut office).await.is_ok();
        office.abort();
        settled
    }
}

async fn office(mut queue: mpsc::Receiver<(Arc<Settings>, Mail)>, dropped: Arc<AtomicU64>, counters: Arc<Counters>) {
    let desks = Arc::new(Semaphore::new(PARALLEL));
    let conversations = TaskTracker::new();
    while let Some((settings, mail)) = queue.recv().await {
        let Ok(permit) = Arc::clone(&desks).acquire_owned().await else { break };
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!("{lost} mail(s) were dropped while the mail server was slow");
        }
        let counters = Arc::clone(&counters);
        conversations.spawn(async move {
            let taken = deliver(&settings, &mail).await;
            count(if taken { &counters.mails_sent } else { &counters.mails_failed });
            drop(permit);
        });
    }
    conversations.close();
    conversations.wait().await;
}

/// Whether the mail server took it.
async fn deliver(settings: &Settings, mail: &Mail) -> bool {
    let SmtpServer { host, port } = &settings.server;
    match settings.send(mail).await {
        Ok(()) => {
            info!("Remote SMTP server [{host}]:{port} connected.");
            info!("SMTP alert successfully sent.");
            return true;
        }
        Err(Failure::Unreachable) => warn!("Timeout opening connection to remote SMTP server [{host}]:{port}."),
        Err(Failure::Silent) => warn!("Timeout reading data from remote SMTP server [{host}]:{port}."),
        Err(Failure::Told(reason)) => warn!("SMTP connection ERROR to [{host}]:{port}: {reason}"),
    }
    warn!("The mail `{}` was not sent", mail.subject);
    false
}

#[cfg(test)]
#[path = "mail_tests.rs"]
mod tests;
