//! The ring's classic filter, instruction by instruction as eBPF: what `filter.rs` makes, no more.

use std::io;

use super::assembler::Register::{R0, R6, R7, R8};
use super::assembler::{Assembler, If, Label, Operation, Width};
use super::receive::context;
use crate::dataplane::filter::{
    INTERFACE, Instruction, JUMP_ALWAYS, JUMP_EQUAL, LOAD_BYTE, LOAD_BYTE_INDEXED, LOAD_HALF, LOAD_IP_HEADER_LENGTH,
    LOAD_WORD, PACKET_TYPE, RETURN, VLAN_PRESENT,
};

/// Adds the program to what is there; the context is in `R6`. Its register A is `R0`, X is `R7`.
///
/// # Errors
/// `Unsupported` for an instruction that `filter.rs` does not make, `InvalidInput` for a jump out of the program.
pub(super) fn translate(program: &[Instruction], a: &mut Assembler) -> io::Result<()> {
    let places: Vec<Label> = program.iter().map(|_| a.label()).collect();
    a.set(R0, 0);
    a.set(R7, 0);
    for (at, (instruction, place)) in program.iter().zip(&places).enumerate() {
        a.place(*place);
        let goal = |skipped: u32| {
            let goal = usize::try_from(skipped).ok().and_then(|skipped| places.get(at + 1 + skipped).copied());
            goal.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a jump out of the packet filter"))
        };
        one(instruction, a, goal)?;
    }
    Ok(())
}

fn one(i: &Instruction, a: &mut Assembler, goal: impl Fn(u32) -> io::Result<Label>) -> io::Result<()> {
    let operand = i.operand as i32;
    match (i.code, i.operand) {
        (LOAD_WORD, PACKET_TYPE) => a.load(Width::Word, R0, R6, context::PACKET_TYPE),
        (LOAD_WORD, VLAN_PRESENT) => a.load(Width::Word, R0, R6, context::VLAN_PRESENT),
        (LOAD_WORD, INTERFACE) => a.load(Width::Word, R0, R6, context::INTERFACE),
        (LOAD_WORD, 0..0x8000_0000) => a.load_packet(Width::Word, operand),
        (LOAD_HALF, 0..0x8000_0000) => a.load_packet(Width::Half, operand),
        (LOAD_BYTE, 0..0x8000_0000) => a.load_packet(Width::Byte, operand),
        (LOAD_BYTE_INDEXED, 0..0x8000_0000) => a.load_packet_indexed(Width::Byte, R7, operand),
        (LOAD_IP_HEADER_LENGTH, 0..0x8000_0000) => load_header_length(a, operand),
        (JUMP_EQUAL, _) if i.jump_true == 0 => {
            a.jump_if_word(R0, If::Unequal, operand, goal(i.jump_false.into())?);
        }
        (JUMP_EQUAL, _) => {
            a.jump_if_word(R0, If::Equal, operand, goal(i.jump_true.into())?);
            a.jump(goal(i.jump_false.into())?);
        }
        (JUMP_ALWAYS, skipped) => a.jump(goal(skipped)?),
        (RETURN, _) => a.exit_with(operand),
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "an unknown instruction of the packet filter")),
    }
    Ok(())
}

/// X is four times the lower half of a byte; A stays.
fn load_header_length(a: &mut Assembler, at: i32) {
    a.set(R8, R0);
    a.load_packet(Width::Byte, at);
    a.compute(Operation::And, R0, 15);
    a.compute(Operation::ShiftLeft, R0, 2);
    a.set(R7, R0);
    a.set(R0, R8);
}
