//! Where the engine and the two halves of one flow leave things for each other.
//!
//! ```text
//!            commands                       gate
//!  engine ------------> writer     reader <------ engine
//! ```
//!
//! Both directions are bounded without waiting: commands by the credit that the writer gave, batches of a reader by
//! [`BATCHES_MAX`].

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rivulet_core::CloseCause;
use rivulet_core::output::Outgoing;
use rivulet_protocol::Encoder;
use tokio::sync::Notify;

/// Batches of one flow that may wait for the engine. One that is being handled and one that is ready keep both busy.
const BATCHES_MAX: usize = 2;

/// What the engine wants of a writer.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all commands are packets, and a box for each would cost more"
)]
pub(crate) enum Command {
    /// Encode from here on like this.
    Negotiated(Encoder),
    /// Send a packet.
    Send(Outgoing),
    /// End the flow in order. The last command.
    Finish,
    /// End the connection, once all before this has left. The last command.
    Close(CloseCause),
}

/// What the engine and one flow share.
#[derive(Debug, Default)]
pub(crate) struct FlowDesk {
    commands: Mutex<Vec<Command>>,
    has_commands: Notify,
    is_paused: AtomicBool,
    batches: AtomicUsize,
    may_read: Notify,
}

impl FlowDesk {
    /// Leaves commands for the writer, which wakes up once for all of them. `commands` is empty afterwards.
    pub(crate) fn leave(&self, commands: &mut Vec<Command>) {
        let mut waiting = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            // The writer's spare vector comes back to the engine: no allocation in a steady flow.
            mem::swap(&mut *waiting, commands);
        } else {
            waiting.append(commands);
        }
        drop(waiting);
        self.has_commands.notify_one();
    }

    /// Waits for commands and takes all of them. `commands` is to be empty.
    pub(crate) async fn take(&self, commands: &mut Vec<Command>) {
        loop {
            {
                let mut waiting = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
                mem::swap(&mut *waiting, commands);
            }
            if !commands.is_empty() {
                return;
            }
            self.has_commands.notified().await;
        }
    }

    /// Stops the reader before its next read, or lets it go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
        if !is_paused {
            self.may_read.notify_one();
        }
    }

    /// Waits until the reader may read and hand in another batch.
    pub(crate) async fn may_read(&self) {
        while self.is_paused.load(Ordering::Relaxed) || self.batches.load(Ordering::Relaxed) >= BATCHES_MAX {
            self.may_read.notified().await;
        }
    }

    /// Notes a batch on its way to the engine.
    pub(crate) fn batch_sent(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the engine is done with a batch.
    pub(crate) fn batch_done(&self) {
        if self.batches.fetch_sub(1, Ordering::Relaxed) >= BATCHES_MAX {
            self.may_read.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn commands_come_in_the_order_in_which_they_were_left() {
        let desk = FlowDesk::default();
        let mut taken = Vec::new();
        assert!(poll(desk.take(&mut taken)).is_pending());
        desk.leave(&mut vec![Command::Finish]);
        desk.leave(&mut vec![Command::Close(CloseCause::Drain)]);
        assert!(poll(desk.take(&mut taken)).is_ready());
        assert!(matches!(taken[..], [Command::Finish, Command::Close(CloseCause::Drain)]));
    }

    #[test]
    fn a_paused_flow_is_not_read_until_it_is_resumed() {
        let desk = FlowDesk::default();
        assert!(poll(desk.may_read()).is_ready());
        desk.pause(true);
        assert!(poll(desk.may_read()).is_pending());
        desk.pause(false);
        assert!(poll(desk.may_read()).is_ready());
    }

    #[test]
    fn a_flow_whose_batches_wait_is_not_read_further() {
        let desk = FlowDesk::default();
        for _ in 0..BATCHES_MAX {
            assert!(poll(desk.may_read()).is_ready());
            desk.batch_sent();
        }
        assert!(poll(desk.may_read()).is_pending());
        desk.batch_done();
        assert!(poll(desk.may_read()).is_ready());
    }
}
