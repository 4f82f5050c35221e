//! trainer

pub mod data;
pub mod run;
