//! The operations of the tool, without flags and without printing: an operation takes a client and values, reports its
//! progress and returns a value.

pub mod candidates;
pub(crate) mod cluster_handle;
pub(crate) mod config_keys;
pub(crate) mod create;
pub mod delete;
pub(crate) mod deploy;
pub mod doctor;
pub(crate) mod image_check;
pub mod interruption;
mod job_end_evidence;
pub(crate) mod job_image;
pub(crate) mod job_status;
pub mod list_deleted;
pub(crate) mod lock;
pub mod observe;
pub mod preflight;
pub(crate) mod push_progress;
pub(crate) mod recover;
pub(crate) mod rehearse;
pub(crate) mod report;
pub(crate) mod resume_plan;
pub mod savepoint;
pub mod scale;
pub mod status;
pub(crate) mod stop;
pub(crate) mod target_revision;
pub mod upgrade;
pub mod wait;
