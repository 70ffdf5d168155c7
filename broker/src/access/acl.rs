//! The access rules: who may publish and subscribe where. A file of lines; the first line that matches decides.
//!
//! ```text
//! RULE      = EFFECT ACTION { CONDITION NAME } "topic" FILTER
//! EFFECT    = "allow" | "deny"
//! ACTION    = "publish" | "subscribe" | "all"
//! CONDITION = "user" | "client" | "listener" | "cert.cn" | "cert.ou" | "cert.serial" | "cert.san.dns" | "cert.san.uri"
//! NAME      = a word, or anything between double quotes
//! FILTER    = the rest of the line: a topic filter, wildcards included, with placeholders
//! ```
//!
//! A line that is empty or begins with `#` is a comment. One rule is one line.
//!
//! - **First match decides**, from top to bottom. What no rule matches is denied.
//! - **Conditions** must all hold; each may stand once. Without conditions a rule is for every client. `user` is a name
//!   that a password, a token or the hook has proven; a name that was merely sent does not count.
//! - **`subscribe`** is both to subscribe and to receive. To subscribe, the rule's filter must cover all that the client
//!   asks for: `allow subscribe topic a/+` does not let anyone subscribe to `a/#`. A `deny` that touches only a part of
//!   a wildcard does not refuse the subscription; messages of that part are not delivered.
//! - **Filters** mean what they mean in a SUBSCRIBE: `#` and `+` in the first place do not reach topics that begin with
//!   `$` [MQTT-4.7.2-1], so that `$SYS` is closed to everyone until a rule names it. `$share/…` is never written here: a
//!   shared subscription needs the permission for its filter.
//! - **Placeholders**: `${client_id}` `${username}` `${cert.cn}` `${cert.san.uri}` `${cert.san.dns}` `${cert.serial}`
//!   `${cert.ou}`, anywhere in a level. A rule whose placeholder has no value does not match. With several values (the
//!   alternative names of a certificate) the rule holds for each.
//! - **A value stays within its level.** An empty value, or one with `/`, `+`, `#` or a control character (or with `$` in
//!   front, where it would begin the filter), is never put into a filter: an `allow` with it does not match, and a `deny`
//!   with it denies everything below the level in which it stands.
//!
//! Not here: who the client is (`subject`), and what a token narrows further (`permissions`).

mod cover;
mod explain;
mod parse;
mod template;

use std::fmt;

use rivulet_protocol::{Topic, TopicFilter};

use super::subject::{Attribute, Subject};
use template::Template;

pub(super) use cover::covers;
pub use explain::{Explanation, Request, Step};
pub use parse::{AclFault, AclProblem, Found};
pub use template::TemplateFault;

/// Most rules that a file may have. One more is a fault of the file.
pub const RULES_MAX: usize = 100_000;

/// A file of rules, checked.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    rules: Vec<Rule>,
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Permits it.
    Allow,
    /// Refuses it.
    Deny,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// To publish.
    Publish,
    /// To subscribe, and to receive.
    Subscribe,
    /// Both.
    All,
}

/// One line of the file.
#[derive(Clone, Debug)]
struct Rule {
    line: usize,
    /// As it stands in the file, for an operator who asks why.
    text: String,
    effect: Effect,
    action: Action,
    conditions: Vec<Condition>,
    filter: Template,
}

/// What must hold for the client.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Condition {
    whose: Criterion,
    name: String,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Criterion {
    Listener,
    Attribute(Attribute),
}

/// The rules that concern one client, its values filled in. Asked for each PUBLISH, SUBSCRIBE and delivery.
#[derive(Clone, Debug, Default)]
pub struct CompiledAcl {
    publish: Box<[Entry]>,
    subscribe: Box<[Entry]>,
}

/// One rule with the client's values.
#[derive(Clone, Debug)]
struct Entry {
    effect: Effect,
    filter: TopicFilter,
}

impl Acl {
    /// The rules of a file's text.
    ///
    /// # Errors
    ///
    /// Every fault of the file, in the order of its lines.
    pub fn parse(text: &str) -> Result<Self, Vec<AclFault>> {
        parse::rules(text).map(|rules| Self { rules })
    }

    /// Everything to everyone, but for topics that begin with `$`.
    pub fn open() -> Self {
        let filter = Template::parse("#").expect("the filter of everything is well formed");
        let (effect, action) = (Effect::Allow, Action::All);
        let text = "allow all topic #".to_owned();
        Self { rules: vec![Rule { line: 1, text, effect, action, conditions: Vec::new(), filter }] }
    }

    /// Names of listeners that conditions speak of, with their lines: a configuration without them is at fault.
    pub fn listeners(&self) -> impl Iterator<Item = (usize, &str)> {
        self.rules.iter().flat_map(|rule| {
            let named = rule.conditions.iter().filter(|condition| condition.whose == Criterion::Listener);
            named.map(|condition| (rule.line, condition.name.as_str()))
        })
    }

    /// What these rules say about one client.
    pub fn compile(&self, subject: &Subject) -> CompiledAcl {
        let mut publish = Vec::new();
        let mut subscribe = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.failed_condition(subject).is_none()) {
            for filter in rule.filter.fill(rule.effect, subject).filters {
                let entry = Entry { effect: rule.effect, filter };
                match rule.action {
                    Action::Publish => publish.push(entry),
                    Action::Subscribe => subscribe.push(entry),
                    Action::All => {
                        publish.push(entry.clone());
                        subscribe.push(entry);
                    }
                }
            }
        }
        CompiledAcl { publish: publish.into(), subscribe: subscribe.into() }
    }
}

impl Rule {
    fn failed_condition(&self, subject: &Subject) -> Option<&Condition> {
        self.conditions.iter().find(|condition| match condition.whose {
            Criterion::Listener => condition.name != subject.listener,
            Criterion::Attribute(attribute) => {
                !subject.values(attribute).into_iter().any(|value| value == condition.name)
            }
        })
    }
}

impl CompiledAcl {
    /// Whether the client may publish there.
    pub fn may_publish(&self, topic: &Topic) -> bool {
        first(&self.publish, |filter| filter.matches(topic)).is_some_and(Entry::allows)
    }

    /// Whether the client may subscribe to all of this.
    pub fn may_subscribe(&self, wanted: &TopicFilter) -> bool {
        first(&self.subscribe, |filter| covers(filter, wanted)).is_some_and(Entry::allows)
    }

    /// Whether the client may receive what was published there.
    pub fn may_receive(&self, topic: &Topic) -> bool {
        first(&self.subscribe, |filter| filter.matches(topic)).is_some_and(Entry::allows)
    }
}

impl Entry {
    fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }
}

fn first(entries: &[Entry], applies: impl Fn(&TopicFilter) -> bool) -> Option<&Entry> {
    entries.iter().find(|entry| applies(&entry.filter))
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener => f.write_str("listener"),
            Self::Attribute(attribute) => f.write_str(parse::condition_name(*attribute)),
        }
    }
}

#[cfg(test)]
mod tests;
