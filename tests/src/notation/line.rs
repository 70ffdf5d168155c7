//! One line of a script as words, values and quoted texts.

use std::str::FromStr;

/// The parts of a line that nobody has taken yet.
#[derive(Clone, Debug, Default)]
pub struct Line {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Word(String),
    Text(Vec<u8>),
    Value(String, Value),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Value {
    Word(String),
    Text(Vec<u8>),
}

impl Line {
    /// Splits a line at its spaces, which quotes keep together.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let part;
            if rest.starts_with('"') {
                let (text, after) = quoted(rest)?;
                (part, rest) = (Part::Text(text), after);
            } else {
                let end = rest.find([' ', '=']).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if let Some(value) = after.strip_prefix('=') {
                    let (value, after) = value_at(value)?;
                    (part, rest) = (Part::Value(word.to_owned(), value), after);
                } else {
                    (part, rest) = (Part::Word(word.to_owned()), after);
                }
            }
            parts.push(part);
            rest = rest.trim_start();
        }
        Ok(Self { parts })
    }

    /// Takes the first part if it is a word.
    pub fn word(&mut self) -> Option<String> {
        match self.parts.first() {
            Some(Part::Word(_)) => match self.parts.remove(0) {
                Part::Word(word) => Some(word),
                Part::Text(_) | Part::Value(..) => None,
            },
            Some(Part::Text(_) | Part::Value(..)) | None => None,
        }
    }

    /// Takes a word, wherever it stands.
    pub fn flag(&mut self, name: &str) -> bool {
        let place = self.parts.iter().position(|part| matches!(part, Part::Word(word) if word == name));
        place.map(|place| self.parts.remove(place)).is_some()
    }

    /// Takes the first quoted text, wherever it stands.
    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let place = self.parts.iter().position(|part| matches!(part, Part::Text(_)))?;
        match self.parts.remove(place) {
            Part::Text(text) => Some(text),
            Part::Word(_) | Part::Value(..) => None,
        }
    }

    /// Takes the first quoted text as UTF-8.
    pub fn text(&mut self) -> Result<Option<String>, String> {
        self.bytes().map(utf8).transpose()
    }

    /// Takes a quoted value as bytes.
    pub fn value_bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Word(word)) => Err(format!("{name}={word}: write it in quotes")),
        }
    }

    /// Takes a quoted value as UTF-8.
    pub fn value_text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.value_bytes(name)?.map(utf8).transpose()
    }

    /// Takes a value that is not quoted.
    pub fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Text(_)) => Err(format!("{name} must not be quoted")),
            Some(Value::Word(word)) => {
                word.parse().map(Some).map_err(|_| format!("{name}={word} is out of range"))
            }
        }
    }

    /// Cuts the line before its second quoted text.
    pub fn split_at_text(&mut self) -> Self {
        let is_text = |part: &Part| matches!(part, Part::Text(_));
        let first = self.parts.iter().position(is_text).map_or(self.parts.len(), |first| first + 1);
        let second =
            self.parts[first..].iter().position(is_text).map_or(self.parts.len(), |next| first + next);
        Self { parts: self.parts.split_off(second) }
    }

    /// Whether all parts were taken.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Fails if a part was not taken.
    pub fn end(&self) -> Result<(), String> {
        let word = |value: &Value| match value {
            Value::Word(word) => word.clone(),
            Value::Text(text) => quote(text),
        };
        match self.parts.first() {
            None => Ok(()),
            Some(Part::Word(word)) => Err(format!("does not understand `{word}`")),
            Some(Part::Text(text)) => Err(format!("does not understand `{}`", quote(text))),
            Some(Part::Value(name, value)) => Err(format!("does not understand `{name}={}`", word(value))),
        }
    }

    fn value(&mut self, name: &str) -> Option<Value> {
        let place = self.parts.iter().position(|part| matches!(part, Part::Value(key, _) if key == name))?;
        match self.parts.remove(place) {
            Part::Value(_, value) => Some(value),
            Part::Word(_) | Part::Text(_) => None,
        }
    }
}

/// Bytes in quotes; what is not printable is escaped.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                c if (c as u32) < 0x20 => quoted.push_str(&format!("\\x{:02x}", c as u32)),
                c => quoted.push(c),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| format!("{error}"))
}

fn value_at(text: &str) -> Result<(Value, &str), String> {
    if text.starts_with('"') {
        let (text, after) = quoted(text)?;
        return Ok((Value::Text(text), after));
    }
    let (word, after) = text.split_at(text.find(' ').unwrap_or(text.len()));
    Ok((Value::Word(word.to_owned()), after))
}

/// The quoted text that `text` begins with, and what comes after it. `"ab"*3` is `ababab`.
fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut bytes = Vec::new();
    let mut rest = &text[1..];
    loop {
        let c = rest.chars().next().ok_or_else(|| format!("{text}: quote is not closed"))?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => break,
            '\\' => rest = unescape(rest, &mut bytes)?,
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if let Some(after) = rest.strip_prefix('*') {
        let (count, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
        bytes = bytes.repeat(count.parse().map_err(|_| format!("{text}: how often?"))?);
        rest = after;
    }
    Ok((bytes, rest))
}

fn unescape<'a>(rest: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    if let Some(hex) = rest.strip_prefix('x').and_then(|rest| rest.get(..2)) {
        bytes.push(u8::from_str_radix(hex, 16).map_err(|_| format!("\\x{hex}: no byte"))?);
        return Ok(&rest[3..]);
    }
    let c = rest.chars().next().ok_or("line ends in an escape")?;
    match c {
        'n' => bytes.push(b'\n'),
        c => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Ok(&rest[c.len_utf8()..])
}
