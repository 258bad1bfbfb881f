//! eBPF programs, instruction by instruction: operands are typed, jumps go to labels.
//!
//! Encoding and meaning: the kernel's `Documentation/bpf/standardization/instruction-set.rst` (RFC 9669).

use std::io;

/// A register. `R0` is a call's result and the program's, `R1` to `R5` are a call's arguments and lost by it, `R6` to `R9` are kept, `R10` is the end
/// of the stack of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// Bytes that a load or store moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// Arithmetic on 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Xor = 0xa0,
    Copy = 0xb0,
}

/// When a jump is taken: the register, compared without sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum If {
    Equal = 0x10,
    Above = 0x20,
    /// Some bit in common.
    Bits = 0x40,
    Unequal = 0x50,
    Below = 0xa0,
}

/// The second operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Register(Register),
    /// Extended to 64 bits with its sign.
    Value(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Self {
        Self::Value(value)
    }
}

impl Operand {
    /// The bit of the operation code, the source register and the value.
    fn parts(self) -> (u8, u8, i32) {
        match self {
            Self::Register(register) => (0x08, register as u8, 0),
            Self::Value(value) => (0, 0, value),
        }
    }
}

/// Functions of the kernel, by their numbers in `enum bpf_func_id`. None is reserved for programs under the GPL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    MapLookup = 1,
    StoreBytes = 9,
    ReplaceChecksum = 11,
    Redirect = 23,
    LoadBytes = 26,
    PullData = 39,
    UpdateSum = 40,
    CoarseTime = 160,
}

/// A place in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// One instruction, as `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const STORE_VALUE: u8 = 0x62;
const LOAD_PACKET: u8 = 0x20;
const LOAD_PACKET_INDEXED: u8 = 0x40;
const LOAD_LONG: u8 = 0x18;
const ARITHMETIC: u8 = 0x07;
const ARITHMETIC_WORD: u8 = 0x04;
const TO_BIG_ENDIAN: u8 = 0xdc;
const JUMP: u8 = 0x05;
const JUMP_WORD: u8 = 0x06;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const ATOMIC: u8 = 0xc3;
const COMPARE_EXCHANGE: i32 = 0xf1;
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;

/// A program in the making.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    /// Where each label is, once placed.
    places: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A label that has no place yet.
    pub(super) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Puts a label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        if let Some(place) = self.places.get_mut(label.0) {
            *place = Some(self.instructions.len());
        }
    }

    /// `to = *(from + offset)`, without sign.
    pub(super) fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.push(LOAD | width as u8, to as u8, from as u8, offset, 0);
    }

    /// `*(to + offset) = from`.
    pub(super) fn store(&mut self, width: Width, to: Register, offset: i16, from: Register) {
        self.push(STORE | width as u8, to as u8, from as u8, offset, 0);
    }

    /// `*(to + offset) = value`.
    pub(super) fn store_value(&mut self, width: Width, to: Register, offset: i16, value: i32) {
        self.push(STORE_VALUE | width as u8, to as u8, 0, offset, value);
    }

    /// `R0` is what the packet of the context in `R6` has `at` this place, in the host's byte order. Outside of the packet the program
    /// ends with 0. `R1` to `R5` are lost.
    pub(super) fn load_packet(&mut self, width: Width, at: i32) {
        self.push(LOAD_PACKET | width as u8, 0, 0, 0, at);
    }

    /// The same, so many bytes behind the place in `index`.
    pub(super) fn load_packet_indexed(&mut self, width: Width, index: Register, at: i32) {
        self.push(LOAD_PACKET_INDEXED | width as u8, 0, index as u8, 0, at);
    }

    /// `to = to operation operand`.
    pub(super) fn compute(&mut self, operation: Operation, to: Register, operand: impl Into<Operand>) {
        let (source, register, value) = operand.into().parts();
        self.push(ARITHMETIC | operation as u8 | source, to as u8, register, 0, value);
    }

    /// `to = operand`.
    pub(super) fn set(&mut self, to: Register, operand: impl Into<Operand>) {
        self.compute(Operation::Copy, to, operand);
    }

    /// Clears the upper half of a register.
    pub(super) fn cut_to_word(&mut self, register: Register) {
        let copy = ARITHMETIC_WORD | Operation::Copy as u8 | 0x08;
        self.push(copy, register as u8, register as u8, 0, 0);
    }

    /// Makes a number of 16 bits in network byte order one in the host's.
    pub(super) fn read_network_half(&mut self, register: Register) {
        self.push(TO_BIG_ENDIAN, register as u8, 0, 0, 16);
    }

    /// `to = value`.
    pub(super) fn set_long(&mut self, to: Register, value: u64) {
        self.push_long(to, 0, value as i32, (value >> 32) as i32);
    }

    /// `to` points to a map, for a call.
    pub(super) fn map(&mut self, to: Register, map: i32) {
        self.push_long(to, MAP, map, 0);
    }

    /// `to` points to the only value of an array map.
    pub(super) fn map_value(&mut self, to: Register, map: i32) {
        self.push_long(to, MAP_VALUE, map, 0);
    }

    /// `*(to + offset) += from`, at once for all processors.
    pub(super) fn add_atomically(&mut self, to: Register, offset: i16, from: Register) {
        self.push(ATOMIC | Width::Double as u8, to as u8, from as u8, offset, 0);
    }

    /// At once for all processors: if the word `*(to + offset)` is the one in `R0`, `from` takes its place; `R0` is what was there.
    pub(super) fn exchange_if_equal(&mut self, to: Register, offset: i16, from: Register) {
        self.push(ATOMIC, to as u8, from as u8, offset, COMPARE_EXCHANGE);
    }

    /// Calls a function of the kernel.
    pub(super) fn call(&mut self, helper: Helper) {
        self.push(CALL, 0, 0, 0, helper as i32);
    }

    /// Ends the program with `R0`.
    pub(super) fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// Ends the program with a value.
    pub(super) fn exit_with(&mut self, value: i32) {
        self.set(Register::R0, value);
        self.exit();
    }

    /// Goes on at a label.
    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(JUMP, 0, 0, 0, 0);
    }

    /// Goes on at a label if all 64 bits of `left` compare so.
    pub(super) fn jump_if(&mut self, left: Register, condition: If, right: impl Into<Operand>, to: Label) {
        self.push_condition(JUMP, left, condition, right.into(), to);
    }

    /// The same for the lower 32 bits.
    pub(super) fn jump_if_word(&mut self, left: Register, condition: If, right: impl Into<Operand>, to: Label) {
        self.push_condition(JUMP_WORD, left, condition, right.into(), to);
    }

    /// The program.
    ///
    /// # Errors
    /// A label that was not placed, or a jump of more than 32,767 instructions.
    pub(super) fn finish(mut self) -> io::Result<Vec<Instruction>> {
        for (at, label) in &self.jumps {
            let place = self.places.get(label.0).copied().flatten();
            let distance = place.and_then(|place| i16::try_from(place as i64 - *at as i64 - 1).ok());
            let Some((instruction, distance)) = self.instructions.get_mut(*at).zip(distance) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a jump of the eBPF program leads nowhere"));
            };
            instruction.offset = distance;
        }
        Ok(self.instructions)
    }

    fn push_condition(&mut self, class: u8, left: Register, condition: If, right: Operand, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        let (source, register, value) = right.parts();
        self.push(class | condition as u8 | source, left as u8, register, 0, value);
    }

    fn push_long(&mut self, to: Register, kind: u8, low: i32, high: i32) {
        self.push(LOAD_LONG, to as u8, kind, 0, low);
        self.push(0, 0, 0, 0, high);
    }

    fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, value: i32) {
        // `struct bpf_insn` has two bit fields here, which lie as the byte order has them.
        let registers = if cfg!(target_endian = "big") { to << 4 | from } else { from << 4 | to };
        self.instructions.push(Instruction { code, registers, offset, value });
    }
}

#[cfg(test)]
mod tests {
    use super::Register::{R0, R1, R2, R6, R10};
    use super::*;

    /// Opcode, destination and source register, offset, value: as `llvm-objdump` and RFC 9669 write them.
    fn raw(instruction: Instruction) -> (u8, u8, u8, i16, i32) {
        let Instruction { code, registers, offset, value } = instruction;
        let (low, high) = (registers & 15, registers >> 4);
        let (to, from) = if cfg!(target_endian = "big") { (high, low) } else { (low, high) };
        (code, to, from, offset, value)
    }

    fn assembled(fill: impl FnOnce(&mut Assembler)) -> Vec<(u8, u8, u8, i16, i32)> {
        let mut assembler = Assembler::default();
        fill(&mut assembler);
        assembler.finish().unwrap().into_iter().map(raw).collect()
    }

    #[test]
    fn every_kind_of_instruction_is_encoded_as_the_rfc_says() {
        type Case = (fn(&mut Assembler), &'static [(u8, u8, u8, i16, i32)]);
        let cases: [Case; 18] = [
            (|a| a.load(Width::Byte, R1, R2, 3), &[(0x71, 1, 2, 3, 0)]),
            (|a| a.load(Width::Double, R1, R10, -8), &[(0x79, 1, 10, -8, 0)]),
            (|a| a.store(Width::Half, R10, -2, R6), &[(0x6b, 10, 6, -2, 0)]),
            (|a| a.store_value(Width::Word, R10, -4, 7), &[(0x62, 10, 0, -4, 7)]),
            (|a| a.load_packet(Width::Half, 12), &[(0x28, 0, 0, 0, 12)]),
            (|a| a.load_packet_indexed(Width::Byte, R6, 14), &[(0x50, 0, 6, 0, 14)]),
            (|a| a.set(R1, R6), &[(0xbf, 1, 6, 0, 0)]),
            (|a| a.set(R0, -1), &[(0xb7, 0, 0, 0, -1)]),
            (|a| a.compute(Operation::ShiftRight, R2, 16), &[(0x77, 2, 0, 0, 16)]),
            (|a| a.cut_to_word(R2), &[(0xbc, 2, 2, 0, 0)]),
            (|a| a.read_network_half(R2), &[(0xdc, 2, 0, 0, 16)]),
            (|a| a.set_long(R1, 0x1_8000_0000), &[(0x18, 1, 0, 0, i32::MIN), (0, 0, 0, 0, 1)]),
            (|a| a.map(R1, 5), &[(0x18, 1, 1, 0, 5), (0, 0, 0, 0, 0)]),
            (|a| a.map_value(R1, 5), &[(0x18, 1, 2, 0, 5), (0, 0, 0, 0, 0)]),
            (|a| a.add_atomically(R1, 8, R2), &[(0xdb, 1, 2, 8, 0)]),
            (|a| a.exchange_if_equal(R1, 0, R2), &[(0xc3, 1, 2, 0, 0xf1)]),
            (|a| a.call(Helper::Redirect), &[(0x85, 0, 0, 0, 23)]),
            (|a| a.exit_with(7), &[(0xb7, 0, 0, 0, 7), (0x95, 0, 0, 0, 0)]),
        ];
        for (number, (fill, expected)) in cases.into_iter().enumerate() {
            assert_eq!(assembled(fill), expected, "case {number}");
        }
    }

    #[test]
    fn jumps_lead_to_their_labels_both_ways() {
        let program = assembled(|a| {
            let (start, end) = (a.label(), a.label());
            a.place(start);
            a.jump_if(R1, If::Equal, 1, end);
            a.map(R1, 0);
            a.jump_if_word(R1, If::Above, R2, start);
            a.jump(start);
            a.place(end);
            a.exit();
        });
        let jumps: Vec<_> = program.iter().filter(|i| matches!(i.0 & 7, 5 | 6) && i.0 != 0x95).collect();
        assert_eq!(jumps, [&(0x15, 1, 0, 4, 1), &(0x2e, 1, 2, -4, 0), &(0x05, 0, 0, -5, 0)]);
    }

    #[test]
    fn a_jump_without_a_goal_is_an_error() {
        let mut nowhere = Assembler::default();
        let label = nowhere.label();
        nowhere.jump(label);
        assert!(nowhere.finish().is_err());
        let mut far = Assembler::default();
        let label = far.label();
        far.jump(label);
        (0..40_000).for_each(|_| far.exit());
        far.place(label);
        assert!(far.finish().is_err());
    }
}
