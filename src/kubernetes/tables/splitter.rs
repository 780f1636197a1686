//! Splits a JSON document into the items of its lists, while it arrives.

/// Passes on the items of lists that are direct fields of the document's object, one by one, and keeps the rest of the
/// document, with these lists empty. It only parses brackets and strings: the callers parse the items and the rest as
/// JSON, and find syntax errors.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    depth: u32,
    /// Within a string, and whether the next character of it is escaped.
    string: bool,
    escaped: bool,
    /// Within a list that is a field of the document.
    list: bool,
    /// The last string that was a field's name or a value in the document itself: before a list, the list's name.
    name: Vec<u8>,
    /// The start of an item whose end has not arrived.
    item: Vec<u8>,
    rest: Vec<u8>,
}

impl Splitter {
    /// Reads the next piece; `each` receives a list's name and an item.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
        // From here on, bytes of this piece belong to the item, or to the rest.
        let mut from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.string {
                self.in_string(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.string = true;
                    if self.depth == 1 {
                        self.name.clear();
                    }
                }
                b'{' | b'[' => {
                    if self.list && self.depth == 2 {
                        from = at;
                    }
                    self.depth += 1;
                    if self.depth == 2 && byte == b'[' {
                        self.list = true;
                        self.rest.extend_from_slice(&bytes[from..=at]);
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.list && self.depth == 2 {
                        self.item.extend_from_slice(&bytes[from..=at]);
                        each(&self.name, &self.item);
                        self.item.clear();
                    } else if self.list && self.depth == 1 {
                        self.list = false;
                        from = at;
                    }
                }
                _ => {}
            }
        }
        match (self.list, self.depth) {
            (false, _) => self.rest.extend_from_slice(&bytes[from..]),
            // Between items there are commas only.
            (true, 2) => {}
            (true, _) => self.item.extend_from_slice(&bytes[from..]),
        }
    }

    fn in_string(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'"' {
            self.string = false;
            return;
        } else if byte == b'\\' {
            self.escaped = true;
        }
        if self.depth == 1 {
            self.name.push(byte);
        }
    }

    /// The document with empty lists.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// The document put together again from its parts, when it arrives in pieces of this size.
    fn there_and_back(document: &Value, size: usize) -> Value {
        let mut splitter = Splitter::default();
        let mut items = Vec::new();
        for piece in document.to_string().as_bytes().chunks(size) {
            splitter.feed(piece, &mut |list, item| {
                let list = String::from_utf8(list.to_vec()).unwrap();
                items.push((list, serde_json::from_slice::<Value>(item).unwrap()));
            });
        }
        let mut rest: Value = serde_json::from_slice(&splitter.into_rest()).unwrap();
        for (list, item) in items {
            rest[list].as_array_mut().unwrap().push(item);
        }
        rest
    }

    #[test]
    fn a_table_is_split_wherever_its_pieces_end() {
        let document = json!({
            "kind": "Table", "metadata": {"continue": "a\"]}", "list": [{"not": "split"}]},
            "columnDefinitions": [{"name": "Name"}, {"name": "Status"}],
            "rows": [{"cells": ["a", "{[\\\"", 1, null], "object": {"b": [{"c": {}}]}}, {}, [1, [2]]],
            "items": [], "after": {"x": 1}
        });
        for size in 1..=document.to_string().len() {
            assert_eq!(there_and_back(&document, size), document, "pieces of {size} bytes");
        }
    }

    #[test]
    fn what_is_no_document_is_kept_for_the_parser() {
        for text in ["<html>[{</html>", "", "]]}}", "{\"rows\":[{\"cells\":"] {
            let mut splitter = Splitter::default();
            splitter.feed(text.as_bytes(), &mut |_, _| panic!("there is no item in {text}"));
            assert!(serde_json::from_slice::<Value>(&splitter.into_rest()).is_err());
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_items_survive(items in prop::collection::vec(prop::collection::hash_map(".*", tree(), 0..4), 0..5), size in 1_usize..40) {
            let items: Vec<Value> = items.into_iter().map(|map| Value::Object(map.into_iter().collect())).collect();
            let document = json!({"kind": "Table", "rows": items, "metadata": {}});
            prop_assert_eq!(there_and_back(&document, size), document);
        }
    }
}
