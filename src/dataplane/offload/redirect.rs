//! The ports' program: carries out what the ring's filter has decided.
//!
//! It takes a decision only for the very packet that the filter saw, by its interface, length, IP header and the eight bytes behind it; whatever
//! else comes along goes on as if this program were not there.

use std::io;

use super::assembler::Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R10};
use super::assembler::{Assembler, Helper, If, Instruction, Label, Operation, Width};
use super::layout::decision;
use super::programs::Maps;
use super::receive::{ETHERNET, Family, context, look_up};

/// `TCX_NEXT`: what comes after this program decides.
const NEXT: i32 = -1;
/// `TCX_DROP`.
const DROP: i32 = 2;
/// `BPF_F_PSEUDO_HDR`: the change is one of addresses, which a partial checksum has in it.
const PSEUDO_HEADER: i32 = 0x10;
/// What a hop limit less by one adds to a sum.
const V6_HOP: i32 = (u16::MAX - u16::from_ne_bytes([0, 1])) as i32;
const FIRST: i16 = -4;

/// The program.
///
/// # Errors
/// None unless a jump leads nowhere.
pub(super) fn program(maps: &Maps) -> io::Result<Vec<Instruction>> {
    let mut a = Assembler::default();
    let (next, lost, v6, rewritten) = (a.label(), a.label(), a.label(), a.label());
    begin(&mut a, maps, next);
    a.jump_if(R8, If::Equal, i32::from(Family::V6.image()), v6);
    rewrite(&mut a, Family::V4, (next, lost));
    a.jump(rewritten);
    a.place(v6);
    rewrite(&mut a, Family::V6, (next, lost));
    a.place(rewritten);
    a.load(Width::Word, R1, R7, decision::WAY);
    a.set(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
    a.place(lost);
    a.exit_with(DROP);
    a.place(next);
    a.exit_with(NEXT);
    a.finish()
}

/// Context into `R6`, the decision into `R7`, its image's length into `R8`: it is gone from this processor, and for a packet of this length on this
/// interface.
fn begin(a: &mut Assembler, maps: &Maps, next: Label) {
    a.set(R6, R1);
    a.store_value(Width::Word, R10, FIRST, 0);
    look_up(a, maps.decisions(), FIRST);
    a.jump_if(R0, If::Equal, 0, next);
    a.set(R7, R0);
    a.load(Width::Word, R8, R7, decision::ARMED);
    a.jump_if(R8, If::Equal, 0, next);
    a.store_value(Width::Word, R7, decision::ARMED, 0);
    for (field, place) in [(context::INTERFACE, decision::INTERFACE), (context::LENGTH, decision::LENGTH)] {
        a.load(Width::Word, R1, R6, field);
        a.load(Width::Word, R2, R7, place);
        a.jump_if(R1, If::Unequal, R2, next);
    }
}

/// Makes sure of the packet, then writes the image over its beginning and mends the checksums.
fn rewrite(a: &mut Assembler, family: Family, (next, lost): (Label, Label)) {
    identify(a, family, next);
    a.set(R1, R6);
    a.set(R2, 0);
    a.set(R3, R7);
    a.compute(Operation::Add, R3, i32::from(decision::IMAGE));
    a.set(R4, i32::from(family.image()));
    a.set(R5, 0);
    a.call(Helper::StoreBytes);
    a.jump_if(R0, If::Unequal, 0, lost);
    mend(a, decision::ADDRESS_CHANGE, PSEUDO_HEADER, lost);
    mend(a, decision::PORT_CHANGE, 0, lost);
    if family == Family::V6 {
        mend_sum(a);
    }
}

fn identify(a: &mut Assembler, family: Family, next: Label) {
    let (end, there, elsewhere) = (family.transport() + 8, a.label(), a.label());
    point_to_packet(a, end);
    a.jump_if(R4, If::Above, R3, elsewhere);
    a.jump(there);
    // Not in linear memory, as drivers may leave it.
    a.place(elsewhere);
    a.set(R1, R6);
    a.set(R2, i32::from(end));
    a.call(Helper::PullData);
    point_to_packet(a, end);
    a.jump_if(R4, If::Above, R3, next);
    a.place(there);
    for (at, width) in family.identity() {
        a.load(width, R1, R2, at);
        a.load(width, R3, R7, decision::IDENTITY + at - ETHERNET);
        a.jump_if(R1, If::Unequal, R3, next);
    }
}

/// The packet's beginning into `R2`, its end into `R3`, the wanted end into `R4`.
fn point_to_packet(a: &mut Assembler, end: i16) {
    a.load(Width::Word, R2, R6, context::DATA);
    a.load(Width::Word, R3, R6, context::DATA_END);
    a.set(R4, R2);
    a.compute(Operation::Add, R4, i32::from(end));
}

/// Adds a change to the transport checksum, if there is one.
fn mend(a: &mut Assembler, change: i16, flags: i32, lost: Label) {
    let done = a.label();
    a.load(Width::Word, R4, R7, change);
    a.jump_if(R4, If::Equal, 0, done);
    a.set(R1, R6);
    a.load(Width::Word, R2, R7, decision::CHECKSUM_AT);
    a.set(R3, 0);
    a.load(Width::Word, R5, R7, decision::FLAGS);
    a.compute(Operation::Or, R5, flags);
    a.call(Helper::ReplaceChecksum);
    a.jump_if(R0, If::Unequal, 0, lost);
    a.place(done);
}

/// Some interfaces give the sum over all of the packet. A checksum in the IP header hides from it what changes there, and the helper has reckoned
/// with one; IPv6 has none, so that new addresses and the new transport checksum cancel each other, and the hop limit shows.
fn mend_sum(a: &mut Assembler) {
    a.load(Width::Word, R2, R7, decision::ADDRESS_CHANGE);
    a.compute(Operation::Add, R2, V6_HOP);
    a.set(R1, R6);
    a.call(Helper::UpdateSum);
}
