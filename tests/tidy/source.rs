//! The source files of the project, and Rust text without its comments and literals.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One text file of the project.
pub(crate) struct Source {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// For Rust: the text with comments and literals blanked out, line for line.
    pub(crate) code: String,
}

/// What breaks a rule, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault(pub(crate) String);

/// What begins the tests of a file, which come last in it.
const TESTS: &str = "#[cfg(test)]";

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_of(text) } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Code that ships: neither a test, nor a benchmark, nor a build of fuzz targets.
    pub(crate) fn is_product(&self) -> bool {
        let is_part = |name: &str| self.path.split('/').any(|part| part == name);
        self.is_rust() && !["tests", "tests.rs", "benches", "fuzz", "examples"].into_iter().any(is_part)
    }

    pub(crate) fn fault(&self, line: usize, what: &str) -> Fault {
        Fault(format!("{}:{line}: {what}", self.path))
    }

    /// A fault for each line of code that has one of these words.
    pub(crate) fn lines_with(&self, words: &[&str], why: &str) -> Vec<Fault> {
        self.faults_in(&self.code, words, why)
    }

    /// The same, but the tests at the end of the file may have them.
    pub(crate) fn product_lines_with(&self, words: &[&str], why: &str) -> Vec<Fault> {
        self.faults_in(self.code.split(TESTS).next().unwrap_or_default(), words, why)
    }

    fn faults_in(&self, code: &str, words: &[&str], why: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (number, line) in code.lines().enumerate() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                faults.push(self.fault(number + 1, &format!("`{word}`: {why}")));
            }
        }
        faults
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// All text files of the project.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(read_sources)
}

fn read_sources() -> Vec<Source> {
    const TEXT: [&str; 10] = ["rs", "toml", "md", "script", "sh", "yml", "yaml", "html", "js", "py"];
    // What tools put into a checkout; git ignores it too.
    const FOREIGN: [&str; 5] = ["target", ".git", "node_modules", "__pycache__", "venv"];
    let root = root();
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            let is_foreign = FOREIGN.iter().any(|foreign| name == *foreign);
            if entry.file_type().unwrap().is_dir() {
                if !is_foreign {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| TEXT.iter().any(|text| extension == *text)) {
                let text = fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.push(Source::new(&name, &text));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Whether a line has a word that is not part of a longer one.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let begins = !word.starts_with(is_part) || !before.is_some_and(is_part);
        let ends = !word.ends_with(is_part) || !after.is_some_and(is_part);
        begins && ends
    })
}

/// Rust text with comments, strings and characters blanked out. Lines stay where they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| raw_string(rest)).or_else(|| quoted(rest)).unwrap_or(0);
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
        if first.is_alphanumeric() || first == '_' {
            // The rest of a word: so that the `r` of `for"` begins no raw string.
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            code.push_str(&rest[..word]);
            rest = &rest[word..];
        }
    }
    code
}

/// The length of the comment that `text` begins with. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// The length of the raw string that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end)? + end.len();
    Some(text.len() - body.len() + length)
}

/// The length of the string or character that `text` begins with. A lifetime is neither.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut characters = text.char_indices().skip(1);
    let mut inside = 0;
    while let Some((at, c)) = characters.next() {
        if c == quote {
            return Some(at + 1);
        }
        inside += 1;
        if c == '\\' {
            characters.next();
            inside -= 1;
        } else if quote == '\'' && inside > 1 {
            return None;
        }
        if quote == '\'' && c == '\\' {
            return text[at + 2..].find('\'').map(|end| at + 2 + end + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{code_of, has_word};

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a // unsafe\nb /* x /* y */ unsafe */ c \"unsafe \\\" unsafe\" d r#\"un\"safe\"# e";
        let code = code_of(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn characters_are_no_code_and_lifetimes_are() {
        let text = "f('{', '\\'', '\\u{7f}', 'é') -> &'a str 'label: loop {}";
        let words: Vec<_> = code_of(text).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["f(", ",", ",", ",", ")", "->", "&'a", "str", "'label:", "loop", "{}"]);
    }

    #[test]
    fn a_word_is_not_found_inside_a_longer_one() {
        assert!(has_word("use core::Session;", "Session"));
        assert!(!has_word("let key: SessionKey;", "Session"));
        assert!(has_word("todo!()", "todo!"));
        assert!(!has_word("my_todo!()", "todo!"));
    }
}
