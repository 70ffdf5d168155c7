//! The text of the rules, line by line. Every fault is told, with its line and what was expected there.
//!
//! Not here: the meaning of a rule (`acl`), and the filter with its placeholders (`template`).

use std::fmt;

use super::template::{Template, TemplateFault};
use super::{Action, Attribute, Condition, Criterion, Effect, RULES_MAX, Rule};

const COMMENT: char = '#';
const QUOTE: char = '"';
const EFFECTS: &str = "`allow` or `deny`";
const ACTIONS: &str = "`publish`, `subscribe` or `all`";
const CONDITIONS: &str = "`topic`, or a condition: `user`, `client`, `listener`, `cert.cn`, `cert.ou`, \
                          `cert.serial`, `cert.san.dns`, `cert.san.uri`";

/// What is wrong with one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct AclFault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: AclProblem,
}

/// How a line breaks the grammar.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AclProblem {
    /// Another word was due.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What the grammar asks for.
        expected: &'static str,
        /// What stands there.
        found: Found,
    },
    /// A quoted name that does not end.
    #[error("the name that begins with {QUOTE} has no closing {QUOTE}")]
    OpenQuote,
    /// The same condition twice: both can hold only if they are equal.
    #[error("condition `{0}` stands twice; write one rule for each name")]
    RepeatedCondition(String),
    /// The filter.
    #[error("{0}")]
    Filter(TemplateFault),
    /// The file is too long.
    #[error("a file may have {RULES_MAX} rules at most")]
    TooManyRules,
}

/// Characters of a word that are shown where another was due. Enough to find it; a file of secrets that was taken for one of
/// rules does not end up in a log.
const FOUND_CHARACTERS_MAX: usize = 20;

/// What stands in a line where something else was due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// This word.
    Word(String),
    /// Nothing more.
    EndOfLine,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{}`", word.escape_debug()),
            Self::EndOfLine => f.write_str("the end of the line"),
        }
    }
}

/// All rules of a text, or all of its faults.
pub(super) fn rules(text: &str) -> Result<Vec<Rule>, Vec<AclFault>> {
    let mut rules = Vec::new();
    let mut faults = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let (line, text) = (index + 1, text.trim());
        if text.is_empty() || text.starts_with(COMMENT) {
            continue;
        }
        if rules.len() + faults.len() == RULES_MAX {
            faults.push(AclFault { line, problem: AclProblem::TooManyRules });
            break;
        }
        match rule(line, text) {
            Ok(rule) => rules.push(rule),
            Err(problem) => faults.push(AclFault { line, problem }),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn rule(line: usize, text: &str) -> Result<Rule, AclProblem> {
    let mut words = Words { rest: text };
    let effect = match words.next() {
        Some("allow") => Effect::Allow,
        Some("deny") => Effect::Deny,
        other => return Err(expected(EFFECTS, other)),
    };
    let action = match words.next() {
        Some("publish") => Action::Publish,
        Some("subscribe") => Action::Subscribe,
        Some("all") => Action::All,
        other => return Err(expected(ACTIONS, other)),
    };
    let mut conditions: Vec<Condition> = Vec::new();
    loop {
        let whose = match words.next() {
            Some("topic") => break,
            Some(word) => criterion(word).ok_or_else(|| expected(CONDITIONS, Some(word)))?,
            None => return Err(expected(CONDITIONS, None)),
        };
        if conditions.iter().any(|condition| condition.whose == whose) {
            return Err(AclProblem::RepeatedCondition(whose.to_string()));
        }
        conditions.push(Condition { whose, name: words.name()? });
    }
    if words.rest.is_empty() {
        return Err(expected("a topic filter after `topic`", None));
    }
    let filter = Template::parse(words.rest).map_err(AclProblem::Filter)?;
    Ok(Rule { line, text: text.to_owned(), effect, action, conditions, filter })
}

fn expected(expected: &'static str, found: Option<&str>) -> AclProblem {
    let shorten = |word: &str| match word.char_indices().nth(FOUND_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    };
    let found = found.map_or(Found::EndOfLine, |word| Found::Word(shorten(word)));
    AclProblem::Expected { expected, found }
}

fn criterion(word: &str) -> Option<Criterion> {
    if word == "listener" {
        return Some(Criterion::Listener);
    }
    Attribute::ALL.into_iter().find(|attribute| condition_name(*attribute) == word).map(Criterion::Attribute)
}

/// How a condition on an attribute is written.
pub(super) const fn condition_name(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::ClientId => "client",
        Attribute::Username => "user",
        Attribute::CommonName
        | Attribute::SanUri
        | Attribute::SanDns
        | Attribute::Serial
        | Attribute::OrganizationalUnit => attribute.name(),
    }
}

/// A line, word by word.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.rest.split_once(char::is_whitespace).unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        (!word.is_empty()).then_some(word)
    }

    fn name(&mut self) -> Result<String, AclProblem> {
        const NAME: &str = "a name";
        if let Some(quoted) = self.rest.strip_prefix(QUOTE) {
            let (name, rest) = quoted.split_once(QUOTE).ok_or(AclProblem::OpenQuote)?;
            if name.is_empty() {
                return Err(expected(NAME, Some("\"\"")));
            }
            if rest.chars().next().is_some_and(|after| !after.is_whitespace()) {
                return Err(expected("a space after a quoted name", rest.split_whitespace().next()));
            }
            self.rest = rest.trim_start();
            return Ok(name.to_owned());
        }
        self.next().map(str::to_owned).ok_or_else(|| expected(NAME, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        rules(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn comments_and_empty_lines_are_no_rules() {
        let rules = rules("# a comment\n\n   \t\n  # another\r\nallow all topic #\r\n").unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!((rules[0].line, rules[0].text.as_str()), (5, "allow all topic #"));
    }

    #[test]
    fn a_name_in_quotes_may_hold_spaces_and_a_filter_is_the_rest_of_the_line() {
        let rules =
            rules("allow  publish\tuser \"Jane Doe\"  cert.ou Plant-7 topic  hall 7/+/state ").unwrap();
        let names: Vec<_> = rules[0].conditions.iter().map(|condition| condition.name.as_str()).collect();
        assert_eq!(names, ["Jane Doe", "Plant-7"]);
        let filled = rules[0].filter.fill(Effect::Allow, &crate::access::subject::Subject::default());
        assert_eq!(filled.filters[0].as_str(), "hall 7/+/state");
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line_and_what_was_expected() {
        let text = "permit publish topic a\n\
                    allow read topic a\n\
                    allow publish topic good\n\
                    deny all user\n\
                    deny all user \"a topic b\n\
                    deny all user \"a\"b topic c\n\
                    deny all client \"\" topic c\n\
                    allow publish group x topic a\n\
                    allow publish user a user b topic c\n\
                    allow publish\n\
                    allow publish topic\n\
                    allow publish topic a/#/b\n\
                    allow publish topic a/${client}/b\n\
                    allow publish topic a/${client_id\n\
                    allow subscribe topic $share/g/a\n";
        let faults = faults(text);
        let expected = [
            "line 1: expected `allow` or `deny`, found `permit`",
            "line 2: expected `publish`, `subscribe` or `all`, found `read`",
            "line 4: expected a name, found the end of the line",
            "line 5: the name that begins with \" has no closing \"",
            "line 6: expected a space after a quoted name, found `b`",
            "line 7: expected a name, found `\\\"\\\"`",
            "line 8: expected `topic`, or a condition: `user`, `client`, `listener`, `cert.cn`, `cert.ou`, \
             `cert.serial`, `cert.san.dns`, `cert.san.uri`, found `group`",
            "line 9: condition `user` stands twice; write one rule for each name",
            "line 10: expected `topic`, or a condition: `user`, `client`, `listener`, `cert.cn`, `cert.ou`, \
             `cert.serial`, `cert.san.dns`, `cert.san.uri`, found the end of the line",
            "line 11: expected a topic filter after `topic`, found the end of the line",
            "line 12: ",
            "line 13: placeholder `${client}` is unknown; there are ${client_id} ${username} ${cert.cn} \
             ${cert.san.uri} ${cert.san.dns} ${cert.serial} ${cert.ou}",
            "line 14: placeholder `${client_id` has no closing `}`",
            "line 15: ",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.starts_with(expected), "{fault}\n{expected}");
        }
    }

    #[test]
    fn a_password_file_that_is_taken_for_rules_is_not_shown() {
        let faults = faults("jane:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g");
        assert_eq!(faults, ["line 1: expected `allow` or `deny`, found `jane:$argon2id$v=19$…`"]);
    }

    #[test]
    fn a_file_with_too_many_rules_is_refused() {
        let text = "allow all topic a\n".repeat(RULES_MAX + 1);
        let faults = rules(&text).unwrap_err();
        assert_eq!(faults, [AclFault { line: RULES_MAX + 1, problem: AclProblem::TooManyRules }]);
    }
}
