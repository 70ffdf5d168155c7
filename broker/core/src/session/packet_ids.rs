//! Packet identifiers of the broker's own exchanges: never zero, never in use (2.2.1).

use rivulet_protocol::PacketId;

/// The identifiers of one session, unique over all of its flows: clients look them up in one table.
#[derive(Debug)]
pub(crate) struct PacketIds {
    next: PacketId,
}

impl Default for PacketIds {
    fn default() -> Self {
        Self { next: PacketId::MIN }
    }
}

impl PacketIds {
    /// The next identifier that is not in use [MQTT-2.2.1-4]. `None`: all 65,535 are.
    pub(crate) fn next_free(&mut self, is_in_use: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            let id = self.next;
            self.next = id.next();
            if !is_in_use(id) {
                return Some(id);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MQTT-2.2.1-4].
    #[test]
    fn an_identifier_in_use_is_skipped_also_over_the_end_of_the_range() {
        let mut ids = PacketIds { next: PacketId::new(u16::MAX).unwrap() };
        let stuck = [PacketId::MIN, PacketId::MIN.next()];
        let mut given = || ids.next_free(|id| stuck.contains(&id)).map(PacketId::get);
        assert_eq!(given(), Some(u16::MAX));
        assert_eq!(given(), Some(3));
    }

    #[test]
    fn when_all_are_in_use_there_is_none() {
        assert_eq!(PacketIds::default().next_free(|_| true), None);
    }
}
