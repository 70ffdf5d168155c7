//! Values from the environment: `RIVULET__SECTION__KEY` stands above the file.
//!
//! Names are those of the file in capitals, two underscores between the parts; an element of a list is named by its
//! number, as in `RIVULET__LISTENER__0__ADDRESS`. Values stand as they are, without quotes.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::fault::Fault;

const PREFIX: &str = "RIVULET__";
const SEPARATOR: &str = "__";

/// Puts the variables over `table`. Returns the dotted keys that were set, each with its variable.
pub(super) fn overlay(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
    faults: &mut Vec<Fault>,
) -> BTreeMap<String, String> {
    let mut overridden = BTreeMap::new();
    // In the order of their names: element 0 of a list comes before element 1.
    let variables: BTreeMap<String, String> =
        variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    for (name, text) in variables {
        let lower = name[PREFIX.len()..].to_ascii_lowercase();
        let parts: Vec<&str> = lower.split(SEPARATOR).collect();
        match set(table, &parts, &text) {
            Ok(key) => {
                overridden.insert(key, name);
            }
            Err(problem) => faults.push(Fault {
                origin: name,
                key: String::new(),
                value: Some(format!("\"{text}\"")),
                problem: problem.to_owned(),
            }),
        }
    }
    overridden
}

/// Sets one value and returns its dotted key.
fn set(table: &mut Table, parts: &[&str], text: &str) -> Result<String, &'static str> {
    let (&first, rest) = parts.split_first().ok_or("names no key")?;
    if first.is_empty() {
        return Err("names no key");
    }
    let Some((&second, after)) = rest.split_first() else {
        table.insert(first.to_owned(), Value::String(text.to_owned()));
        return Ok(first.to_owned());
    };
    let Ok(index) = second.parse::<usize>() else {
        let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
        let inner = inner.as_table_mut().ok_or("goes into a value that is no table")?;
        return Ok(format!("{first}.{}", set(inner, rest, text)?));
    };
    let elements = table.entry(first).or_insert_with(|| Value::Array(Vec::new()));
    let elements = elements.as_array_mut().ok_or("numbers a value that is no list")?;
    if index == elements.len() {
        elements.push(Value::Table(Table::new()));
    }
    let element = elements
        .get_mut(index)
        .and_then(Value::as_table_mut)
        .ok_or("numbers an element that is not there")?;
    Ok(format!("{first}[{index}].{}", set(element, after, text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(file: &str, variables: &[(&str, &str)]) -> (Table, BTreeMap<String, String>, Vec<Fault>) {
        let mut table: Table = file.parse().unwrap();
        let mut faults = Vec::new();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let overridden = overlay(&mut table, variables, &mut faults);
        (table, overridden, faults)
    }

    #[test]
    fn a_variable_sets_a_key_in_a_section() {
        let (table, overridden, faults) =
            overlaid("", &[("RIVULET__LIMITS__CONNECTIONS", "5"), ("HOME", "/")]);
        assert_eq!(table["limits"]["connections"].as_str(), Some("5"));
        assert_eq!(overridden["limits.connections"], "RIVULET__LIMITS__CONNECTIONS");
        assert!(faults.is_empty());
    }

    #[test]
    fn a_number_names_an_element_of_a_list_or_adds_the_next_one() {
        let variables = [("RIVULET__LISTENER__0__ADDRESS", "a"), ("RIVULET__LISTENER__1__ADDRESS", "b")];
        let (table, overridden, faults) = overlaid("[[listener]]\naddress = 'x'", &variables);
        assert_eq!(table["listener"][0]["address"].as_str(), Some("a"));
        assert_eq!(table["listener"][1]["address"].as_str(), Some("b"));
        assert!(overridden.contains_key("listener[1].address"));
        assert!(faults.is_empty());
    }

    #[test]
    fn a_variable_that_leads_nowhere_is_a_fault() {
        let variables = [
            ("RIVULET__DATA_DIR__X", "1"),
            ("RIVULET__LISTENER__7__ADDRESS", "1"),
            ("RIVULET__LISTENER__0", "1"),
            ("RIVULET__", "1"),
        ];
        let (_, overridden, faults) = overlaid("data_dir = 'x'", &variables);
        assert_eq!(faults.len(), variables.len(), "{faults:?}");
        assert!(overridden.is_empty());
    }
}
