//! What one client may do, as the core asks it: the access rules, narrowed by what its token or the hook has said.

use rivulet_core::Permissions;
use rivulet_protocol::{QoS, Topic, TopicFilter};

use super::acl::CompiledAcl;
use super::grants::Grants;

/// Made once, when the client is let in.
#[derive(Clone, Debug, Default)]
pub struct ClientPermissions {
    /// The access rules, with the client's values filled in.
    pub acl: CompiledAcl,
    /// The lists that came with its proof.
    pub grants: Grants,
}

impl Permissions for ClientPermissions {
    fn may_publish(&self, topic: &Topic, _qos: QoS, _retain: bool) -> bool {
        self.acl.may_publish(topic) && self.grants.may_publish(topic)
    }

    fn may_subscribe(&self, filter: &TopicFilter) -> bool {
        self.acl.may_subscribe(filter) && self.grants.may_subscribe(filter)
    }

    fn may_receive(&self, topic: &Topic) -> bool {
        self.acl.may_receive(topic) && self.grants.may_receive(topic)
    }
}
