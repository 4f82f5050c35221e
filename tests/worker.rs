//! `worker`: record batches through pipes, compared with `score` on the same rows, from Python as its users do.

use std::process::Command;

use crate::support::{demo, python::python};

const CHECK: &str = include_str!("worker.py");

fn check(name: &str) {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    let command = command
        .args(["-c", CHECK, env!("CARGO_BIN_EXE_rho-mask")])
        .arg(demo())
        .arg(place.path())
        .arg(name);
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[test]
fn whole_batches_are_those_of_score() {
    check("whole_batches_are_those_of_score");
}

#[test]
fn small_batches_change_nothing_but_rounding() {
    check("small_batches_change_nothing_but_rounding");
}

#[test]
fn each_batch_is_answered_at_once() {
    check("each_batch_is_answered_at_once");
}

#[test]
fn rows_are_counted_from_the_first() {
    check("rows_are_counted_from_the_first");
}

#[test]
fn columns_are_passed_through() {
    check("columns_are_passed_through");
}

#[test]
fn every_type_of_text_and_tokens() {
    check("every_type_of_text_and_tokens");
}

#[test]
fn the_schema_is_known_without_a_model() {
    check("the_schema_is_known_without_a_model");
}

#[test]
fn what_goes_wrong_is_named() {
    check("what_goes_wrong_is_named");
}

#[test]
fn damaged_bytes_end_it_by_name() {
    check("damaged_bytes_end_it_by_name");
}

#[cfg(target_os = "linux")]
#[test]
fn it_ends_with_its_parent() {
    check("it_ends_with_its_parent");
}
