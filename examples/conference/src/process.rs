//! What the server's process takes of its machine, where the system tells it in files (Linux).

/// Clock ticks in a second, as Linux counts them for programs on every architecture we know of.
const TICKS: f64 = 100.0;

/// What the process has used so far, and holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Seconds of processor time, in its own code and in the system's.
    pub cpu_seconds: f64,
    /// Bytes of memory that are resident.
    pub resident_bytes: u64,
}

/// The use of this process; `None` where the system does not tell.
pub fn usage() -> Option<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(Usage { cpu_seconds: cpu_seconds(&stat)?, resident_bytes: resident_bytes(&status)? })
}

/// Fields 14 and 15 of proc_pid_stat(5). The second is the program's name, which may have spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_look_like_fields() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 5 0 100 1000 50";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_bytes("Name:\ta\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let usage = usage().expect("Linux tells");
        assert!(usage.cpu_seconds >= 0.0 && usage.resident_bytes > 100_000, "{usage:?}");
    }
}
