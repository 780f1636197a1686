//! The file systems that are not in Flink's class path, and the plugins that bring them.
//!
//! Source: the factories in the modules of flink-filesystems, which name the scheme of each.

/// What opens the paths of some schemes.
pub(crate) struct FileSystem {
    schemes: &'static [&'static str],
    pub(crate) store: &'static str,
    /// The plugins in /opt/flink/opt of the official images, the first to be proposed.
    pub(crate) plugins: &'static [&'static str],
    /// Words in the names of plugins and libraries that can open it. Hadoop's own library is one where Flink falls back
    /// to it, if its connectors are there.
    words: &'static [&'static str],
    /// Words in the names of those that have such a word too, and are for another scheme.
    others: &'static [&'static str],
}

impl FileSystem {
    /// The one for a scheme; `None`: it is not known.
    pub(crate) fn of(scheme: &str) -> Option<&'static Self> {
        FILE_SYSTEMS.iter().find(|system| system.schemes.contains(&scheme))
    }

    /// Whether the plugin, library or jar of this name can open it.
    pub(crate) fn is_opened_by(&self, name: &str) -> bool {
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        has(self.words) && !has(self.others)
    }
}

static FILE_SYSTEMS: [FileSystem; 6] = [
    FileSystem {
        schemes: &["s3"],
        store: "S3",
        plugins: &["flink-s3-fs-presto", "flink-s3-fs-hadoop"],
        words: &["s3"],
        others: &[],
    },
    FileSystem {
        schemes: &["s3a"],
        store: "S3",
        plugins: &["flink-s3-fs-hadoop"],
        words: &["s3", "hadoop-aws"],
        others: &["s3-fs-presto"],
    },
    FileSystem {
        schemes: &["s3p"],
        store: "S3",
        plugins: &["flink-s3-fs-presto"],
        words: &["s3"],
        others: &["s3-fs-hadoop", "s3-fs-native"],
    },
    FileSystem {
        schemes: &["gs"],
        store: "Google Cloud Storage",
        plugins: &["flink-gs-fs-hadoop"],
        words: &["gs-fs", "gcs", "hadoop"],
        others: &["s3-fs", "azure-fs", "oss-fs"],
    },
    FileSystem {
        schemes: &["abfs", "abfss", "wasb", "wasbs"],
        store: "Azure",
        plugins: &["flink-azure-fs-hadoop"],
        words: &["azure", "abfs", "hadoop"],
        others: &["s3-fs", "gs-fs", "oss-fs"],
    },
    FileSystem {
        schemes: &["oss"],
        store: "OSS",
        plugins: &["flink-oss-fs-hadoop"],
        words: &["oss", "hadoop"],
        others: &["s3-fs", "gs-fs", "azure-fs"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_opens_the_schemes_of_its_factories() {
        for (plugin, opened) in [
            ("flink-s3-fs-presto-1.20.0.jar", "s3 s3p"),
            ("flink-s3-fs-hadoop-1.20.0.jar", "s3 s3a"),
            ("flink-s3-fs-native-2.3.0.jar", "s3 s3a"),
            ("flink-gs-fs-hadoop-1.20.0.jar", "gs"),
            ("flink-azure-fs-hadoop-1.20.0.jar", "abfs abfss wasb wasbs"),
            ("flink-oss-fs-hadoop-1.20.0.jar", "oss"),
            ("hadoop-aws-3.3.6.jar", "s3a gs abfs abfss wasb wasbs oss"),
            // A folder's name is the user's: it may have any of them.
            ("s3", "s3 s3a s3p"),
            ("metrics-prometheus", ""),
        ] {
            let schemes = FILE_SYSTEMS.iter().flat_map(|system| system.schemes);
            let found: Vec<&str> = schemes
                .copied()
                .filter(|scheme| FileSystem::of(scheme).unwrap().is_opened_by(plugin))
                .collect();
            assert_eq!(found.join(" "), opened, "{plugin}");
        }
        assert!(FileSystem::of("hdfs").is_none());
    }

    #[test]
    fn a_proposed_plugin_opens_the_scheme() {
        for system in &FILE_SYSTEMS {
            assert!(
                system.plugins.iter().all(|plugin| system.is_opened_by(plugin)),
                "{}",
                system.store
            );
        }
    }
}
