//! Access reviews: the rights of the user, and of a service account.

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::api::{Cluster, Mode};
use super::resource::{Resource, Target};
use crate::error::{Kind, Result};
use crate::model::rights::{HIGH_AVAILABILITY, HIGH_AVAILABILITY_OWN, RIGHTS, Right};

const GROUP: &str = "authorization.k8s.io";
const ACCESS_REVIEWS: Resource = Resource::of(GROUP, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews");
const RULES_REVIEWS: Resource = Resource::of(GROUP, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews");
const LOCAL_ACCESS_REVIEWS: Resource =
    Resource::of(GROUP, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews");
const AT_A_TIME: usize = 16;

/// Whether a service account has the rights of high availability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccountCheck {
    Missing,
    /// It lacks these verbs on ConfigMaps.
    Lacks(Vec<&'static str>),
    /// It has all needed rights.
    Fine,
    /// The user may not request the review.
    Unknown,
}

/// Each right of the plugin, and whether the user has it.
pub(crate) async fn rights(cluster: &Cluster) -> Result<Vec<(Right, bool)>> {
    let ask = |right: &'static Right| async move {
        let allowed = is_allowed(cluster, right.group, right.resource, right.verb).await?;
        Ok((*right, allowed))
    };
    let answers: Vec<Result<_>> = stream::iter(RIGHTS.iter().map(ask)).buffered(AT_A_TIME).collect().await;
    answers.into_iter().collect()
}

/// Whether the user has a right in the namespace.
pub(crate) async fn is_allowed(cluster: &Cluster, group: &str, resource: &str, verb: &str) -> Result<bool> {
    let target = Target::collection("create", ACCESS_REVIEWS, None);
    let attributes = attributes(cluster.namespace(), group, resource, verb);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": attributes}});
    let answer = cluster.create(&target, &review, Mode::Real).await?;
    Ok(answer.object["status"]["allowed"] == true)
}

/// The first of `rights` (group, resource and verb) that the user lacks in the namespace. One request; `None` also where the
/// API server does not know all rights of the user, as with an authorization webhook.
pub(crate) async fn first_missing<'a>(
    cluster: &Cluster,
    rights: &'a [(&str, &str, &str)],
) -> Result<Option<&'a (&'a str, &'a str, &'a str)>> {
    let target = Target::collection("create", RULES_REVIEWS, None);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": RULES_REVIEWS.kind,
        "spec": {"namespace": cluster.namespace()}});
    let answer = cluster.create(&target, &review, Mode::Real).await?.object;
    let Some(rules) = answer["status"]["resourceRules"].as_array() else {
        return Ok(None);
    };
    if answer["status"]["incomplete"] == true {
        return Ok(None);
    }
    let has = |rule: &Value, field: &str, word: &str| {
        let mut words = rule[field].as_array().into_iter().flatten();
        words.any(|known| known == word || known == "*")
    };
    let is_missing = |&&(group, resource, verb): &&(&str, &str, &str)| {
        let mut rules = rules.iter();
        !rules.any(|rule| has(rule, "apiGroups", group) && has(rule, "resources", resource) && has(rule, "verbs", verb))
    };
    Ok(rights.iter().find(is_missing))
}

fn attributes(namespace: &str, group: &str, resource: &str, verb: &str) -> Value {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    json!({"namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb})
}

/// Whether a service account has the rights of high availability; does not check that the account exists. One round
/// trip. `map` is a ConfigMap of the cluster's high availability: the right to write may be limited to its name.
pub(crate) async fn account_rights(cluster: &Cluster, account: &str, map: Option<&str>) -> AccountCheck {
    let namespace = cluster.namespace();
    let ask = |verb: &'static str| async move {
        let target = Target::collection("create", LOCAL_ACCESS_REVIEWS, Some(namespace));
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
        let mut attributes = attributes(namespace, "", "configmaps", verb);
        if let Some(map) = map.filter(|_| HIGH_AVAILABILITY_OWN.contains(&verb)) {
            attributes["name"] = json!(map);
        }
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": LOCAL_ACCESS_REVIEWS.kind,
            "metadata": {"namespace": namespace}, "spec": {"user": user, "groups": groups,
            "resourceAttributes": attributes}});
        let answer = cluster.create(&target, &review, Mode::Real).await?;
        Ok((verb, answer.object["status"]["allowed"] == true))
    };
    let answers: Result<Vec<_>> = futures::future::try_join_all(HIGH_AVAILABILITY.map(ask)).await;
    match answers {
        Err(error) => {
            tracing::debug!(%error, forbidden = error.kind == Kind::Forbidden, "no review");
            AccountCheck::Unknown
        }
        Ok(answers) => {
            let lacks: Vec<_> = answers
                .iter()
                .filter(|(_, allowed)| !allowed)
                .map(|(verb, _)| *verb)
                .collect();
            if lacks.is_empty() {
                AccountCheck::Fine
            } else {
                AccountCheck::Lacks(lacks)
            }
        }
    }
}
