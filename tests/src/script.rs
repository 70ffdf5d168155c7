//! Scripts: conversations with the core as text that a reader of the specification can review.
//!
//! ```text
//! # A repeated QoS 2 PUBLISH is acknowledged again. [MQTT-4.3.3-10]
//!
//! pub > CONNECT clean               what happens: packets from clients, disk, clock, operator
//! pub > PUBLISH id=7 "t" qos=2 "a"
//! ----
//! pub < CONNACK success             all that comes of it
//! pub < PUBREC id=7 no-matching-subscribers
//! ```
//!
//! A step ends at an empty line. What one client sees is compared in its order; across clients there is no order.
//! The commands are listed in `world/commands.rs`, the packets in [`crate::notation`].

mod world;

use std::fmt::{self, Write};

use self::world::World;

/// One conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    /// A comment or an empty line, as it stands.
    Remark(String),
    Step(Step),
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Step {
    commands: Vec<String>,
    outcome: Vec<String>,
}

impl Script {
    /// Reads a script. The error says what is wrong with which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((_, line)) = lines.peek() {
            if line.trim().is_empty() || line.starts_with('#') {
                parts.extend(lines.next().map(|(_, line)| Part::Remark(line.to_owned())));
                continue;
            }
            let mut step = Step::default();
            loop {
                match lines.next() {
                    Some((_, "----")) => break,
                    Some((number, "")) => {
                        return Err(format!("line {}: a step ends without `----`", number + 1));
                    }
                    Some((_, command)) => step.commands.push(command.to_owned()),
                    None => return Err("the last step ends without `----`".to_owned()),
                }
            }
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                step.outcome.push(line.to_owned());
            }
            parts.push(Part::Step(step));
        }
        Ok(Self { parts })
    }

    /// Plays the script against a broker. Returns it with the outcomes that came.
    ///
    /// # Errors
    ///
    /// A command that is not understood.
    pub fn play(&self) -> Result<Self, String> {
        let mut world = World::new();
        let mut parts = Vec::new();
        for part in &self.parts {
            parts.push(match part {
                Part::Remark(remark) => Part::Remark(remark.clone()),
                Part::Step(step) => {
                    let mut outcome = Vec::new();
                    for command in &step.commands {
                        world.command(command).map_err(|error| format!("`{command}`: {error}"))?;
                        outcome.append(&mut world.take_outcome());
                    }
                    Part::Step(Step { commands: step.commands.clone(), outcome })
                }
            });
        }
        world.end();
        Ok(Self { parts })
    }

    /// The steps whose outcomes differ, as text. Empty: the scripts agree.
    pub fn differences(&self, other: &Self) -> String {
        let mut text = String::new();
        for (expected, came) in self.steps().zip(other.steps()) {
            if expected.by_speaker() == came.by_speaker() {
                continue;
            }
            for command in &expected.commands {
                line(&mut text, "  ", command);
            }
            line(&mut text, "  ", "----");
            for missing in expected.outcome.iter().filter(|line| !came.outcome.contains(line)) {
                line(&mut text, "- ", missing);
            }
            for outcome in &came.outcome {
                let is_expected = expected.outcome.contains(outcome);
                line(&mut text, if is_expected { "  " } else { "+ " }, outcome);
            }
            text.push('\n');
        }
        text
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.parts.iter().filter_map(|part| match part {
            Part::Step(step) => Some(step),
            Part::Remark(_) => None,
        })
    }
}

impl Step {
    /// The outcome, sorted by who sees it, and in its order for each.
    fn by_speaker(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.outcome.iter().map(String::as_str).collect();
        lines.sort_by_key(|line| line.split([' ', '/']).next().unwrap_or_default());
        lines
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Remark(remark) => writeln!(f, "{remark}")?,
                Part::Step(step) => {
                    step.commands.iter().try_for_each(|command| writeln!(f, "{command}"))?;
                    writeln!(f, "----")?;
                    step.outcome.iter().try_for_each(|outcome| writeln!(f, "{outcome}"))?;
                }
            }
        }
        Ok(())
    }
}

fn line(text: &mut String, mark: &str, line: &str) {
    writeln!(text, "{mark}{line}").expect("a String takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::Script;

    const TEXT: &str =
        "# A comment.\n\nc > CONNECT clean\nc > PINGREQ\n----\nc < CONNACK success\nc < PINGRESP\n";

    #[test]
    fn a_script_is_written_as_it_is_read() {
        assert_eq!(Script::parse(TEXT).unwrap().to_string(), TEXT);
    }

    #[test]
    fn what_differs_is_shown_and_nothing_else() {
        let script = Script::parse(TEXT).unwrap();
        assert_eq!(script.differences(&script), "");
        let other = Script::parse(&TEXT.replace("c < PINGRESP", "c < CONNACK success")).unwrap();
        assert!(script.differences(&other).contains("- c < PINGRESP"));
        let swapped = "c < PINGRESP\nc < CONNACK success";
        let other = Script::parse(&TEXT.replace("c < CONNACK success\nc < PINGRESP", swapped)).unwrap();
        assert_ne!(script.differences(&other), "");
    }

    #[test]
    fn the_order_between_clients_does_not_count() {
        let text = |lines: &str| Script::parse(&format!("x\n----\n{lines}")).unwrap();
        let script = text("a < PINGRESP\na < DISCONNECT\nb < PINGRESP");
        assert_eq!(script.differences(&text("b < PINGRESP\na < PINGRESP\na < DISCONNECT")), "");
    }

    #[test]
    fn a_step_without_an_outcome_mark_is_refused() {
        assert!(Script::parse("c > PINGREQ\n\n").is_err());
        assert!(Script::parse("c > PINGREQ\n").is_err());
    }
}
