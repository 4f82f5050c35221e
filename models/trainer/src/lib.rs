//! trainer

pub mod data;
