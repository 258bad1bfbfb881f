//! `genhash`: the digest of a web page for the `digest` of HTTP_GET and SSL_GET.
//!
//! What keepalived's program takes is taken, and what it prints is printed. Where it fails, its exit status is 0 all the same;
//! ours is 1.

use clap::{Parser, ValueEnum};
use md5::{Digest, Md5};
use standfast_checkers::probe::{Page, page};
use standfast_checkers::{ConnectSpec, HttpProtocol, HttpSpec, HttpUrl};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Exit status for a command line that is not understood, and for a page that cannot be had.
const FAILURE: u8 = 1;

/// Computes the digest of a web page, as `digest` of HTTP_GET and SSL_GET wants it.
#[derive(Debug, Parser)]
#[command(name = "genhash")]
struct Line {
    /// Use TLS
    #[arg(short = 'S', long)]
    use_ssl: bool,
    /// Send the virtual host in the TLS greeting
    #[arg(short = 'I', long)]
    use_sni: bool,
    /// Address of the server
    #[arg(short, long, value_name = "ADDRESS")]
    server: IpAddr,
    /// Its port
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Path of the page
    #[arg(short, long)]
    url: String,
    /// Virtual host of the request; else address and port
    #[arg(short = 'V', long, value_name = "NAME")]
    use_virtualhost: Option<String>,
    /// Show what was received
    #[arg(short, long)]
    verbose: bool,
    /// Firewall mark of the packets
    #[arg(short = 'm', long, value_name = "MARK")]
    fwmark: Option<u32>,
    /// Version of HTTP; 1.0c is 1.0 with `Connection: close`
    #[arg(short = 'P', long, value_enum, default_value = "1.0", ignore_case = true)]
    protocol: Protocol,
    /// Seconds that each step may take
    #[arg(short, long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    #[value(name = "1.0")]
    V1_0,
    #[value(name = "1.0c")]
    V1_0Close,
    #[value(name = "1.1")]
    V1_1,
}

/// Runs a command line (without the program's name); returns the exit status.
#[must_use]
pub fn run(words: &[String]) -> u8 {
    let line = match Line::try_parse_from(std::iter::once("genhash").chain(words.iter().map(String::as_str))) {
        Ok(line) => line,
        Err(error) => {
            // Nobody is left to be told when the output is closed.
            let _ = error.print();
            return if error.use_stderr() { FAILURE } else { 0 };
        }
    };
    let start = Instant::now();
    match fetch(&line) {
        Ok(page) => {
            let text = if line.verbose { tell(&line.url, &page, start.elapsed()) } else { digest(&page) + "\n" };
            let _ = io::stdout().write_all(text.as_bytes());
            0
        }
        Err(reason) => {
            let _ = writeln!(io::stderr(), "{reason}");
            FAILURE
        }
    }
}

fn fetch(line: &Line) -> Result<Page, String> {
    let (spec, url) = request(line);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(page(&spec, &url))
}

fn request(line: &Line) -> (HttpSpec, HttpUrl) {
    let target = SocketAddr::new(line.server, line.port);
    let connect = ConnectSpec { fwmark: line.fwmark, ..ConnectSpec::new(target, Duration::from_secs(line.timeout)) };
    let url = HttpUrl { virtualhost: line.use_virtualhost.clone(), ..HttpUrl::new(line.url.clone()) };
    let protocol = match line.protocol {
        Protocol::V1_0 => HttpProtocol::V1_0,
        Protocol::V1_0Close => HttpProtocol::V1_0Close,
        Protocol::V1_1 => HttpProtocol::V1_1,
    };
    let spec = HttpSpec { tls: line.use_ssl, enable_sni: line.use_sni, protocol, ..HttpSpec::new(connect, Vec::new()) };
    (spec, url)
}

fn digest(page: &Page) -> String {
    hex(&Md5::digest(&page.body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `--verbose` shows.
fn tell(url: &str, page: &Page, took: Duration) -> String {
    let mut text = String::new();
    let mut part = |title: &str, content: &str| {
        let _ = writeln!(text, "-----------------------[{title:^27}]-----------------------\n{content}");
    };
    let head = String::from_utf8_lossy(&page.head);
    let sum = Md5::digest(&page.body);
    part("HTTP Header Buffer", dump(&page.head).trim_end_matches('\n'));
    part("HTTP Header Ascii Buffer", &head);
    part("HTML Buffer", &dump(&page.body));
    part("HTML hash resulting", dump(&sum).trim_end_matches('\n'));
    part("HTML hash final resulting", &(hex(&sum) + "\n"));
    let _ = writeln!(text, "Global response time for [{url}] = {} usecs", took.as_micros());
    text
}

/// Sixteen bytes a line: place, numbers, characters.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, line) in bytes.chunks(16).enumerate() {
        let half = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let (left, right) = line.split_at(line.len().min(8));
        let shown = |byte: &u8| if (b' '..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        let characters: String = line.iter().map(shown).collect();
        let _ = writeln!(text, "{:04}  {:24}- {:24}  {characters:16}", row * 16, half(left), half(right));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn what_was_received_is_shown_as_genhash_shows_it() {
        let page = Page { head: b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n".to_vec(), body: b"hello\n".to_vec() };
        insta::assert_snapshot!(tell("/index.html", &page, Duration::from_micros(24712)));
    }

    #[test]
    fn options_have_their_long_and_short_forms() {
        for words in [
            "-S -s ::1 -p 443 -u /x -V www -I -P 1.0C",
            "--use-ssl --server ::1 --port 443 --url /x --use-virtualhost www --use-sni --protocol 1.0c",
        ] {
            let line = Line::try_parse_from(std::iter::once("genhash").chain(words.split(' '))).unwrap();
            let (spec, url) = request(&line);
            assert!(spec.tls && spec.enable_sni && spec.protocol == HttpProtocol::V1_0Close);
            assert_eq!((spec.connect.target, url.virtualhost.as_deref()), ("[::1]:443".parse().unwrap(), Some("www")));
        }
    }
}
