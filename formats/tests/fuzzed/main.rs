//! A short run of what `formats/fuzz` does for hours: every seed of every target, and some damage to each kind of them.
//! The same functions judge the outcome; of the compiler nothing special is asked.

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
