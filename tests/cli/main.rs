//! Tests of the command line: the real binary against a scripted API server. They need no test cluster and no network.

// The harness is test code too, and it may panic: `allow-unwrap-in-tests` knows only the functions marked as tests.
#![allow(clippy::unwrap_used)]

mod answer;
mod apply_set;
mod backoff;
mod basis;
mod beside;
mod call;
mod causes;
mod causes_flink;
mod causes_logs;
mod causes_objects;
mod change;
mod clock;
mod complete;
mod config_screen;
mod connect;
mod continue_and_abort;
mod create;
mod create_refused;
mod create_render;
mod credentials;
mod defaults;
mod demo;
mod dependencies;
mod direct_start;
mod direct_start_image;
mod docs;
#[path = "../schema/mod.rs"]
mod documents;
mod durable;
mod events;
mod evidence;
mod explain;
mod failed_savepoint;
mod fit;
mod flinkdeployments;
mod fuzz;
mod help;
mod hints;
mod identity;
mod image;
mod image_faults;
mod image_job;
mod image_login;
mod image_look;
mod image_place;
#[cfg(target_os = "linux")]
mod image_saved;
mod image_screens;
mod image_trust;
mod inout;
mod interrupt;
mod jobmanager_stays;
mod krew;
mod kubeconfig;
mod layout;
mod left_behind;
#[path = "../lines/mod.rs"]
mod lines;
mod list;
mod list_faults;
mod list_output;
mod list_select;
mod list_watch;
mod live;
mod lock;
mod missing_objects;
#[path = "../modules/mod.rs"]
mod modules;
mod objects;
mod only_tls;
mod pack;
mod plain;
mod profile;
mod prompts;
mod prune;
mod purge;
mod redrawn_screens;
mod reference;
mod registry;
mod rehearse;
mod releases;
mod repeated;
mod report;
mod restore_point;
mod sandbox;
mod savepoint_files;
mod savepoint_reader;
mod scale;
mod scene;
mod schema;
mod screens;
mod server;
mod session;
mod several_jobs;
mod several_logs;
mod short_job;
mod sidecars;
mod state;
mod suggest;
#[cfg(target_os = "linux")]
#[path = "../terminal/mod.rs"]
#[allow(dead_code)]
mod terminal;
mod terminated_pods;
mod unfinished;
mod waits;
mod watching;
mod whole;
mod wild_files;
mod wild_values;
#[path = "../world/mod.rs"]
#[allow(dead_code)]
mod world;

#[test]
fn every_file_here_is_a_module() {
    modules::are_complete("cli", include_str!("main.rs"));
}
