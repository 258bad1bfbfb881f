//! `auth_hmac`.

use std::time::Duration;

/// `auth_hmac`, with every default applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthHmac {
    /// `key` lines in file order; never empty, numbers are unique.
    pub keys: Vec<HmacKey>,
    /// `active_key`: the number of one of `keys`; the first when absent.
    pub active_key: u8,
    /// `time_window`, whole seconds; three advert intervals, at least 5 s, when absent.
    pub time_window: Duration,
    /// `anti_replay monotonic`; false for `time`.
    pub monotonic: bool,
    /// `mode`.
    pub mode: HmacMode,
}

/// One `key` of `auth_hmac`.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// Number, 1..=255.
    pub id: u8,
    /// Where it comes from.
    pub secret: HmacSecret,
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, ..)", self.id)
    }
}

/// The octets of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum HmacSecret {
    /// 32 to 64 octets, written out or as `hex:`.
    Octets(Vec<u8>),
    /// `file:PATH`: the file holds one of these forms.
    File(String),
}

/// `mode` of `auth_hmac`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HmacMode {
    /// Adverts are signed, and only signed ones are taken.
    #[default]
    Enforce,
    /// Adverts are signed, and unsigned ones are taken, too.
    Permissive,
    /// Adverts are not signed; signatures of others are verified.
    ReceiveOnly,
}
