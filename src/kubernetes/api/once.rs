//! Writes that are not sent twice: if the answer to a POST, a PUT or the apply of a new object is lost, its result is
//! looked up.

use backon::ExponentialBackoff;
use http::Method;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::exchange::Answer;
use super::{Cluster, serialize};
use crate::error::{Error, Result};
use crate::kubernetes::resource::{Identity, Target};
use crate::kubernetes::retry;

/// Maximum difference between two clocks in seconds: see [`crate::kubernetes::clock`].
const CLOCKS: i64 = 5;

impl Cluster {
    /// The result of an apply of a new object whose connection was cut, according to `error`: the object if it was
    /// created since `begun`, or `None`.
    ///
    /// # Errors
    /// Conflict when the object was created before: another process was faster.
    pub(super) async fn made_meanwhile(
        &self,
        target: &Target,
        begun: Timestamp,
        cut: &mut ExponentialBackoff,
        error: Error,
    ) -> Result<Option<Identity>> {
        tokio::time::sleep(self.pause_after(error, cut)?).await;
        match self.get::<Value>(target).await? {
            None => Ok(None),
            Some(object) if is_made_since(begun, &object) => Identity::of(target.resource, &object).map(Some),
            Some(_) => Err(Error::conflict(format!(
                "{target} could not be written: another one of that name was created in the meantime"
            ))),
        }
    }

    /// A POST or a PUT. After a cut connection it is sent again only if a read shows that it was not carried out. If it
    /// was, this returns the present object.
    pub(super) async fn write_once(
        &self,
        target: &Target,
        method: Method,
        query: &str,
        headers: &[(&str, &str)],
        object: &Value,
    ) -> Result<(Option<Answer>, Value)> {
        let mut cut = retry::cut();
        loop {
            let sent = self.call(target, method.clone(), query, headers, serialize(object)?);
            let error = match sent.await {
                Ok(answer) => {
                    let answer = self.succeeded(target, answer)?;
                    let object = self.parse(target, &answer.body)?;
                    return Ok((Some(answer), object));
                }
                Err(error) => error,
            };
            let unclear = !query.contains("dryRun=") && self.was_cut(&error);
            let (Some(name), true) = (object["metadata"]["name"].as_str(), unclear) else {
                return Err(error);
            };
            tokio::time::sleep(self.pause_after(error, &mut cut)?).await;
            let one = Target {
                name: Some(name.to_owned()),
                ..target.clone()
            };
            let now = self.get::<Value>(&one).await?;
            match written(object, now.as_ref()) {
                Written::Yes => return Ok((None, now.unwrap_or_default())),
                Written::No => {}
                Written::Other => {
                    let said = "it was changed while the connection was cut";
                    return Err(Error::conflict(format!("{one} could not be written: {said}")));
                }
            }
        }
    }
}

/// Whether an object was created since then, by the API server's clock.
pub(super) fn is_made_since(then: Timestamp, object: &Value) -> bool {
    let made = object["metadata"]["creationTimestamp"].as_str();
    let made = made.and_then(|made| made.parse::<Timestamp>().ok());
    made.is_some_and(|made| made.as_second() + CLOCKS >= then.as_second())
}

/// Whether a write with a lost answer was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Yes,
    No,
    /// Another write was carried out.
    Other,
}

/// `now` is the present object.
fn written(sent: &Value, now: Option<&Value>) -> Written {
    let version = &sent["metadata"]["resourceVersion"];
    match now {
        // The object to replace is gone.
        None if version.is_string() => Written::Other,
        None => Written::No,
        Some(now) if version.is_string() && *version == now["metadata"]["resourceVersion"] => Written::No,
        Some(now) if is_in(sent, now) => Written::Yes,
        Some(_) => Written::Other,
    }
}

/// Whether `whole` contains all of `part` except the version: the API server adds defaults.
fn is_in(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(key, value)| {
            key == "resourceVersion" || value.is_null() || whole.get(key).is_some_and(|whole| is_in(value, whole))
        }),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_in(part, whole))
        }
        _ => part == whole,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_write_whose_answer_was_lost_is_judged_by_what_is_there() {
        let sent = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "data": {"x": "1"}});
        let there = |version: &str, data: Value| json!({"metadata": {"name": "a", "resourceVersion": version, "uid": "u"}, "data": data});
        assert_eq!(written(&sent, Some(&there("7", json!({"x": "0"})))), Written::No);
        assert_eq!(written(&sent, Some(&there("8", json!({"x": "1"})))), Written::Yes);
        assert_eq!(written(&sent, Some(&there("8", json!({"x": "2"})))), Written::Other);
        assert_eq!(written(&sent, None), Written::Other);
        let new = json!({"metadata": {"name": "a"}, "data": {"x": "1"}});
        assert_eq!(written(&new, None), Written::No);
        assert_eq!(written(&new, Some(&there("1", json!({"x": "1"})))), Written::Yes);
        assert_eq!(written(&new, Some(&there("1", json!({"x": "2"})))), Written::Other);
    }
}
