//! Label and field selectors of lists and watches, as far as the program uses them.

use serde_json::Value;

use super::Request;

/// What a list or a watch asks for.
#[derive(Clone, Debug, Default)]
pub struct Selector(Vec<Rule>);

#[derive(Clone, Debug)]
enum Rule {
    Label(String, Vec<String>),
    HasLabel(String),
    Field(String, String),
    NotField(String, String),
}

impl Selector {
    pub fn of(request: &Request) -> Self {
        let mut rules = Vec::new();
        for (name, value) in &request.query {
            match name.as_str() {
                "labelSelector" => rules.extend(split(value).iter().map(|term| label(term))),
                "fieldSelector" => rules.extend(value.split(',').filter_map(|term| {
                    if let Some((path, value)) = term.split_once("!=") {
                        return Some(Rule::NotField(path.to_owned(), value.to_owned()));
                    }
                    let (path, value) = term.split_once('=')?;
                    Some(Rule::Field(path.to_owned(), value.trim_start_matches('=').to_owned()))
                })),
                _ => {}
            }
        }
        Self(rules)
    }

    pub fn fits(&self, object: &Value) -> bool {
        self.0.iter().all(|rule| match rule {
            Rule::Label(key, values) => object["metadata"]["labels"][key]
                .as_str()
                .is_some_and(|label| values.iter().any(|value| value == label)),
            Rule::HasLabel(key) => object["metadata"]["labels"][key].is_string(),
            Rule::Field(path, value) => field(object, path) == Some(value.as_str()),
            Rule::NotField(path, value) => field(object, path) != Some(value.as_str()),
        })
    }
}

fn field<'a>(object: &'a Value, path: &str) -> Option<&'a str> {
    object.pointer(&format!("/{}", path.replace('.', "/")))?.as_str()
}

fn label(term: &str) -> Rule {
    if let Some((key, values)) = term.split_once(" in (") {
        let values = values
            .trim_end_matches(')')
            .split(',')
            .map(|value| value.trim().to_owned());
        return Rule::Label(key.trim().to_owned(), values.collect());
    }
    match term.split_once('=') {
        Some((key, value)) => Rule::Label(key.to_owned(), vec![value.trim_start_matches('=').to_owned()]),
        None => Rule::HasLabel(term.to_owned()),
    }
}

/// The terms of a label selector: a comma within parentheses separates none.
fn split(text: &str) -> Vec<String> {
    let (mut terms, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms.retain(|term| !term.is_empty());
    terms
}
