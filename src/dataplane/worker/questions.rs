//! Questions about connections and counters, which wait until everything that the kernel has carried is credited; and the changes that must
//! not overtake them.

use std::time::Instant;

use standfast_ipvs::Director;

use super::{Order, Worker};
use crate::dataplane::carrying::changes_ways;
use crate::dataplane::command::{Command, DriverCounters, ServiceSnapshot, Snapshot};
use crate::dataplane::engine::Engine;

/// So many are described between two packets: some tens of microseconds.
const CONNECTIONS_AT_ONCE: usize = 1024;

/// Questions, by the round of reading that they wait for.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Came after the round at hand had begun.
    later: Vec<Order>,
    /// Answered at the end of the round at hand.
    asked: Vec<Order>,
}

impl Questions {
    /// Takes a question.
    pub(super) fn ask(&mut self, question: Order) {
        self.later.push(question);
    }

    fn is_empty(&self) -> bool {
        self.later.is_empty() && self.asked.is_empty()
    }

    /// Begins the round of the questions that wait for one, if none is under way.
    fn begin(&mut self, engine: &mut Engine) {
        if self.asked.is_empty() && !self.later.is_empty() {
            std::mem::swap(&mut self.asked, &mut self.later);
            engine.read_carriage();
        }
    }
}

impl<F: Fn() -> Director> Worker<F> {
    /// As [`Self::serve_sync`]; answers what waited for everything carried to be credited.
    pub(super) fn serve_carriage(&mut self, engine: &mut Engine, now: Instant) -> usize {
        self.questions.begin(engine);
        let mut busy = engine.tend_carriage(self.frames.ring.info(0).is_none(), now);
        if !busy && !self.questions.is_empty() {
            std::mem::take(&mut self.questions.asked).into_iter().for_each(|question| self.answer(question, engine));
            busy = !self.questions.is_empty();
        }
        usize::from(busy)
    }

    fn answer(&mut self, question: Order, engine: &mut Engine) {
        let heard = match question {
            Order::Snapshot(reply) => {
                self.frames.count_overflow(engine);
                reply.send(snapshot(engine)).is_ok()
            }
            Order::Connections(skip, reply) => {
                let connections = engine.director.connections(Instant::now()).skip(skip).take(CONNECTIONS_AT_ONCE);
                reply.send(connections.collect()).is_ok()
            }
            _ => true,
        };
        if !heard {
            tracing::debug!("nobody waits for the answer any more");
        }
    }

    /// Answers what was asked before a change, and has what was carried counted before counters are set back.
    pub(super) fn finish_questions(&mut self, commands: &[Command], engine: &mut Engine) {
        let now = Instant::now();
        if commands.iter().any(|command| matches!(command, Command::Zero(_))) {
            engine.read_carriage();
            while engine.tend_carriage(false, now) {}
        }
        while !self.questions.is_empty() {
            self.serve_carriage(engine, now);
        }
    }

    /// Carries out commands.
    pub(super) fn apply(&mut self, commands: &[Command], engine: &mut Engine) {
        self.finish_questions(commands, engine);
        for command in commands {
            if changes_ways(command, &engine.director) {
                engine.void_carriage();
            }
            if let Err(error) = command.apply(&mut engine.director) {
                tracing::debug!(%error, ?command, "the worker's director refuses");
            }
        }
    }

    /// Begins anew, without services.
    pub(super) fn reset(&mut self, engine: &mut Engine) {
        self.finish_questions(&[], engine);
        let mut carrying = engine.carrying.take();
        carrying.iter_mut().for_each(|carrying| carrying.forget());
        *engine = Engine::new((self.make_director)(), engine.counters, carrying);
    }
}

fn snapshot(engine: &Engine) -> Snapshot {
    let director = &engine.director;
    let services = director.services().into_iter().map(|service| ServiceSnapshot {
        destinations: director.destinations(&service.config.id).unwrap_or_default(),
        service,
    });
    Snapshot {
        services: services.collect(),
        timeouts: director.timeouts(),
        connections: director.connection_count(),
        carried: engine.carrying.as_ref().map_or(0, |carrying| carrying.connections()),
        engine: director.counters().clone(),
        driver: DriverCounters {
            carried: engine.carrying.as_ref().map_or(0, |carrying| carrying.packets()),
            ..engine.counters
        },
    }
}
