//! What follows a keyword.

/// The arguments of a keyword, as far as all keywords of a kind share their reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Flag,
    /// Nothing, or one of on, true, yes, off, false, no. Nothing means on.
    Switch,
    /// One word.
    Word,
    /// One word or nothing.
    OptionalWord,
    /// One word or more, read by the block.
    Words,
    /// Any number of words, read by the block.
    OptionalWords,
    /// A whole number.
    Integer(Range),
    /// A whole number or nothing.
    OptionalInteger(Range),
    /// Seconds with up to six decimals; the range is in microseconds.
    Seconds(Range),
    /// Milliseconds with up to three decimals; the range is in microseconds.
    Milliseconds(Range),
    /// An IP address.
    Address,
    /// A command, its user and its group.
    Script,
    /// The same, or nothing.
    OptionalScript,
    /// A command without user.
    Command,
    /// A block of keywords, after words that the block reads.
    Nested,
    /// A block with an entry on each line, after words that the block reads.
    Entries,
}

/// Numbers that a keyword takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Smallest.
    pub min: i128,
    /// Largest.
    pub max: i128,
    /// Text after the digits makes the number invalid; otherwise the daemon takes the digits and complains.
    pub strict: bool,
    /// Taken in place of an invalid number; `None` leaves the line without effect.
    pub repair: Option<i64>,
}

const fn range(min: i128, max: i128) -> Range {
    Range { min, max, strict: false, repair: None }
}

pub(super) const fn integer(min: i128, max: i128) -> Shape {
    Shape::Integer(range(min, max))
}

pub(super) const fn strict(min: i128, max: i128) -> Shape {
    Shape::Integer(Range { strict: true, ..range(min, max) })
}

pub(super) const fn optional_integer(min: i128, max: i128) -> Shape {
    Shape::OptionalInteger(Range { strict: true, ..range(min, max) })
}

pub(super) const fn seconds(min: i128, max: i128) -> Shape {
    Shape::Seconds(range(min, max))
}

pub(super) const fn millis(min: i128, max: i128) -> Shape {
    Shape::Milliseconds(range(min, max))
}

impl Shape {
    /// The same shape with a number that stands in for invalid ones.
    pub(super) const fn repair(self, value: i64) -> Self {
        match self {
            Self::Integer(range) => Self::Integer(Range { repair: Some(value), ..range }),
            other => other,
        }
    }

    /// Words that must follow the keyword.
    pub(crate) const fn required(self) -> usize {
        match self {
            Self::Word
            | Self::Words
            | Self::Integer(_)
            | Self::Seconds(_)
            | Self::Milliseconds(_)
            | Self::Address
            | Self::Script
            | Self::Command => 1,
            _ => 0,
        }
    }

    pub(crate) const fn is_script(self) -> bool {
        matches!(self, Self::Script | Self::OptionalScript | Self::Command)
    }

    /// Words that are read; `None` when the block decides.
    pub(crate) const fn most(self) -> Option<usize> {
        match self {
            Self::Flag => Some(0),
            Self::Words | Self::OptionalWords | Self::Script | Self::OptionalScript | Self::Command => None,
            Self::Nested | Self::Entries => None,
            _ => Some(1),
        }
    }
}
