//! Answers of the API server.

use serde_json::{Value, json};

use crate::selector::Selector;

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
