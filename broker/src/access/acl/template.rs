//! A topic filter with placeholders, and what it becomes for one client.
//!
//! The one rule here: a value stays within the level in which its placeholder stands, and never becomes a pattern.

use rivulet_protocol::TopicFilter;
use rivulet_protocol::topic::TopicError;

use super::Effect;
use crate::access::subject::{Attribute, Subject, VALUES_MAX};

const OPEN: &str = "${";
const CLOSE: char = '}';
const SHARED: &str = "$share/";

/// A filter as it stands in a rule. Well formed whatever usable values are put in.
#[derive(Clone, Debug)]
pub(super) struct Template {
    text: String,
    pieces: Vec<Piece>,
    /// The filter, if there is nothing to fill in: all clients share it.
    fixed: Option<TopicFilter>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Placeholder(Attribute),
}

/// Why a text is no filter for a rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateFault {
    /// A placeholder that does not end.
    #[error("placeholder `{0}` has no closing `}}`")]
    OpenPlaceholder(String),
    /// A placeholder that nobody knows.
    #[error("placeholder `${{{0}}}` is unknown; there are{all}", all = placeholders())]
    UnknownPlaceholder(String),
    /// A share name.
    #[error(
        "filter `{0}` begins with `$share/`; write the filter alone, shared subscriptions need the same permission"
    )]
    Shared(String),
    /// No topic filter.
    #[error("filter `{0}` {1}")]
    Malformed(String, TopicError),
}

fn placeholders() -> String {
    Attribute::ALL.map(|attribute| format!(" ${{{attribute}}}")).concat()
}

/// What a filter became for a client.
#[derive(Clone, Debug, Default)]
pub(super) struct Filled {
    /// The filters; none if the rule does not match.
    pub(super) filters: Vec<TopicFilter>,
    /// An attribute for which the client has no value.
    pub(super) missing: Option<Attribute>,
    /// A value that cannot stand in a level.
    pub(super) unusable: Option<(Attribute, String)>,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateFault> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (name, after) = after
                .split_once(CLOSE)
                .ok_or_else(|| TemplateFault::OpenPlaceholder(format!("{OPEN}{after}")))?;
            let attribute =
                Attribute::parse(name).ok_or_else(|| TemplateFault::UnknownPlaceholder(name.to_owned()))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Placeholder(attribute));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let mut template = Self { text: text.to_owned(), pieces, fixed: None };
        if template.text.starts_with(SHARED) {
            return Err(TemplateFault::Shared(template.text));
        }
        // Any usable value is as good as this one: it has no character that means something in a filter.
        let example = template.with(|_| "x");
        match TopicFilter::parse(example) {
            Ok(filter) => {
                template.fixed = template.attributes().is_empty().then_some(filter);
                Ok(template)
            }
            Err(error) => Err(TemplateFault::Malformed(template.text, error)),
        }
    }

    /// The filters that this stands for. Where a value cannot be used, an `allow` stands for nothing, and a `deny` for
    /// everything below the level of its first placeholder: neither lets in more than the rule's author meant.
    pub(super) fn fill(&self, effect: Effect, subject: &Subject) -> Filled {
        let mut filled = Filled::default();
        if let Some(filter) = &self.fixed {
            filled.filters.push(filter.clone());
            return filled;
        }
        let mut choices: Vec<Vec<(Attribute, &str)>> = vec![Vec::new()];
        for attribute in self.attributes() {
            let values = subject.values(attribute);
            if values.is_empty() {
                return Filled { missing: Some(attribute), ..Filled::default() };
            }
            let count = values.len();
            let (usable, unusable): (Vec<_>, Vec<_>) =
                values.into_iter().partition(|value| count <= VALUES_MAX && self.can_hold(attribute, value));
            if let Some(value) = unusable.first() {
                filled.unusable = Some((attribute, (*value).to_owned()));
            }
            choices = choices
                .iter()
                .flat_map(|choice| {
                    usable.iter().map(|value| [choice.as_slice(), &[(attribute, *value)]].concat())
                })
                .collect();
        }
        for choice in &choices {
            let value_of = |wanted| {
                choice.iter().find(|(attribute, _)| *attribute == wanted).map_or("", |(_, value)| *value)
            };
            match TopicFilter::parse(self.with(value_of)) {
                Ok(filter) if !filter.as_str().starts_with(SHARED) => filled.filters.push(filter),
                Ok(_) | Err(_) => {
                    filled.unusable =
                        choice.first().map(|(attribute, value)| (*attribute, (*value).to_owned()));
                }
            }
        }
        if filled.unusable.is_some() && effect == Effect::Deny {
            filled.filters.extend(self.everything_below());
        }
        filled
    }

    fn with<'a>(&'a self, value_of: impl Fn(Attribute) -> &'a str) -> String {
        let texts = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Placeholder(attribute) => value_of(*attribute),
        });
        texts.collect()
    }

    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Placeholder(attribute) if !attributes.contains(attribute) => {
                    attributes.push(*attribute)
                }
                Piece::Placeholder(_) | Piece::Text(_) => {}
            }
        }
        attributes
    }

    fn can_hold(&self, attribute: Attribute, value: &str) -> bool {
        let begins_the_filter =
            matches!(self.pieces.first(), Some(Piece::Placeholder(first)) if *first == attribute);
        let reaches_out = |c: char| matches!(c, '/' | '+' | '#') || c.is_control();
        let is_special = begins_the_filter && value.starts_with('$');
        !value.is_empty() && !value.contains(reaches_out) && !is_special
    }

    fn everything_below(&self) -> Option<TopicFilter> {
        let before = self.text.split(OPEN).next().unwrap_or_default();
        let levels = before.rfind('/').map_or("", |slash| &before[..=slash]);
        TopicFilter::parse(format!("{levels}#")).ok()
    }
}
