//! The NetworkPolicy of a cluster, which users apply themselves: it depends on their network who must reach Flink's REST.

use core::net::IpAddr;
use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::model::names::ClusterName;

/// The policy without rules for Flink's REST.
const TEMPLATE: &str = include_str!("../../../manifests/network-policy.yaml");

/// A range of addresses in CIDR notation, such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cidr(String);

impl std::str::FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(address, bits)| {
            let address: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            Some(bits <= if address.is_ipv4() { 32 } else { 128 })
        });
        if parsed == Some(true) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::usage(format!(
                "{text} is not a range of addresses such as 10.0.0.0/8"
            )))
        }
    }
}

/// The policy of the cluster `name` as YAML. Only its own Pods reach its Pods, and the addresses of `rest_from` reach the
/// REST port, 8081.
pub(crate) fn network_policy(name: &ClusterName, rest_from: &[Cidr]) -> String {
    let mut policy = TEMPLATE.replace("${FLINK_APPLICATION_NAME}", name.as_str());
    if !rest_from.is_empty() {
        policy.push_str("  - ports:\n    - port: 8081\n    from:\n");
        for Cidr(range) in rest_from {
            let _ = writeln!(policy, "    - ipBlock:\n        cidr: \"{range}\"");
        }
    }
    policy
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::names::{MASTER, REHEARSAL, TASK_MANAGER};

    fn policy(ranges: &[&str]) -> Value {
        let ranges: Vec<Cidr> = ranges.iter().map(|range| range.parse().unwrap()).collect();
        serde_yaml::from_str(&network_policy(&ClusterName::new("demo").unwrap(), &ranges)).unwrap()
    }

    #[test]
    fn only_the_clusters_pods_are_let_in() {
        let policy = policy(&[]);
        assert_eq!(policy["metadata"]["name"], "demo-flink");
        let components = |values: &[&str]| {
            json!({"matchLabels": {"app": "demo"},
                "matchExpressions": [{"key": "component", "operator": "In", "values": values}]})
        };
        // A rehearsal has its own REST, which only the API server needs to reach.
        let closed = components(&[MASTER, REHEARSAL, TASK_MANAGER]);
        assert_eq!(policy["spec"]["podSelector"], closed);
        let rules = policy["spec"]["ingress"].as_array().unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0]["from"][0]["podSelector"], components(&[MASTER, TASK_MANAGER]));
    }

    #[test]
    fn ranges_reach_the_rest_port_only() {
        let policy = policy(&["10.0.0.0/8", "fd00::/8"]);
        let rule = &policy["spec"]["ingress"][1];
        assert_eq!(rule["ports"], json!([{"port": 8081}]));
        let expected = json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "fd00::/8"}}]);
        assert_eq!(rule["from"], expected);
        for wrong in ["10.0.0.0", "10.0.0.0/33", "demo/8", "10.0.0.0/8\"", ""] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }
}
