//! Ways to Flink's REST.

use crate::model::keyword::keywords;

keywords! {
    /// How Flink's REST is reached.
    #[derive(Default)]
    enum Access {
        #[default]
        Auto = "auto": "Through the API server's service proxy, else by port-forward",
        Proxy = "proxy": "Through the API server's service proxy",
        PortForward = "port-forward": "Through a port-forward to the JobManager's Pod",
    }
}
