//! The control packet, RFC 5880 section 4.1.

use std::fmt;
use std::time::Duration;

/// Octets of a packet without authentication.
pub const LENGTH: usize = 24;
/// Octets of the shortest packet with authentication.
const AUTHENTICATED_LENGTH: u8 = 26;
const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// State of a session at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Held down by its administrator.
    AdminDown,
    /// Down, or never up.
    Down,
    /// The other end is heard and does not know it yet.
    Init,
    /// Both ends hear each other.
    Up,
}

impl State {
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session left [`State::Up`], RFC 5880 section 4.1: 0..=31, of which 9 and above are reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// Nothing to say.
    pub const NONE: Self = Self(0);
    /// No packet came within the detection time.
    pub const EXPIRED: Self = Self(1);
    /// The other end said that the session is down.
    pub const NEIGHBOR_DOWN: Self = Self(3);
    /// The administrator.
    pub const ADMIN_DOWN: Self = Self(7);
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            reserved => return write!(f, "Reserved {reserved}"),
        })
    }
}

/// What a control packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session went down last.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// It wants an answer with `is_final`.
    pub poll: bool,
    /// It is the answer to a poll.
    pub is_final: bool,
    /// It wants no periodic packets while both ends are up.
    pub demand: bool,
    /// Missed packets until the session is down, not 0.
    pub multiplier: u8,
    /// The sender's number of the session, not 0.
    pub my_discriminator: u32,
    /// The receiver's number of the session; 0 while unknown.
    pub your_discriminator: u32,
    /// The sender would like to send this often; whole microseconds.
    pub desired_min_tx: Duration,
    /// The sender wants to receive no more often; 0: no periodic packets at all.
    pub required_min_rx: Duration,
}

/// Why octets are no packet that anybody may act on, RFC 5880 section 6.8.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than a packet.
    TooShort(usize),
    /// Its length field does not fit.
    Length(u8),
    /// Another version.
    Version(u8),
    /// The detection multiplier is 0.
    Multiplier,
    /// The multipoint bit is set.
    Multipoint,
    /// The sender's discriminator is 0.
    Discriminator,
    /// No discriminator of ours in a state that needs one.
    NotOurs(State),
    /// It is authenticated, and nothing here is.
    Authenticated,
    /// A poll and an answer at once.
    PollAndFinal,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(length) => write!(f, "{length} octets are no packet"),
            Self::Length(length) => write!(f, "length {length} does not fit"),
            Self::Version(version) => write!(f, "version {version}"),
            Self::Multiplier => f.write_str("the detection multiplier is 0"),
            Self::Multipoint => f.write_str("the multipoint bit is set"),
            Self::Discriminator => f.write_str("the sender's discriminator is 0"),
            Self::NotOurs(state) => write!(f, "state {state} without our discriminator"),
            Self::Authenticated => f.write_str("it is authenticated"),
            Self::PollAndFinal => f.write_str("poll and final at once"),
        }
    }
}

impl Packet {
    /// The octets of the packet.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.poll, POLL) | flag(self.is_final, FINAL) | flag(self.demand, DEMAND);
        let mut octets = [0; LENGTH];
        octets[0] = VERSION << 5 | self.diagnostic.0 & 0x1f;
        octets[1] = self.state.bits() << 6 | flags;
        octets[2] = self.multiplier;
        octets[3] = 24;
        octets[4..8].copy_from_slice(&self.my_discriminator.to_be_bytes());
        octets[8..12].copy_from_slice(&self.your_discriminator.to_be_bytes());
        octets[12..16].copy_from_slice(&microseconds(self.desired_min_tx));
        octets[16..20].copy_from_slice(&microseconds(self.required_min_rx));
        octets
    }

    /// Reads a UDP payload. What follows the packet's own length is not looked at.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let octets = payload.first_chunk::<LENGTH>().ok_or(Malformed::TooShort(payload.len()))?;
        check(octets, payload.len())?;
        let word =
            |at: usize| octets.get(at..).and_then(<[u8]>::first_chunk::<4>).map_or(0, |w| u32::from_be_bytes(*w));
        let (state, flags) = (State::from_bits(octets[1] >> 6), octets[1]);
        let packet = Self {
            diagnostic: Diagnostic(octets[0] & 0x1f),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            demand: flags & DEMAND != 0,
            multiplier: octets[2],
            my_discriminator: word(4),
            your_discriminator: word(8),
            desired_min_tx: Duration::from_micros(word(12).into()),
            required_min_rx: Duration::from_micros(word(16).into()),
        };
        packet.check_meaning()
    }

    fn check_meaning(self) -> Result<Self, Malformed> {
        if self.my_discriminator == 0 {
            return Err(Malformed::Discriminator);
        }
        if self.poll && self.is_final {
            return Err(Malformed::PollAndFinal);
        }
        let needs_ours = matches!(self.state, State::Init | State::Up);
        if needs_ours && self.your_discriminator == 0 { Err(Malformed::NotOurs(self.state)) } else { Ok(self) }
    }
}

fn check(octets: &[u8; LENGTH], available: usize) -> Result<(), Malformed> {
    let (version, flags, multiplier, length) = (octets[0] >> 5, octets[1], octets[2], octets[3]);
    let authenticated = flags & AUTHENTICATED != 0;
    let least = if authenticated { AUTHENTICATED_LENGTH } else { 24 };
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    if length < least || usize::from(length) > available {
        return Err(Malformed::Length(length));
    }
    match () {
        () if multiplier == 0 => Err(Malformed::Multiplier),
        () if flags & MULTIPOINT != 0 => Err(Malformed::Multipoint),
        () if authenticated => Err(Malformed::Authenticated),
        () => Ok(()),
    }
}

fn microseconds(duration: Duration) -> [u8; 4] {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX).to_be_bytes()
}
