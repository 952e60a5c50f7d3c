//! What processes cost, read from `/proc`.
//!
//! A process stands for itself and everything it has started that still lives. Numbers are 0 for processes that are
//! gone: read them before a worker is stopped.

use std::{fs, time::Duration};

/// Length of a tick in `/proc/<pid>/stat` and `/proc/stat`: `USER_HZ`, 100 on every architecture that this runs on.
const TICK: Duration = Duration::from_millis(10);
/// Places of user and system time in `/proc/<pid>/stat` after the name in parentheses, from 0; see proc(5).
const OWN_TIME: usize = 11;
/// The same of children that have ended and been waited for.
const ENDED_CHILDREN_TIME: usize = 13;

/// CPU time of a process and its living family so far. With `ended`, of children that have ended too: Postgres has one for
/// every connection.
pub fn cpu(pid: u32, ended: bool) -> Duration {
    let own = family(pid).into_iter().map(|member| ticks(member, OWN_TIME)).sum::<u32>();
    TICK * (own + if ended { ticks(pid, ENDED_CHILDREN_TIME) } else { 0 })
}

/// CPU time of a process without its family.
pub fn cpu_alone(pid: u32) -> Duration {
    TICK * ticks(pid, OWN_TIME)
}

/// CPU time that the whole machine has spent working so far.
pub fn machine_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted as users already.
    let busy = ticks.iter().take(8).sum::<u64>() - ticks.iter().skip(3).take(2).sum::<u64>();
    TICK * u32::try_from(busy).unwrap_or(u32::MAX)
}

/// Resident memory now, in bytes.
pub fn resident(pid: u32) -> u64 {
    family(pid).into_iter().map(|member| status(member, "VmRSS:")).sum()
}

/// The most that each process of a family has ever had resident, together, in bytes.
pub fn most_resident(pid: u32) -> u64 {
    family(pid).into_iter().map(|member| status(member, "VmHWM:")).sum()
}

fn family(pid: u32) -> Vec<u32> {
    let mut members = vec![pid];
    let mut looked_at = 0;
    while let Some(&member) = members.get(looked_at) {
        looked_at += 1;
        for task in fs::read_dir(format!("/proc/{member}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    members
}

/// Two neighbouring fields together.
fn ticks(pid: u32, field: usize) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may contain spaces and parentheses; what follows its last one does not.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let words = after_name.split(' ').skip(field).take(2);
    words.filter_map(|word| word.parse::<u32>().ok()).sum()
}

fn status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1_024
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, process, time::Instant};

    use super::*;

    #[test]
    fn work_of_this_process_is_seen_in_its_own_time_and_in_that_of_the_machine() {
        let (own, machine) = (cpu(process::id(), false), machine_cpu());

        let began = Instant::now();
        while cpu(process::id(), false) < own + TICK * 5 {
            assert!(began.elapsed() < Duration::from_secs(60), "no time is seen");
            (0..1_000_000_u64).for_each(|n| {
                black_box(n);
            });
        }

        assert!(machine + TICK * 4 <= machine_cpu());
    }

    #[test]
    fn a_process_has_memory_and_one_that_is_gone_has_none() {
        assert!(1_000_000 < resident(process::id()));
        assert!(resident(process::id()) <= most_resident(process::id()));
        assert_eq!(resident(u32::MAX), 0);
    }
}
