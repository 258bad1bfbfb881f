//! The ring's filter: is this a packet that the kernel can carry?
//!
//! A packet that fits in every respect is counted and decided about; all others come to the classic filter, as if nothing had been
//! before it. The beginning of the frame is copied to the stack once and read from there.

use std::io;

use super::assembler::Register::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use super::assembler::{Assembler, Helper, If, Instruction, Label, Operation, Register, Width};
use super::classic;
use super::layout::{SLOT_BITS, SLOT_MASK, TAG_BIT, TAG_SHIFT, WAYS, decision, slot};
use super::programs::Maps;
use crate::dataplane::filter;

/// Places in the context, `struct __sk_buff`.
pub(super) mod context {
    pub(in super::super) const LENGTH: i16 = 0;
    pub(in super::super) const PACKET_TYPE: i16 = 4;
    pub(in super::super) const ETHERTYPE: i16 = 16;
    pub(in super::super) const VLAN_PRESENT: i16 = 20;
    pub(in super::super) const INTERFACE: i16 = 40;
    pub(in super::super) const DATA: i16 = 76;
    pub(in super::super) const DATA_END: i16 = 80;
    pub(in super::super) const SEGMENT: i16 = 176;
}

/// Bytes of the Ethernet header.
pub(super) const ETHERNET: i16 = 14;
const SENDER: i16 = 6;
const TCP: i32 = libc::IPPROTO_TCP;
const UDP: i32 = libc::IPPROTO_UDP;
/// The fixed header of TCP, and what every transport header has.
const TCP_HEADER: i16 = 20;
const UDP_HEADER: i16 = 8;
const FIN_OR_RST: i32 = 0x05;
const URG_TO_FIN: i32 = 0x37;
const ACK: i32 = 0x10;
/// All but "don't fragment".
const FRAGMENT: i32 = 0xbfff_u16.to_be() as i32;
/// What a TTL less by one adds to the sum of the header.
const HOP: i32 = (u16::MAX - u16::from_ne_bytes([1, 0])) as i32;
/// `BPF_F_MARK_MANGLED_0`: UDP sends the other zero, and a missing checksum stays missing.
const ZERO_IS_NONE: i32 = 0x20;
/// `CLOCK_MONOTONIC` is no older than a tick here.
const CLOCK: Helper = Helper::CoarseTime;

/// Where the frame lies on the stack, so that its IP header is aligned: 74 bytes at most.
const FRAME: i16 = -78;
/// The slot's number and its generation.
const SLOT: i16 = -84;
const GENERATION: i16 = -88;
/// The key of the map of decisions, then the bucket's number.
const KEY: i16 = -92;

/// An address family: what lies where in its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Ethertype, as in the context.
    fn ethertype(self) -> i32 {
        let ethertype: u16 = if self == Self::V6 { 0x86dd } else { 0x0800 };
        ethertype.to_be().into()
    }

    /// Bytes of the IP header.
    fn header(self) -> i16 {
        if self == Self::V6 { 40 } else { 20 }
    }

    /// Where the transport header begins.
    pub(super) fn transport(self) -> i16 {
        ETHERNET + self.header()
    }

    fn protocol(self) -> i16 {
        if self == Self::V6 { 20 } else { 23 }
    }

    fn hops(self) -> i16 {
        if self == Self::V6 { 21 } else { 22 }
    }

    /// The field of the length of the packet (IPv4) or its payload (IPv6).
    fn length(self) -> i16 {
        if self == Self::V6 { 18 } else { 16 }
    }

    /// Pieces of 8 or 4 bytes of both addresses: where in the frame, in a slot and, rewritten, in a slot.
    fn addresses(self) -> (Width, &'static [(i16, i16, i16)]) {
        use slot::{DESTINATION, NEW_DESTINATION, NEW_SOURCE, SOURCE};
        match self {
            Self::V4 => (Width::Word, &[(26, SOURCE, NEW_SOURCE), (30, DESTINATION, NEW_DESTINATION)]),
            Self::V6 => (
                Width::Double,
                &[
                    (22, SOURCE, NEW_SOURCE),
                    (30, SOURCE + 8, NEW_SOURCE + 8),
                    (38, DESTINATION, NEW_DESTINATION),
                    (46, DESTINATION + 8, NEW_DESTINATION + 8),
                ],
            ),
        }
    }

    /// The pieces of the IP header and the first eight bytes behind it, aligned: where in the frame, and how wide.
    pub(super) fn identity(self) -> impl Iterator<Item = (i16, Width)> {
        let end = self.transport() + UDP_HEADER;
        (ETHERNET..end).step_by(8).map(move |at| (at, if at + 8 <= end { Width::Double } else { Width::Word }))
    }

    /// Bytes up to the ports and with them.
    pub(super) fn image(self) -> i16 {
        self.transport() + 4
    }
}

/// The filter: the lookup of carried flows, then `classic`.
///
/// # Errors
/// As [`classic::translate`].
pub(super) fn program(maps: &Maps, classic: &[filter::Instruction]) -> io::Result<Vec<Instruction>> {
    let mut a = Assembler::default();
    let (leave, v4, v6) = (a.label(), a.label(), a.label());
    begin(&mut a, maps, leave);
    a.load(Width::Word, R1, R6, context::ETHERTYPE);
    a.jump_if(R1, If::Equal, Family::V4.ethertype(), v4);
    a.jump_if(R1, If::Equal, Family::V6.ethertype(), v6);
    a.jump(leave);
    for (family, place) in [(Family::V4, v4), (Family::V6, v6)] {
        a.place(place);
        Filter { a: &mut a, maps, family, leave }.emit();
    }
    a.place(leave);
    classic::translate(classic, &mut a)?;
    a.finish()
}

/// Context into `R6`, this processor's decision, cleared, into `R7`; only untagged packets for this host go on.
fn begin(a: &mut Assembler, maps: &Maps, leave: Label) {
    a.set(R6, R1);
    a.store_value(Width::Word, R10, KEY, 0);
    look_up(a, maps.decisions(), KEY);
    a.jump_if(R0, If::Equal, 0, leave);
    a.set(R7, R0);
    a.store_value(Width::Word, R7, decision::ARMED, 0);
    for field in [context::PACKET_TYPE, context::VLAN_PRESENT] {
        a.load(Width::Word, R1, R6, field);
        a.jump_if(R1, If::Unequal, 0, leave);
    }
}

/// `R0` points to the value of the key at this place of the stack, or is 0.
pub(super) fn look_up(a: &mut Assembler, map: i32, key: i16) {
    a.map(R1, map);
    a.set(R2, R10);
    a.compute(Operation::Add, R2, i32::from(key));
    a.call(Helper::MapLookup);
}

struct Filter<'a> {
    a: &'a mut Assembler,
    maps: &'a Maps,
    family: Family,
    /// Where packets go that are the engine's.
    leave: Label,
}

impl Filter<'_> {
    fn emit(&mut self) {
        let over = self.a.label();
        self.fetch();
        self.check_header();
        self.find();
        self.check_flow();
        self.check_transport(over);
        self.check_size();
        self.check_link();
        if self.family == Family::V4 {
            self.check_sum();
        }
        self.decide();
        self.write_image();
        self.carry();
        self.a.place(over);
        self.end_both();
    }

    /// Loads from the frame on the stack.
    fn read(&mut self, width: Width, to: Register, at: i16) {
        self.a.load(width, to, R10, FRAME + at);
    }

    fn leave_if(&mut self, left: Register, condition: If, right: i32) {
        self.a.jump_if(left, condition, right, self.leave);
    }

    fn leave_unless_equal(&mut self, left: Register, right: Register) {
        self.a.jump_if(left, If::Unequal, right, self.leave);
    }

    /// Copies the headers to the stack: of TCP all of the fixed one, of a shorter packet what UDP has, and zeros.
    fn fetch(&mut self) {
        let (short, long) = (self.family.transport() + UDP_HEADER, self.family.transport() + TCP_HEADER);
        let a = &mut *self.a;
        for at in (short..long).step_by(4) {
            a.store_value(Width::Word, R10, FRAME + at, 0);
        }
        let enough = a.label();
        a.set(R4, i32::from(long));
        a.load(Width::Word, R1, R6, context::LENGTH);
        a.jump_if(R1, If::Above, i32::from(long) - 1, enough);
        a.set(R4, i32::from(short));
        a.place(enough);
        a.set(R1, R6);
        a.set(R2, 0);
        a.set(R3, R10);
        a.compute(Operation::Add, R3, i32::from(FRAME));
        a.call(Helper::LoadBytes);
        self.leave_if(R0, If::Unequal, 0);
    }

    /// No options, no fragment, TCP or UDP.
    fn check_header(&mut self) {
        self.read(Width::Byte, R1, ETHERNET);
        if self.family == Family::V6 {
            self.a.compute(Operation::And, R1, 0xf0);
            self.leave_if(R1, If::Unequal, 0x60);
        } else {
            self.leave_if(R1, If::Unequal, 0x45);
            self.read(Width::Half, R1, 20);
            self.leave_if(R1, If::Bits, FRAGMENT);
        }
        let known = self.a.label();
        self.read(Width::Byte, R1, self.family.protocol());
        self.a.jump_if(R1, If::Equal, TCP, known);
        self.leave_if(R1, If::Unequal, UDP);
        self.a.place(known);
    }

    /// The flow's slot into `R9`, its generation onto the stack.
    fn find(&mut self) {
        let (found, mask) = (self.a.label(), self.maps.bucket_mask());
        self.hash();
        self.a.set(R1, R8);
        self.a.compute(Operation::And, R1, mask as i32);
        self.a.store(Width::Word, R10, KEY, R1);
        look_up(self.a, self.maps.buckets(), KEY);
        self.leave_if(R0, If::Equal, 0);
        self.a.compute(Operation::ShiftRight, R8, TAG_SHIFT as i32);
        self.a.compute(Operation::ShiftLeft, R8, SLOT_BITS as i32);
        self.a.compute(Operation::Or, R8, TAG_BIT as i32);
        for way in 0..WAYS {
            self.a.load(Width::Word, R1, R0, 4 * way as i16);
            self.a.set(R2, R1);
            self.a.compute(Operation::And, R2, !SLOT_MASK as i32);
            self.a.jump_if_word(R2, If::Equal, R8, found);
        }
        self.a.jump(self.leave);
        self.a.place(found);
        self.a.compute(Operation::And, R1, SLOT_MASK as i32);
        self.a.compute(Operation::Subtract, R1, 1);
        self.a.store(Width::Word, R10, SLOT, R1);
        look_up(self.a, self.maps.slots(), SLOT);
        self.leave_if(R0, If::Equal, 0);
        self.a.set(R9, R0);
        self.a.load(Width::Word, R1, R9, slot::GENERATION);
        self.leave_if(R1, If::Equal, 0);
        self.a.store(Width::Word, R10, GENERATION, R1);
    }

    /// The flow's hash into `R8`, as [`Seeds::hash`](super::layout::Seeds::hash) has it.
    fn hash(&mut self) {
        self.a.set_long(R8, self.maps.seeds.start);
        self.a.set_long(R4, self.maps.seeds.factor);
        let (width, pieces) = self.family.addresses();
        if let (Width::Word, [(source, ..), (destination, ..)]) = (width, pieces) {
            self.read(width, R1, *source);
            self.read(width, R2, *destination);
            self.mix_halves();
        } else {
            for (at, ..) in pieces {
                self.read(width, R1, *at);
                self.mix();
            }
        }
        self.read(Width::Word, R1, self.family.transport());
        self.read(Width::Byte, R2, self.family.protocol());
        self.mix_halves();
    }

    /// Mixes `R1` and, as its upper half, `R2` into the hash.
    fn mix_halves(&mut self) {
        self.a.compute(Operation::ShiftLeft, R2, 32);
        self.a.compute(Operation::Or, R1, R2);
        self.mix();
    }

    /// Mixes `R1` into the hash.
    fn mix(&mut self) {
        self.a.compute(Operation::Xor, R8, R1);
        self.a.compute(Operation::Multiply, R8, R4);
        self.a.set(R1, R8);
        self.a.compute(Operation::ShiftRight, R1, 32);
        self.a.compute(Operation::Xor, R8, R1);
    }

    /// The slot is of this epoch and of this packet's flow.
    fn check_flow(&mut self) {
        self.a.map_value(R1, self.maps.epoch());
        self.a.load(Width::Word, R1, R1, 0);
        self.a.load(Width::Word, R2, R9, slot::EPOCH);
        self.leave_unless_equal(R1, R2);
        let (width, pieces) = self.family.addresses();
        for (at, field, _) in pieces {
            self.compare(width, *at, width, *field);
        }
        self.compare(Width::Word, self.family.transport(), Width::Word, slot::PORTS);
        self.compare(Width::Byte, self.family.protocol(), Width::Word, slot::PROTOCOL);
    }

    /// The slot is still what it was when it was found.
    fn check_generation(&mut self) {
        self.a.load(Width::Word, R1, R10, GENERATION);
        self.a.load(Width::Word, R2, R9, slot::GENERATION);
        self.leave_unless_equal(R1, R2);
    }

    fn compare(&mut self, width: Width, at: i16, field_width: Width, field: i16) {
        self.read(width, R1, at);
        self.a.load(field_width, R2, R9, field);
        self.leave_unless_equal(R1, R2);
    }

    /// Only data and acknowledgements; the length of the packet into `R3`, of the transport header into `R8`.
    fn check_transport(&mut self, over: Label) {
        let (udp, done, transport) = (self.a.label(), self.a.label(), self.family.transport());
        self.read(Width::Half, R3, self.family.length());
        self.a.read_network_half(R3);
        if self.family == Family::V6 {
            self.a.compute(Operation::Add, R3, i32::from(self.family.header()));
        }
        self.read(Width::Byte, R1, self.family.protocol());
        self.a.jump_if(R1, If::Equal, UDP, udp);
        self.read(Width::Byte, R1, transport + 13);
        self.a.jump_if(R1, If::Bits, FIN_OR_RST, over);
        self.a.compute(Operation::And, R1, URG_TO_FIN);
        self.leave_if(R1, If::Unequal, ACK);
        self.read(Width::Byte, R8, transport + 12);
        self.a.compute(Operation::ShiftRight, R8, 2);
        self.a.compute(Operation::And, R8, 0x3c);
        self.leave_if(R8, If::Below, i32::from(TCP_HEADER));
        self.note_checksum(transport + 16, 0);
        self.a.jump(done);
        self.a.place(udp);
        // A datagram without a checksum gets one from the engine, as under IPVS.
        self.read(Width::Half, R1, transport + 6);
        self.leave_if(R1, If::Equal, 0);
        self.read(Width::Half, R1, transport + 4);
        self.a.read_network_half(R1);
        self.a.compute(Operation::Add, R1, i32::from(self.family.header()));
        self.leave_unless_equal(R1, R3);
        self.a.set(R8, i32::from(UDP_HEADER));
        self.note_checksum(transport + 6, ZERO_IS_NONE);
        self.a.place(done);
    }

    fn note_checksum(&mut self, at: i16, flags: i32) {
        self.a.store_value(Width::Word, R7, decision::CHECKSUM_AT, i32::from(at));
        self.a.store_value(Width::Word, R7, decision::FLAGS, flags);
    }

    /// The packet is all there and has its headers; each of its segments fits the way; it may go on.
    fn check_size(&mut self) {
        let (whole, measured) = (self.a.label(), self.a.label());
        self.a.compute(Operation::Add, R8, i32::from(self.family.header()));
        self.a.jump_if(R3, If::Below, R8, self.leave);
        self.a.load(Width::Word, R4, R6, context::LENGTH);
        self.a.compute(Operation::Subtract, R4, i32::from(ETHERNET));
        self.a.jump_if(R3, If::Above, R4, self.leave);
        self.a.load(Width::Word, R1, R6, context::SEGMENT);
        self.a.jump_if(R1, If::Equal, 0, whole);
        self.a.compute(Operation::Add, R1, R8);
        self.a.jump(measured);
        self.a.place(whole);
        self.a.set(R1, R4);
        self.a.place(measured);
        self.a.load(Width::Half, R2, R9, slot::MTU);
        self.a.jump_if(R1, If::Above, R2, self.leave);
        self.read(Width::Byte, R1, self.family.hops());
        self.leave_if(R1, If::Below, 2);
    }

    /// It came on the flow's interface from the flow's neighbour.
    fn check_link(&mut self) {
        self.a.load(Width::Word, R1, R6, context::INTERFACE);
        self.a.load(Width::Word, R2, R9, slot::INTERFACE);
        self.leave_unless_equal(R1, R2);
        self.compare(Width::Double, SENDER, Width::Double, slot::NEIGHBOUR);
    }

    /// The sum of the IPv4 header is ones' complement's zero.
    fn check_sum(&mut self) {
        self.a.set(R1, 0);
        for at in (ETHERNET..self.family.transport()).step_by(4) {
            self.read(Width::Word, R2, at);
            self.a.compute(Operation::Add, R1, R2);
        }
        (0..3).for_each(|_| self.fold());
        self.leave_if(R1, If::Unequal, 0xffff);
    }

    /// Adds the upper part of `R1` to its lower 16 bits.
    fn fold(&mut self) {
        self.a.set(R2, R1);
        self.a.compute(Operation::ShiftRight, R2, 16);
        self.a.compute(Operation::And, R1, 0xffff);
        self.a.compute(Operation::Add, R1, R2);
    }

    /// What the port's program wants to know, but for the image.
    fn decide(&mut self) {
        for (field, place) in [(context::INTERFACE, decision::INTERFACE), (context::LENGTH, decision::LENGTH)] {
            self.a.load(Width::Word, R1, R6, field);
            self.a.store(Width::Word, R7, place, R1);
        }
        let changes = [(slot::ADDRESS_CHANGE, decision::ADDRESS_CHANGE), (slot::PORT_CHANGE, decision::PORT_CHANGE)];
        for (field, place) in changes {
            self.move_field(Width::Half, field, Width::Word, place);
        }
        self.move_field(Width::Word, slot::WAY, Width::Word, decision::WAY);
        for (at, width) in self.family.identity() {
            self.read(width, R1, at);
            self.a.store(width, R7, decision::IDENTITY + at - ETHERNET, R1);
        }
    }

    /// Copies from the slot into the decision.
    fn move_field(&mut self, width: Width, field: i16, to_width: Width, place: i16) {
        self.a.load(width, R1, R9, field);
        self.a.store(to_width, R7, place, R1);
    }

    /// The frame's beginning as it leaves.
    fn write_image(&mut self) {
        // Two bytes that nobody reads come along: what lies before the link addresses in both places.
        for piece in [-2, 6] {
            self.move_field(Width::Double, slot::ETHERNET + piece, Width::Double, decision::IMAGE + piece);
        }
        self.read(Width::Double, R1, ETHERNET);
        self.a.store(Width::Double, R7, decision::IMAGE + ETHERNET, R1);
        let hops = self.family.hops();
        self.read(Width::Byte, R1, hops);
        self.a.compute(Operation::Subtract, R1, 1);
        self.a.store(Width::Byte, R7, decision::IMAGE + hops, R1);
        if self.family == Family::V4 {
            self.write_sum();
        }
        let (width, pieces) = self.family.addresses();
        for (at, _, field) in pieces {
            self.move_field(width, *field, width, decision::IMAGE + at);
        }
        self.move_field(Width::Word, slot::NEW_PORTS, Width::Word, decision::IMAGE + self.family.transport());
    }

    /// The rest of the IPv4 header before the addresses. RFC 1624, equation 3.
    fn write_sum(&mut self) {
        self.read(Width::Byte, R1, 23);
        self.a.store(Width::Byte, R7, decision::IMAGE + 23, R1);
        self.read(Width::Half, R1, 24);
        self.a.compute(Operation::Xor, R1, 0xffff);
        self.a.load(Width::Half, R2, R9, slot::ADDRESS_CHANGE);
        self.a.compute(Operation::Add, R1, R2);
        self.a.compute(Operation::Add, R1, HOP);
        (0..2).for_each(|_| self.fold());
        self.a.compute(Operation::Xor, R1, 0xffff);
        self.a.store(Width::Half, R7, decision::IMAGE + 24, R1);
    }

    /// The worker may have given the slot to another flow meanwhile. If not, the packet is counted and the ring does not get it.
    fn carry(&mut self) {
        self.check_generation();
        self.a.store_value(Width::Word, R7, decision::ARMED, i32::from(self.family.image()));
        self.a.set(R1, 1);
        self.a.add_atomically(R9, slot::PACKETS, R1);
        self.a.add_atomically(R9, slot::BYTES, R3);
        self.a.call(CLOCK);
        self.a.store(Width::Double, R9, slot::LATEST, R0);
        self.a.exit_with(0);
    }

    /// FIN or RST: the slot's flow and the other direction's end here.
    fn end_both(&mut self) {
        self.a.load(Width::Word, R0, R10, GENERATION);
        self.a.set(R8, R0);
        self.a.set(R1, 0);
        self.a.exchange_if_equal(R9, slot::GENERATION, R1);
        self.a.cut_to_word(R0);
        self.a.jump_if(R0, If::Unequal, R8, self.leave);
        self.a.load(Width::Word, R1, R10, SLOT);
        self.a.compute(Operation::Xor, R1, 1);
        self.a.store(Width::Word, R10, SLOT, R1);
        look_up(self.a, self.maps.slots(), SLOT);
        self.leave_if(R0, If::Equal, 0);
        self.a.store_value(Width::Word, R0, slot::GENERATION, 0);
        self.a.jump(self.leave);
    }
}
