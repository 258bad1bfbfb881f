//! What of the claim outlives a process that dies without a word.
//!
//! The engine ends with its process, and so does the claim, while the virtual addresses stay on the host. Until another director
//! announces itself the host's own stack would answer each client with RST, and servers behind NAT would be answered likewise: every
//! connection that the other director has been told of would end in these seconds. So a second table, without an owner, has the same
//! rules behind a condition: an element that ends by itself after some seconds, and is written anew as long as the process lives.
//! Nothing passes this table that the first one has not let pass. An orderly end takes it away; after a kill it is empty of effect as
//! soon as the element has ended. Each process has one of its own name, so that several may be there at a time: that of a predecessor
//! that was killed just now goes on beside that of its successor. Those that have ended are deleted by whoever finds them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::diversion::Silence;
use super::{Claim, Claims, Diverted, ended};

/// The will, once it is written.
#[derive(Debug, Default)]
pub(in crate::dataplane) struct Will {
    /// How long it is to hold after the end; zero for no will.
    lasts: Duration,
    claim: Option<Claim>,
    /// The same for what is diverted.
    silence: Option<Silence>,
    /// When it is written (anew).
    due: Option<Instant>,
}

impl Will {
    /// Lets it hold so long from now on; zero takes it away.
    pub(in crate::dataplane) fn set(&mut self, lasts: Duration, now: Instant) {
        if lasts == self.lasts {
            return;
        }
        self.lasts = lasts;
        self.due = (!lasts.is_zero()).then_some(now);
        if lasts.is_zero() {
            self.revoke();
        }
    }

    /// When to call [`Will::tend`].
    pub(in crate::dataplane) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes it, or writes it anew, if it is time: what `living` claims is claimed for a while longer, and what is diverted to the engine
    /// kept from the host.
    pub(in crate::dataplane) fn tend(&mut self, living: &Claim, diverted: &Diverted, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = Some(now + self.lasts / 2);
        if let Err(error) = ended::sweep() {
            tracing::debug!(%error, "what killed daemons have left behind is not looked through");
        }
        let holds = self.holds();
        let written = match &mut self.claim {
            Some(claim) => claim.prolong(holds),
            None => Claim::bequeath(living, holds).map(|claim| self.claim = Some(claim)),
        };
        if let Err(error) = written {
            // Somebody has deleted it, or the kernel cannot do it: the process is no worse off than without.
            tracing::debug!(%error, "what the claim leaves behind cannot be written");
            self.claim = None;
        }
        self.divert(diverted);
    }

    /// What it holds beyond half of which it is written anew.
    fn holds(&self) -> Duration {
        self.lasts + self.lasts / 2
    }

    /// As the diversion's, as far as the kernel has taken it.
    pub(in crate::dataplane) fn divert(&mut self, diverted: &Diverted) {
        if self.lasts.is_zero() || self.silence.is_none() && diverted.is_empty() {
            return;
        }
        let holds = self.holds();
        let silence = self.silence.take().map_or_else(Silence::open, Ok);
        let written = silence.and_then(|mut silence| {
            silence.update(diverted, holds)?;
            silence.prolong(holds)?;
            Ok(silence)
        });
        match written {
            Ok(silence) => self.silence = Some(silence),
            Err(error) => tracing::debug!(%error, "what the diversion leaves behind cannot be written"),
        }
    }

    /// As the claim's.
    pub(in crate::dataplane) fn update(&mut self, wanted: &Claims) {
        if let Some(Err(error)) = self.claim.as_mut().map(|claim| claim.update(wanted)) {
            tracing::debug!(%error, "what the claim leaves behind is not up to date");
            self.claim = None;
        }
    }

    /// As the claim's.
    pub(in crate::dataplane) fn hook(&mut self, wanted: &BTreeMap<u32, String>) {
        if let Some(claim) = &mut self.claim {
            // Where the claim is refused, it has said so.
            drop(claim.hook(wanted));
        }
    }

    fn revoke(&mut self) {
        self.silence = None;
        if let Some(Err(error)) = self.claim.take().map(|mut claim| claim.delete()) {
            tracing::debug!(%error, "what the claim leaves behind was gone already");
        }
    }
}

impl Drop for Will {
    /// An orderly end leaves nothing, of a predecessor that was killed just now neither.
    fn drop(&mut self) {
        self.revoke();
        if let Err(error) = ended::sweep_orphans() {
            tracing::debug!(%error, "what killed daemons have left behind is not looked through");
        }
    }
}
