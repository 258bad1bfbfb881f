//! The form of an answer (RFC 9112): its head, and how far its body goes. Pure.
//!
//! Leniencies and limits are hyper's, so that no verdict depends on the way that an answer took.

use httparse::{Header, ParserConfig, Response, Status};
use std::mem::MaybeUninit;

/// The most header lines in one head.
const HEADERS: usize = 100;
/// The most bytes of chunk extensions, and of trailers.
const IGNORED: usize = 16 << 10;

/// An answer, or its body, is not HTTP: in which way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// What matters of a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) extent: Extent,
}

/// What is still to come of a body (RFC 9112 section 6.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes.
    Counted(u64),
    /// Chunks up to an empty one.
    Chunked(Chunks),
    /// Everything until the server closes.
    Open,
}

/// Takes the head of the final answer off the buffer, and those of interim answers before it (RFC 9110 section 15.2); `None`
/// while it is not there whole. `method` is that of the request.
pub(super) fn take_head(buffer: &mut Vec<u8>, method: &str) -> Result<Option<Head>, Malformed> {
    let mut begin = 0;
    let head = loop {
        let Some((length, head)) = parse(buffer.get(begin..).unwrap_or_default(), method)? else { break None };
        begin += length;
        if head.is_some() {
            break head;
        }
    };
    buffer.drain(..begin);
    Ok(head)
}

/// Whether the empty line at the end of a head is in the buffer, of which the first `known` bytes have been searched.
pub(super) fn may_end(buffer: &[u8], known: usize) -> bool {
    let fresh = buffer.get(known.saturating_sub(3)..).unwrap_or_default();
    fresh.windows(2).any(|two| two == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}

/// Length of a head and what matters of it, which is nothing in an interim one.
fn parse(bytes: &[u8], method: &str) -> Result<Option<(usize, Option<Head>)>, Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    let mut answer = Response::new(&mut []);
    let parsed = lenient().parse_response_with_uninit_headers(&mut answer, bytes, &mut room);
    let length = match parsed.map_err(|error| Malformed(error.to_string()))? {
        Status::Complete(length) => length,
        Status::Partial => return Ok(None),
    };
    let status = answer.code.filter(|code| *code >= 100).ok_or_else(|| wrong("the status code is below 100"))?;
    if matches!(status, 100 | 102..=199) {
        return Ok(Some((length, None)));
    }
    let extent = extent(status, method, answer.version, answer.headers)?;
    Ok(Some((length, Some(Head { status, extent }))))
}

fn lenient() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true);
    config
}

fn wrong(what: &str) -> Malformed {
    Malformed(what.to_owned())
}

/// RFC 9112 section 6.3, rule by rule.
fn extent(status: u16, method: &str, version: Option<u8>, headers: &[Header<'_>]) -> Result<Extent, Malformed> {
    let tunnel = method == "CONNECT" && (200..=299).contains(&status);
    if matches!(status, 101 | 204 | 304) || method == "HEAD" || tunnel {
        return Ok(Extent::Counted(0));
    }
    if let Some(coding) = named(headers, "transfer-encoding").last() {
        return coded(version, coding);
    }
    announced(headers)
}

fn coded(version: Option<u8>, coding: &[u8]) -> Result<Extent, Malformed> {
    if version != Some(1) {
        return Err(wrong("HTTP/1.0 knows no Transfer-Encoding"));
    }
    let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
    Ok(if chunked { Extent::Chunked(Chunks::default()) } else { Extent::Open })
}

/// `Content-Length`, which may be said again but not otherwise.
fn announced(headers: &[Header<'_>]) -> Result<Extent, Malformed> {
    let mut agreed = None;
    for word in named(headers, "content-length").flat_map(|line| line.split(|byte| *byte == b',')) {
        let length = decimal(word.trim_ascii()).ok_or_else(|| wrong("the Content-Length is no number"))?;
        if *agreed.get_or_insert(length) != length {
            return Err(wrong("two values of Content-Length"));
        }
    }
    Ok(agreed.map_or(Extent::Open, Extent::Counted))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digit = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let sound = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    sound.then(|| digits.iter().try_fold(0, digit)).flatten()
}

fn named<'a>(headers: &'a [Header<'a>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

impl Extent {
    /// Whether only the server's closing ends the body.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Passes on what of these bytes is content; true when the body has ended.
    pub(super) fn take(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Result<bool, Malformed> {
        match self {
            Self::Counted(left) => Ok(take_counted(left, bytes, content).is_some()),
            Self::Chunked(chunks) => chunks.take(bytes, content),
            Self::Open => {
                content(bytes);
                Ok(false)
            }
        }
    }
}

/// What is behind the counted bytes, once they are complete.
fn take_counted<'a>(left: &mut u64, bytes: &'a [u8], content: &mut impl FnMut(&[u8])) -> Option<&'a [u8]> {
    let most = usize::try_from(*left).unwrap_or(usize::MAX);
    let (counted, rest) = bytes.split_at(most.min(bytes.len()));
    content(counted);
    *left -= counted.len() as u64;
    (*left == 0).then_some(rest)
}

/// A decoder of chunks (RFC 9112 section 7.1) that keeps nothing of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes that are left of the chunk.
    left: u64,
    /// Bytes of extensions, or of trailers, so far.
    ignored: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// The first digit of a size.
    #[default]
    Start,
    Size,
    Blank,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// A trailer, or the end.
    Last,
    Trailer,
    TrailerEnd,
    End,
}

impl Chunks {
    fn take(&mut self, mut bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Result<bool, Malformed> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.place == Place::Data {
                let Some(behind) = take_counted(&mut self.left, bytes, content) else { return Ok(false) };
                (self.place, bytes) = (Place::DataReturn, behind);
            } else if (self.place, byte) == (Place::End, b'\n') {
                return Ok(true);
            } else {
                (self.place, bytes) = (self.step(byte)?, rest);
            }
        }
        Ok(false)
    }

    fn step(&mut self, byte: u8) -> Result<Place, Malformed> {
        use Place::*;
        match (self.place, byte) {
            (Start | Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (Size | Blank, b'\t' | b' ') => Ok(Blank),
            (Size | Blank, b';') => Ok(Extension),
            (Size | Blank | Extension, b'\r') => Ok(SizeEnd),
            (Extension, b'\n') => Err(wrong("a chunk extension contains a newline")),
            (Extension, _) => self.ignore(Extension),
            (SizeEnd, b'\n') if self.left > 0 => Ok(Data),
            (SizeEnd, b'\n') => {
                self.ignored = 0;
                Ok(Last)
            }
            (DataReturn, b'\r') => Ok(DataEnd),
            (DataEnd, b'\n') => Ok(Start),
            (Last, b'\r') => Ok(End),
            (Trailer, b'\r') => Ok(TrailerEnd),
            (Last | Trailer, _) => self.ignore(Trailer),
            (TrailerEnd, b'\n') => Ok(Last),
            _ => Err(wrong("the frame of a chunk is broken")),
        }
    }

    fn digit(&mut self, digit: u8) -> Result<Place, Malformed> {
        let value = char::from(digit).to_digit(16).map_or(0, u64::from);
        let grown = self.left.checked_mul(16).and_then(|left| left.checked_add(value));
        self.left = grown.ok_or_else(|| wrong("the size of a chunk has more than 64 bits"))?;
        Ok(Place::Size)
    }

    fn ignore(&mut self, place: Place) -> Result<Place, Malformed> {
        self.ignored += 1;
        if self.ignored >= IGNORED { Err(wrong("chunk extensions or trailers without end")) } else { Ok(place) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(text: &str) -> Result<Option<Head>, Malformed> {
        take_head(&mut text.as_bytes().to_vec(), "GET")
    }

    fn extent_of(lines: &str) -> Result<Extent, Malformed> {
        head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).map(|head| head.unwrap().extent)
    }

    /// The content of a body that comes in pieces, and whether it ended.
    fn content(mut extent: Extent, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Malformed> {
        let mut content = Vec::new();
        for piece in pieces {
            if extent.take(piece, &mut |data| content.extend_from_slice(data))? {
                return Ok((content, true));
            }
        }
        Ok((content, false))
    }

    #[test]
    fn a_head_is_taken_off_with_those_before_it() {
        let mut buffer =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.0 404 No\r\n\r\nbody".to_vec();
        assert_eq!(take_head(&mut buffer, "GET"), Ok(Some(Head { status: 404, extent: Extent::Open })));
        assert_eq!(buffer, b"body");
        let mut half = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2".to_vec();
        assert_eq!(take_head(&mut half, "GET"), Ok(None));
        assert_eq!(half, b"HTTP/1.1 2");
    }

    #[test]
    fn extents_follow_the_rfc() {
        assert_eq!(extent_of(""), Ok(Extent::Open));
        assert_eq!(extent_of("Content-Length: 7\r\ncontent-length: 7, 7\r\n"), Ok(Extent::Counted(7)));
        assert_eq!(
            extent_of("Content-Length: 7\r\nTransfer-Encoding: gzip, Chunked\r\n"),
            Ok(Extent::Chunked(Chunks::default()))
        );
        assert_eq!(extent_of("Transfer-Encoding: gzip\r\n"), Ok(Extent::Open));
        for lines in [
            "Content-Length: 7\r\nContent-Length: 8\r\n",
            "Content-Length: -1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
        ] {
            assert!(extent_of(lines).is_err(), "{lines}");
        }
        assert!(head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        for (method, status) in [("HEAD", 200), ("CONNECT", 200), ("GET", 204), ("GET", 304), ("GET", 101)] {
            let mut answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n").into_bytes();
            assert_eq!(take_head(&mut answer, method), Ok(Some(Head { status, extent: Extent::Counted(0) })));
        }
    }

    #[test]
    fn heads_that_servers_write_are_read() {
        for text in [
            "HTTP/1.1 200 OK\nA: b\n\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\nno header\r\nC: d\r\n e\r\n\r\n",
        ] {
            assert_eq!(head(text).unwrap().unwrap().status, 200, "{text}");
        }
        for text in ["HTTP/1.1 99 X\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "<html>\r\n\r\n", "\0"] {
            assert!(head(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ends_are_found_over_the_border_of_two_reads() {
        let head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        for known in 0..head.len() {
            assert!(may_end(head, known), "{known}");
            assert!(!may_end(&head[..known], 0), "{known}");
        }
        assert!(may_end(b"HTTP/1.1 200 OK\n\n", 16));
    }

    #[test]
    fn chunks_that_break_are_told_from_chunks_that_stop() {
        let chunks = || Extent::Chunked(Chunks::default());
        let sound = content(chunks(), &[b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nmore"]);
        assert_eq!(sound, Ok((b"hello".to_vec(), true)));
        assert_eq!(content(chunks(), &[b"ffffffffffffffff\r\nhi"]), Ok((b"hi".to_vec(), false)));
        for broken in ["x", "5\n", "5\r\nhello!", "5;\n", "10000000000000000\r\n", "0\r\n\rX", "5 5\r\n"] {
            assert!(content(chunks(), &[broken.as_bytes()]).is_err(), "{broken}");
        }
        for endless in ["1;", "0\r\n"] {
            let flood = format!("{endless}{}", "y".repeat(IGNORED));
            assert!(content(chunks(), &[flood.as_bytes()]).is_err(), "{endless}");
        }
    }

    proptest! {
        /// However the network cuts an answer, it says the same.
        #[test]
        fn pieces_do_not_matter(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), cut in 1usize..30) {
            let mut framed: Vec<u8> = Vec::new();
            for chunk in &chunks {
                framed.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                framed.extend(chunk);
                framed.extend(b"\r\n");
            }
            framed.extend(b"0\r\n\r\n");
            let pieces: Vec<&[u8]> = framed.chunks(cut).collect();
            prop_assert_eq!(content(Extent::Chunked(Chunks::default()), &pieces), Ok((chunks.concat(), true)));
        }

        /// Whatever comes: an answer or a refusal, and never more content than bytes.
        #[test]
        fn hostile_bytes_are_read_in_peace(bytes in prop::collection::vec(any::<u8>(), 0..300), chunked: bool) {
            let _ = take_head(&mut bytes.clone(), "GET");
            let _ = take_head(&mut [b"HTTP/1.1 200 OK\r\n", bytes.as_slice()].concat(), "GET");
            let extent = if chunked { Extent::Chunked(Chunks::default()) } else { Extent::Counted(100) };
            if let Ok((content, _)) = content(extent, &[&bytes]) {
                prop_assert!(content.len() <= bytes.len());
            }
        }
    }
}
