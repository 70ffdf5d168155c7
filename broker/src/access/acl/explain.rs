//! Why a client may or may not: each rule in order, and what became of it. For operators; the broker itself asks
//! [`super::CompiledAcl`], and a test holds the two together.

use std::fmt;

use rivulet_protocol::{Topic, TopicFilter};

use super::{Acl, Action, Attribute, Condition, Effect, Rule, Subject, cover};

/// What a client wants.
#[derive(Clone, Debug)]
pub enum Request {
    /// To publish there.
    Publish(Topic),
    /// To subscribe to that.
    Subscribe(TopicFilter),
    /// To be sent what was published there.
    Receive(Topic),
}

/// A decision, and how it came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    request: Request,
    steps: Vec<Step>,
}

/// One rule on the way to the decision.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line in the file, counted from 1.
    pub line: usize,
    /// As it stands there.
    pub text: String,
    outcome: Outcome,
}

/// What became of a rule.
#[derive(Clone, Debug)]
enum Outcome {
    OtherAction,
    OtherClient(Condition),
    Missing(Attribute),
    Unusable(Attribute, String),
    OutOfReach(Vec<TopicFilter>),
    /// It permits or refuses a part of what is asked for.
    Partly(Effect, TopicFilter),
    Decides(Effect, TopicFilter),
}

impl Acl {
    /// How these rules decide.
    pub fn explain(&self, subject: &Subject, request: Request) -> Explanation {
        let mut steps = Vec::new();
        for rule in &self.rules {
            let outcome = rule.outcome(subject, &request);
            let decides = matches!(outcome, Outcome::Decides(..));
            steps.push(Step { line: rule.line, text: rule.text.clone(), outcome });
            if decides {
                break;
            }
        }
        Explanation { request, steps }
    }
}

impl Rule {
    fn outcome(&self, subject: &Subject, request: &Request) -> Outcome {
        let concerns = match (self.action, request) {
            (Action::All, _)
            | (Action::Publish, Request::Publish(_))
            | (Action::Subscribe, Request::Subscribe(_) | Request::Receive(_)) => true,
            (Action::Publish, Request::Subscribe(_) | Request::Receive(_))
            | (Action::Subscribe, Request::Publish(_)) => false,
        };
        if !concerns {
            return Outcome::OtherAction;
        }
        if let Some(condition) = self.failed_condition(subject) {
            return Outcome::OtherClient(condition.clone());
        }
        let filled = self.filter.fill(self.effect, subject);
        if let Some(filter) = filled.filters.iter().find(|filter| request.is_within(filter)) {
            return Outcome::Decides(self.effect, filter.clone());
        }
        if let Some(attribute) = filled.missing {
            return Outcome::Missing(attribute);
        }
        if let Some((attribute, value)) = filled.unusable {
            return Outcome::Unusable(attribute, value);
        }
        match filled.filters.iter().find(|filter| request.touches(filter)) {
            Some(filter) => Outcome::Partly(self.effect, filter.clone()),
            None => Outcome::OutOfReach(filled.filters),
        }
    }
}

impl Request {
    fn is_within(&self, filter: &TopicFilter) -> bool {
        match self {
            Self::Publish(topic) | Self::Receive(topic) => filter.matches(topic),
            Self::Subscribe(wanted) => cover::covers(filter, wanted),
        }
    }

    fn touches(&self, filter: &TopicFilter) -> bool {
        match self {
            Self::Publish(_) | Self::Receive(_) => false,
            Self::Subscribe(wanted) => cover::overlaps(filter, wanted),
        }
    }
}

impl Explanation {
    /// The answer.
    pub fn is_allowed(&self) -> bool {
        matches!(self.steps.last(), Some(Step { outcome: Outcome::Decides(Effect::Allow, _), .. }))
    }

    /// The line that decides; `None` where no line does, and what no line allows is denied.
    pub fn deciding_line(&self) -> Option<usize> {
        self.steps.last().filter(|step| matches!(step.outcome, Outcome::Decides(..))).map(|step| step.line)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = if self.is_allowed() { "allowed" } else { "denied" };
        match self.deciding_line() {
            Some(line) => writeln!(f, "{answer} by line {line}: {}", self.request)?,
            None => writeln!(f, "{answer}, because no line matches: {}", self.request)?,
        }
        for step in &self.steps {
            writeln!(f, "  line {}: {}", step.line, step.text)?;
            writeln!(f, "    {}", step.outcome)?;
        }
        Ok(())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(topic) => write!(f, "publish to `{topic}`"),
            Self::Subscribe(filter) => write!(f, "subscribe to `{filter}`"),
            Self::Receive(topic) => write!(f, "receive from `{topic}`"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherAction => f.write_str("passed over: it is about something else"),
            Self::OtherClient(condition) => {
                write!(f, "passed over: the client's `{}` is not `{}`", condition.whose, condition.name)
            }
            Self::Missing(attribute) => {
                write!(f, "passed over: the client has no value for ${{{attribute}}}")
            }
            Self::Unusable(attribute, value) => {
                write!(
                    f,
                    "passed over: ${{{attribute}}} is `{}`, which cannot stand in one level",
                    value.escape_debug()
                )
            }
            Self::OutOfReach(filters) => {
                f.write_str("passed over: not within")?;
                filters.iter().try_for_each(|filter| write!(f, " `{filter}`"))
            }
            Self::Partly(Effect::Allow, filter) => {
                write!(f, "passed over: `{filter}` covers a part of it only")
            }
            Self::Partly(Effect::Deny, filter) => {
                write!(
                    f,
                    "passed over: denies a part of it only; messages that match `{filter}` are not delivered"
                )
            }
            Self::Decides(Effect::Allow, filter) => write!(f, "allows: within `{filter}`"),
            Self::Decides(Effect::Deny, filter) => write!(f, "denies: within `{filter}`"),
        }
    }
}
