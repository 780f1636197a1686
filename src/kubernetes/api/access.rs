//! Ways to Flink's REST.

use crate::model::keyword::Keyword;

/// How Flink's REST is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    #[default]
    Auto,
    Proxy,
    PortForward,
}

impl Keyword for Access {
    const WORDS: &'static [(Self, &'static str, &'static str)] = &[
        (
            Self::Auto,
            "auto",
            "Through the API server's service proxy, else by port-forward",
        ),
        (Self::Proxy, "proxy", "Through the API server's service proxy"),
        (
            Self::PortForward,
            "port-forward",
            "Through a port-forward to the JobManager's Pod",
        ),
    ];
}
