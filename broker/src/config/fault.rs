//! What is wrong with a configuration: which key, what stands there, what may stand there.

use std::fmt;

/// One fault. A configuration is read to its end, and all of its faults are told at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where the value came from: the file, or the name of an environment variable.
    pub origin: String,
    /// The key with its section, as in `limits.connections`; empty where the whole file is meant.
    pub key: String,
    /// What stands there, as it would be written in the file.
    pub value: Option<String>,
    /// What may stand there, or what else is wrong.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// All faults of a configuration; at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
