//! Finds and reads the file `_metadata` of a savepoint: on this machine, or in a volume of a cluster, by a short-lived
//! Job.
//!
//! Minimum of requests for a volume: the Job's creation, its log and its deletion; watches between.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::kubernetes::resource::{PODS, Target};
use crate::model::config::Config;
use crate::model::flink::savepoint_metadata::Metadata;
use crate::model::manifests::{self, savepoint_reader};
use crate::model::names::SAVEPOINT_READER;
use crate::model::spec::Spec;
use crate::operations::cluster_handle::ClusterHandle;
use crate::operations::short_job::{self, ShortJob};
use crate::operations::wait;
use crate::progress;

/// How often a log without its end is read again, and the time between two reads: the container runtime may write it
/// after the container's end.
const POLLS: u32 = 10;
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Reads the file of `path` on this machine: a directory or a file, or `-` for standard input.
pub(crate) fn local(path: &str) -> Result<Metadata> {
    let bytes = if path == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Error::usage(format!("cannot read standard input: {error}")))?;
        bytes
    } else {
        let local = local_path(path)?;
        let file = if local.is_dir() { local.join("_metadata") } else { local };
        std::fs::read(&file).map_err(|error| {
            let in_pods = savepoint_reader::path_in_pods(path);
            Error::usage(format!("cannot read {}: {error}", file.display()))
                .hint_if(in_pods.map(|_| "--of NAME reads a path in a volume of that cluster"))
        })?
    };
    parsed(path, &bytes)
}

/// Reads the files of the savepoints `paths`, of which those in volumes are read in the cluster of `handle`, by one Job;
/// relative paths and `-` are on this machine.
///
/// # Errors
/// Not found if a path is in no volume of the cluster, or no savepoint is there; conflict if another Job reads
/// savepoints of the cluster; job failed if the Job's Pod does not run; usage error for object stores.
pub(crate) async fn of_cluster(
    handle: &ClusterHandle,
    paths: &[String],
    limit: Option<Duration>,
) -> Result<Vec<Metadata>> {
    let there: Vec<&str> = paths
        .iter()
        .filter_map(|path| savepoint_reader::path_in_pods(path))
        .collect();
    // What cannot be read here ends the command before a Job is created.
    let here: Vec<Option<Metadata>> = paths
        .iter()
        .map(|path| match savepoint_reader::path_in_pods(path) {
            Some(_) => Ok(None),
            None => local(path).map(Some),
        })
        .collect::<Result<_>>()?;
    let mut read = if there.is_empty() {
        Vec::new()
    } else {
        in_volumes(handle, &there, limit).await?
    }
    .into_iter();
    let all = here.into_iter().zip(paths);
    let all = all.map(|(here, path)| match here {
        Some(metadata) => Ok(metadata),
        None => parsed(path, &read.next().unwrap_or_default()),
    });
    all.collect()
}

/// Reads the files of `paths` in the Pods of the cluster.
async fn in_volumes(handle: &ClusterHandle, paths: &[&str], limit: Option<Duration>) -> Result<Vec<Vec<u8>>> {
    let (cluster, name) = (&handle.cluster, &handle.name);
    let frame = short_job::frame(handle, limit)?;
    let job = match &handle.live.job {
        Some(job) => savepoint_reader::job(job, name, paths, &frame)?,
        None => {
            let (templates, layer, _) = handle.base(&Config::default(), None)?;
            let built = manifests::build(&Spec::resolve(layer)?, &templates, cluster.namespace(), 0)?;
            savepoint_reader::job(&built.job, name, paths, &frame)?
        }
    };
    let mut step = progress::step(&format!("{name}: reading {}", paths.join(", ")));
    let reader = ShortJob {
        handle,
        component: SAVEPOINT_READER,
        what: "reader of savepoints",
    };
    let reading = async {
        let report = |delay: &str| step.update(&format!("{name}: reading {}: {delay}", paths.join(", ")));
        let pod = wait::until_printed(cluster, name, limit, report).await?;
        let target = Target::object("get", PODS, cluster.namespace(), &pod).subresource("log");
        let query = format!(
            "container={}&limitBytes={}",
            savepoint_reader::CONTAINER,
            savepoint_reader::MAX_LOG
        );
        for _ in 0..POLLS {
            let log = cluster.text(&target, &query).await?;
            if let Some(files) = savepoint_reader::files(&log, paths)? {
                let files = files.iter().zip(paths);
                return files
                    .map(|(packed, path)| unpacked(packed, path))
                    .collect::<Result<Vec<_>>>();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(Error::failure(format!(
            "the log of Pod {pod} has no end: repeat the command"
        )))
    };
    let printed = reader.run(&job, Box::pin(reading)).await;
    let files = printed.map_err(|error| match error.kind {
        Kind::JobFailed | Kind::TimedOut => error.context(format!("{} cannot be read", paths.join(", "))),
        _ => error,
    });
    step.end();
    files
}

/// The content of a file that was printed as gzip.
fn unpacked(packed: &[u8], path: &str) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut content = flate2::read::MultiGzDecoder::new(packed).take(savepoint_reader::MAX_SIZE + 1);
    match content.read_to_end(&mut file) {
        Err(_) => Err(savepoint_reader::incomplete(path)),
        Ok(size) if size as u64 > savepoint_reader::MAX_SIZE => Err(savepoint_reader::too_large(path)),
        Ok(_) => Ok(file),
    }
}

fn parsed(path: &str, bytes: &[u8]) -> Result<Metadata> {
    let file = savepoint_reader::metadata_file(path);
    let folder = file.rsplit(['/', '\\']).nth(1).unwrap_or_default();
    Metadata::read(bytes, folder).map_err(|error| {
        let what = if path == "-" { "standard input" } else { path };
        Error::usage(format!("{what}: {}", error.message))
    })
}

/// The path in the local file system; a directory in an object store is rejected with the command to download it.
fn local_path(path: &str) -> Result<PathBuf> {
    let Some((scheme, rest)) = path.split_once(':').filter(|(scheme, rest)| {
        // C:\… is a path.
        scheme.len() > 1 && rest.starts_with('/') && !Path::new(path).exists()
    }) else {
        return Ok(PathBuf::from(path));
    };
    if scheme == "file" {
        return Ok(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)));
    }
    let file = savepoint_reader::metadata_file(path);
    let command = match scheme {
        "s3" | "s3a" | "s3p" => format!("aws s3 cp s3:{} -", &file[scheme.len() + 1..]),
        "gs" => format!("gcloud storage cat {file}"),
        "oss" => format!("ossutil cat {file}"),
        _ => format!("hdfs dfs -cat {file}"),
    };
    Err(Error::usage(format!(
        "{path} is not in a file system, and only files and standard input are read"
    ))
    .hint(format!("{command} | kubectl flink savepoint inspect -")))
}

/// The paths of the newest savepoints in the history of the cluster, the newest first.
///
/// # Errors
/// Not found if the history has less than `number`; forbidden if it cannot be read.
pub(crate) fn newest(handle: &ClusterHandle, number: usize) -> Result<Vec<String>> {
    let savepoints = handle.store.readable()?.savepoints.iter().rev();
    let paths = savepoints.filter(|savepoint| savepoint.disposed_at.is_none());
    let paths: Vec<String> = paths
        .filter_map(|savepoint| savepoint.path.clone())
        .take(number)
        .collect();
    if paths.len() == number {
        return Ok(paths);
    }
    let count = if number == 1 {
        "no savepoint"
    } else {
        "less than two savepoints"
    };
    let name = &handle.name;
    Err(Error::not_found(format!("the history of {name} has {count}"))
        .hint(format!("`kubectl flink savepoint {name}` takes one")))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the script as the Pod does.
    fn printed(paths: &[&str]) -> String {
        let run = std::process::Command::new("sh")
            .args(["-c", savepoint_reader::SCRIPT, "sh"])
            .args(paths)
            .output()
            .unwrap();
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    #[test]
    fn what_the_script_prints_is_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("sp 1")).unwrap();
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(path("sp 1/_metadata"), &content).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        let both = [path("sp 1"), path("empty")];
        let both = both.each_ref().map(String::as_str);
        let log = printed(&both);
        let unpacked = savepoint_reader::files(&log, &both)
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|packed| {
                let mut file = Vec::new();
                flate2::read::GzDecoder::new(packed.as_slice())
                    .read_to_end(&mut file)
                    .unwrap();
                file
            });
        assert_eq!(unpacked.collect::<Vec<_>>(), [content, Vec::new()]);
        // A log that is not complete is read again.
        assert_eq!(savepoint_reader::files(&log[..log.len() / 2], &both).unwrap(), None);

        let missing = path("none");
        let error = savepoint_reader::files(&printed(&[&missing]), &[&missing]).unwrap_err();
        let expected = (Kind::NotFound, format!("there is no savepoint at {missing}"));
        assert_eq!((error.kind, error.message), expected);
        let error = savepoint_reader::files(&printed(&[both[0], &path("")]), &[both[0], &path("")]).unwrap_err();
        assert_eq!(error.kind, Kind::NotFound, "{error}");
        let huge = std::fs::File::create(path("huge")).unwrap();
        huge.set_len(savepoint_reader::MAX_SIZE + 1).unwrap();
        let huge = path("huge");
        let error = savepoint_reader::files(&printed(&[&huge]), &[&huge]).unwrap_err();
        assert!(error.message.contains("too large"), "{error}");
    }
}
