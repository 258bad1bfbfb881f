//! The server: streams to those who say `s`, and gives back what others say.

use standfast_labkit::Host;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

pub const TICK: Duration = Duration::from_millis(50);
/// Bytes that a stream gets every so many ticks.
const PIECE: usize = 256;
const TICKS: u32 = 4;

struct Client {
    stream: TcpStream,
    streams: bool,
}

/// Serves port 80 until the process ends.
pub fn start(host: &Host) {
    let listener = host.enter(|| TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let mut clients = Vec::new();
        for tick in 0_u32.. {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                stream.set_nodelay(true).unwrap();
                clients.push(Client { stream, streams: false });
            }
            clients.retain_mut(|client: &mut Client| client.serve(tick % TICKS == 0));
            std::thread::sleep(TICK);
        }
    });
}

impl Client {
    /// False when the connection has ended.
    fn serve(&mut self, flows: bool) -> bool {
        let mut buffer = [0; 256];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) if buffer[0] == b's' => self.streams = true,
            Ok(length) => return self.write(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        !(self.streams && flows) || self.write(&[7; PIECE])
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}
