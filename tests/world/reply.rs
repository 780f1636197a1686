//! Answers of the API server.

use serde_json::{Value, json};

use super::selector::Selector;
use super::{Event, table};

/// How a request is answered.
pub enum Reply {
    Whole(u16, String),
    Watch(Watch),
}

/// A watch from a version on.
pub struct Watch {
    pub collection: String,
    pub selector: Selector,
    pub after: u64,
    /// Whether each event has a table with one row.
    pub as_table: bool,
}

impl Watch {
    /// An event, as this watch is answered.
    pub fn event(&self, event: &Event) -> Value {
        let object = if self.as_table {
            let metadata = json!({"resourceVersion": event.object["metadata"]["resourceVersion"]});
            table::of(&self.collection, &[&event.object], &metadata)
        } else {
            event.object.clone()
        };
        json!({"type": event.kind, "object": object})
    }
}

/// The status of a watch whose version the server has no more. Source: apimachinery's `NewResourceExpired`.
pub fn expired() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version: 1 (2)"})
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self::status(200, body)
    }

    #[allow(clippy::needless_pass_by_value)]
    pub fn status(code: u16, body: Value) -> Self {
        Self::Whole(code, body.to_string())
    }

    pub fn fault(code: u16, reason: &str, message: &str) -> Self {
        Self::status(
            code,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                "reason": reason, "code": code}),
        )
    }
}
