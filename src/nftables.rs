//! nftables by netlink: numbers and expressions of rules, as `include/uapi/linux/netfilter/nf_tables.h` lays them out.

use crate::dataplane::netlink::Writer;

const SUBSYSTEM: u16 = 10 << 8;
pub(crate) const BATCH_BEGIN: u16 = 0x10;
pub(crate) const BATCH_END: u16 = 0x11;
pub(crate) const NEW_TABLE: u16 = SUBSYSTEM;
pub(crate) const DELETE_TABLE: u16 = SUBSYSTEM | 2;
pub(crate) const NEW_CHAIN: u16 = SUBSYSTEM | 3;
pub(crate) const NEW_RULE: u16 = SUBSYSTEM | 6;
pub(crate) const NEW_SET: u16 = SUBSYSTEM | 9;
pub(crate) const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
pub(crate) const DELETE_ELEMENT: u16 = SUBSYSTEM | 14;
pub(crate) const TABLE_OWNER: u32 = 2;
pub(crate) const LOCAL_IN: u32 = 1;
pub(crate) const LOCAL_OUT: u32 = 3;
pub(crate) const REGISTER: [u32; 6] = [8, 9, 10, 11, 12, 13];
pub(crate) const DROP: u32 = 0;
pub(crate) const ACCEPT: u32 = 1;
pub(crate) const NETWORK_HEADER: u32 = 1;
pub(crate) const TRANSPORT_HEADER: u32 = 2;
pub(crate) const META_L4PROTO: u32 = 16;
pub(crate) const EQUAL: u32 = 0;
pub(crate) const TYPE_IPV4: u32 = 7;
pub(crate) const TYPE_IPV6: u32 = 8;
const VERDICT_REGISTER: u32 = 0;

/// The expressions of one rule, in their order.
pub(crate) struct Rule<'a> {
    list: &'a mut Writer,
}

impl<'a> Rule<'a> {
    /// Appends to the list of expressions that is being written.
    pub(crate) fn new(list: &'a mut Writer) -> Self {
        Self { list }
    }
}

impl Rule<'_> {
    pub(crate) fn expression(&mut self, name: &str, data: impl FnOnce(&mut Writer)) -> &mut Self {
        self.list.nest(1, |expression| {
            expression.string(1, name).nest(2, data);
        });
        self
    }

    pub(crate) fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.expression("meta", |data| {
            data.be32(2, key).be32(1, register);
        })
    }

    /// Writes into what `meta` reads.
    pub(crate) fn set_meta(&mut self, key: u32, register: u32, value: &[u8]) -> &mut Self {
        self.expression("immediate", |data| {
            data.be32(1, register).nest(2, |operand| {
                operand.attribute(1, value);
            });
        });
        self.expression("meta", |data| {
            data.be32(2, key).be32(3, register);
        })
    }

    pub(crate) fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) -> &mut Self {
        self.expression("payload", |data| {
            data.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    pub(crate) fn compare(&mut self, operation: u32, register: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |data| {
            data.be32(1, register).be32(2, operation).nest(3, |operand| {
                operand.attribute(1, value);
            });
        })
    }

    pub(crate) fn verdict(&mut self, code: u32, chain: Option<&str>) -> &mut Self {
        self.expression("immediate", |data| {
            data.be32(1, VERDICT_REGISTER).nest(2, |value| {
                value.nest(2, |verdict| {
                    verdict.be32(1, code);
                    if let Some(chain) = chain {
                        verdict.string(2, chain);
                    }
                });
            });
        })
    }

    /// Goes on if what lies in the registers from `register` on is (or is not) in a set.
    pub(crate) fn lookup(&mut self, set: &str, register: u32, inverted: bool) -> &mut Self {
        self.expression("lookup", |data| {
            data.be32(2, register).string(1, set).be32(5, u32::from(inverted));
        })
    }
}
