//! `serve`: HTTP on a loopback port, compared with `score` and `worker` on the same texts, from Python.

use std::process::Command;

use crate::support::{demo, python::python};

const CHECK: &str = include_str!("serve.py");

fn check(name: &str) {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    let command = command
        .args(["-c", CHECK, env!("CARGO_BIN_EXE_rho-mask")])
        .arg(demo())
        .arg(place.path())
        .arg(name)
        .env_remove("RHO_MASK_API_KEY");
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[test]
fn log_probabilities_are_those_of_score() {
    check("log_probabilities_are_those_of_score");
}

#[test]
fn the_next_token_is_the_most_likely_one() {
    check("the_next_token_is_the_most_likely_one");
}

#[test]
fn tokens_stand_where_their_offsets_say() {
    check("tokens_stand_where_their_offsets_say");
}

#[test]
fn what_cannot_be_answered_is_refused() {
    check("what_cannot_be_answered_is_refused");
}

#[test]
fn record_batches_are_those_of_the_worker() {
    check("record_batches_are_those_of_the_worker");
}

#[test]
fn damaged_streams_are_refused() {
    check("damaged_streams_are_refused");
}

#[test]
fn many_clients_share_batches() {
    check("many_clients_share_batches");
}

#[test]
fn more_requests_than_places_are_told_to_come_back() {
    check("more_requests_than_places_are_told_to_come_back");
}

#[test]
fn clients_that_vanish_are_not_scored() {
    check("clients_that_vanish_are_not_scored");
}

#[test]
fn a_key_is_needed() {
    check("a_key_is_needed");
}

#[test]
fn it_answers_what_is_open_before_it_ends() {
    check("it_answers_what_is_open_before_it_ends");
}

#[test]
fn hostile_bytes_break_nothing() {
    check("hostile_bytes_break_nothing");
}

#[test]
fn several_models_and_other_options() {
    check("several_models_and_other_options");
}

#[test]
fn what_cannot_be_served_is_named() {
    check("what_cannot_be_served_is_named");
}
