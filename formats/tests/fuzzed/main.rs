//! A short version of the fuzzing in `formats/fuzz`: every seed of every target, and some damage to each kind of them.
//! The same functions check the outcome; no special compiler is needed.

#[cfg(test)]
#[path = "../../fuzz/src/memory.rs"]
mod memory;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod short_run;
#[cfg(test)]
#[path = "../../fuzz/src/targets.rs"]
mod targets;
