//! The integration tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by a panic")]

mod airline;
mod airline_run;
mod airline_runs;
mod attention_bulk;
mod attention_changed;
mod attention_connector;
mod attention_faults;
mod attention_storm;
mod attention_story;
mod attention_webhook;
mod caps;
mod cli_walk;
mod faults;
mod faulty_disk;
mod fuzz_routes;
mod http_attention;
mod http_examples;
mod http_face;
mod http_roles;
mod http_runs;
mod http_runs_act;
mod http_story;
mod http_stream;
mod masking;
mod overload;
mod publish_at_once;
mod recorded_disk;
mod store_asks;
mod store_behind;
mod store_contract;
mod store_cuts;
mod store_files;
mod store_gaps;
mod store_journal;
mod store_keeping;
mod store_sled;
mod store_writer;
mod support;
mod tidy;
