//! What a process takes of the machine, by `/proc`; elsewhere there are no such figures.

use std::fs::read_to_string;
use std::time::Duration;

/// Units of processor time in a second, on all that runs Linux today.
const TICKS: u64 = 100;

/// What a process has taken so far, and has now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu: Duration,
    /// How long its threads waited for a core that they could have used, together.
    pub waited: Duration,
    /// Bytes in memory.
    pub memory: u64,
}

impl Usage {
    pub fn of(pid: u32) -> Option<Usage> {
        let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Usage { cpu: cpu(&stat)?, waited: waited(pid).unwrap_or_default(), memory: memory(&status)? })
    }
}

fn cpu(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 1_000 / TICKS))
}

fn waited(pid: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of = |thread: std::fs::DirEntry| waited_of(&read_to_string(thread.path().join("schedstat")).ok()?);
    Some(threads.filter_map(|thread| of(thread.ok()?)).sum())
}

fn waited_of(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

fn memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// Datagrams that found a full receive buffer, on the whole machine since it began.
pub fn full_buffers() -> Option<u64> {
    count_full_buffers(&read_to_string("/proc/net/snmp").ok()?)
}

fn count_full_buffers(snmp: &str) -> Option<u64> {
    let mut udp = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let place = udp.next()?.split_whitespace().position(|name| name == "RcvbufErrors")?;
    udp.next()?.split_whitespace().nth(place)?.parse().ok()
}

/// How many wanted the processor in the last minute, on average.
pub fn load_average() -> Option<f64> {
    read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_where_the_kernel_puts_them() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 75 0 0 20 0 1 0 5 1000 9";
        assert_eq!(cpu(stat), Some(Duration::from_millis(2_250)));
        assert_eq!(waited_of("500 2000 3\n"), Some(Duration::from_micros(2)));
        assert_eq!(memory("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 * 1024 * 1024));
        let snmp = "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 9 8 7 6 5\n";
        assert_eq!(count_full_buffers(snmp), Some(5));
    }
}
