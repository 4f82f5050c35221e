//! The memory of this machine, to refuse what cannot fit before it is allocated: a failed allocation ends the program
//! without a word.

use std::fs;

/// Bytes of memory that this process may use: those of the machine, or of its control group if that has fewer. `None` if
/// the system does not say.
pub(crate) fn total() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let machine = of_machine(&machine)?;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    Some(group.map_or(machine, |group: u64| group.min(machine)))
}

/// `MemTotal` of /proc/meminfo.
fn of_machine(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_how_much_it_has() {
        let text = "MemFree: 5 kB\nMemTotal:       24619140 kB\nBuffers: 7 kB\n";
        assert_eq!(of_machine(text), Some(24_619_140 * 1024));
        assert_eq!(of_machine("MemTotal: many kB\n"), None);
        if cfg!(target_os = "linux") {
            assert!(total().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
