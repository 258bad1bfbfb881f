//! `DNS_CHECK`: one question over UDP; any answer to it without an error code will do.

use super::datagram::{OpenError, open};
use crate::judge::{Attempt, Fault};
use crate::spec::DnsSpec;
use std::hash::{BuildHasher, RandomState};
use std::io;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// RFC 1035 section 4.1.1.
const HEADER: usize = 12;
const RECURSION_DESIRED: [u8; 2] = [0x01, 0x00];
const CLASS_IN: [u8; 2] = [0, 1];
/// RFC 1035 section 2.3.4.
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;

pub(super) async fn attempt(spec: &DnsSpec) -> Attempt {
    let dice = RandomState::new().hash_one(&spec.name).to_le_bytes();
    let Some(question) = question([dice[0], dice[1]], &spec.name, spec.record_type) else {
        return Attempt::Unjudged(format!("`{}` is no domain name", spec.name));
    };
    let socket = match open(&spec.connect) {
        Ok(socket) => socket,
        Err(OpenError::Local(error)) => return Attempt::Unjudged(format!("DNS socket: {error}")),
        Err(OpenError::Unreachable(error)) => {
            return failed(format!("network unreachable for {}", super::pair(spec.connect.target)), error.to_string());
        }
    };
    match timeout(spec.connect.timeout, exchange(&socket, &question)).await {
        Ok(Ok(0)) => Attempt::Passed,
        Ok(Ok(code)) => failed(format!("read error occurred. (rcode = {code})"), format!("response code {code}")),
        Ok(Err(error)) => failed(read_phrase(&error), error.to_string()),
        Err(_) => failed("read timeout from socket".to_owned(), format!("no answer within {:?}", spec.connect.timeout)),
    }
}

fn failed(phrase: String, detail: String) -> Attempt {
    Attempt::Failed(Fault::new(phrase, detail))
}

fn read_phrase(error: &io::Error) -> String {
    let text = io::Error::from_raw_os_error(error.raw_os_error().unwrap_or_default()).to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    format!("failed to read socket; errno {} ({words})", error.raw_os_error().unwrap_or_default())
}

/// Asks and waits for the answer to this question; anything else that arrives is passed over. Returns the response code.
async fn exchange(socket: &UdpSocket, question: &[u8]) -> io::Result<u8> {
    socket.send(question).await?;
    let mut answer = [0; 512];
    loop {
        let length = socket.recv(&mut answer).await?;
        if let Some(code) = response_code(question, answer.get(..length).unwrap_or_default()) {
            return Ok(code);
        }
    }
}

fn response_code(question: &[u8], answer: &[u8]) -> Option<u8> {
    let header = answer.get(..HEADER)?;
    let is_response = header[2] & 0x80 != 0;
    (is_response && question.get(..2) == header.get(..2)).then_some(header[3] & 0x0f)
}

/// RFC 1035 section 4.1.2. `None` if the name has an empty or too long label or is too long.
fn question(id: [u8; 2], name: &str, record_type: u16) -> Option<Vec<u8>> {
    let mut message = Vec::from(id);
    message.extend(RECURSION_DESIRED);
    message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.').filter(|_| !name.is_empty()) {
        let length =
            u8::try_from(label.len()).ok().filter(|length| (1..=LONGEST_LABEL).contains(&usize::from(*length)))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    if message.len() - HEADER > LONGEST_NAME {
        return None;
    }
    message.extend(record_type.to_be_bytes());
    message.extend(CLASS_IN);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ConnectSpec;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    fn spec(target: SocketAddr) -> DnsSpec {
        let connect = ConnectSpec::new(target, Duration::from_millis(200));
        DnsSpec { connect, record_type: 6, name: "example.com".to_owned() }
    }

    /// Answers each question with what `answers` makes of it.
    async fn server(answers: fn(&[u8]) -> Vec<Vec<u8>>) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                for answer in answers(&buffer[..length]) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        address
    }

    fn answer(question: &[u8], code: u8) -> Vec<u8> {
        let mut answer = question.to_vec();
        answer[2] |= 0x80;
        answer[3] |= code;
        answer
    }

    #[test]
    fn questions_are_as_rfc_1035_has_them() {
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x06\x00\x01";
        assert_eq!(question([0x12, 0x34], "example.com", 6).unwrap(), expected);
        assert_eq!(question([0x12, 0x34], "example.com.", 6).unwrap(), expected);
        for root in ["", "."] {
            assert_eq!(question([0, 0], root, 2).unwrap()[HEADER..], [0, 0, 2, 0, 1]);
        }
        for bad in ["a..b", ".a", &"a".repeat(64), &"abc.".repeat(64)] {
            assert_eq!(question([0, 0], bad, 1), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn an_answer_to_the_question_passes() {
        let target = server(|question| {
            let mut stranger = answer(question, 2);
            stranger[0] ^= 1;
            vec![b"x".to_vec(), stranger, question.to_vec(), answer(question, 0)]
        });
        assert_eq!(attempt(&spec(target.await)).await, Attempt::Passed);
    }

    #[tokio::test]
    async fn an_error_code_fails() {
        let target = server(|question| vec![answer(question, 3)]).await;
        match attempt(&spec(target)).await {
            Attempt::Failed(fault) => assert_eq!(fault.phrase, "read error occurred. (rcode = 3)"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn silence_and_strangers_fail_in_time() {
        let target = server(|question| vec![question.to_vec()]).await;
        match attempt(&spec(target)).await {
            Attempt::Failed(fault) => assert_eq!(fault.phrase, "read timeout from socket"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_closed_port_fails() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = socket.local_addr().unwrap();
        drop(socket);
        match attempt(&spec(target)).await {
            Attempt::Failed(fault) => {
                assert_eq!(fault.phrase, "failed to read socket; errno 111 (Connection refused)");
            }
            other => panic!("{other:?}"),
        }
    }
}
