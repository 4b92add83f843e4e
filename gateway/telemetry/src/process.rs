//! What the operating system says of this process, and which build it is.
//!
//! The names are those of every Prometheus client, so that existing dashboards work. All come from `/proc`:
//! on a system without it the metrics are absent, never 0.

use std::fs;
use std::sync::Arc;

use rustix::param::{clock_ticks_per_second, page_size};

use crate::family::{Cap, Family, Spec};
use crate::metric::{Gauge, Sample, Value};
use crate::registry::{Points, Source};

/// Metrics of this process, read anew at each scrape.
#[derive(Debug)]
pub struct ProcessMetrics {
    specs: [Spec; 7],
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        let gauge = |name, help, unit| Spec::gauge(name, help, &[]).unit(unit);
        let cpu = "Total user and system CPU time spent in seconds.";
        let start = "Start time of the process since unix epoch in seconds.";
        Self {
            specs: [
                Spec::counter("process_cpu_seconds_total", cpu, &[]).unit("seconds"),
                gauge("process_resident_memory_bytes", "Resident memory size in bytes.", "bytes"),
                gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", "bytes"),
                gauge("process_open_fds", "Number of open file descriptors.", ""),
                gauge("process_max_fds", "Maximum number of open file descriptors.", ""),
                gauge("process_start_time_seconds", start, "seconds"),
                gauge("process_threads", "Number of OS threads in the process.", ""),
            ],
        }
    }
}

impl Source for ProcessMetrics {
    fn collect(&self, out: &mut Vec<Points>) {
        let stat = read("/proc/self/stat").and_then(|text| Stat::parse(&text));
        let values = [
            stat.map(|s| s.cpu_seconds),
            stat.map(|s| s.resident_bytes),
            stat.map(|s| s.virtual_bytes),
            open_fds(),
            read("/proc/self/limits").and_then(|text| max_fds(&text)),
            stat.and_then(|s| Some(boot_time(&read("/proc/stat")?)? + s.started_after_boot)),
            stat.map(|s| s.threads),
        ];
        for (spec, value) in self.specs.iter().zip(values) {
            let Some(x) = value else { continue };
            let value = if spec.name.ends_with("_total") { Value::Counter(x) } else { Value::Gauge(x) };
            let sample = Sample { labels: Arc::from([]), overflow: false, value, exemplars: Vec::new() };
            out.push(Points { spec: spec.clone(), samples: vec![sample] });
        }
    }
}

/// `weir_build_info`: always 1, what matters are the labels. `commit` is empty outside a checkout.
pub fn build_info(version: &str, commit: &str) -> Family<Gauge> {
    let help = "Version and commit of this build; the value is always 1.";
    let family =
        Family::<Gauge>::new(Spec::gauge("weir_build_info", help, &["version", "commit"]), Cap::Closed);
    family.get(&[version, commit]).set(1.0);
    family
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Every open descriptor except the one that reads the folder.
fn open_fds() -> Option<f64> {
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0).max(0.0))
}

fn max_fds(limits: &str) -> Option<f64> {
    let soft = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(f64::INFINITY) } else { soft.parse().ok() }
}

/// Seconds since the epoch.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()
}

/// The fields of `/proc/self/stat` (proc_pid_stat(5)) we use.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// Seconds.
    started_after_boot: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may itself hold spaces and
        // parentheses.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        // What is left begins with field 3 of the manual.
        let field = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
        let ticks = clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            threads: field(20)?,
            started_after_boot: field(22)? / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page_size() as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn value(points: &[Points], name: &str) -> f64 {
        let family = points.iter().find(|p| &*p.spec.name == name).expect(name);
        match family.samples[0].value {
            Value::Counter(x) | Value::Gauge(x) => x,
            Value::Histogram { .. } => panic!("no process metric is a histogram"),
        }
    }

    #[test]
    fn a_program_name_with_spaces_and_parentheses_shifts_no_field() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 700 4096 3 0";
        let plain = Stat::parse(&format!("1 (weir) {tail}")).expect("parsed");
        assert_eq!(Stat::parse(&format!("1 (a) b (c)) {tail}")), Some(plain));
        assert_eq!((plain.threads, plain.virtual_bytes), (9.0, 4096.0));
        assert_eq!(plain.cpu_seconds, 200.0 / clock_ticks_per_second() as f64);
        assert_eq!(plain.resident_bytes, 3.0 * page_size() as f64);
        assert_eq!(Stat::parse("1 (weir) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn limits_may_be_unlimited_or_absent() {
        assert_eq!(
            max_fds("Max open files            1024                 4096                 files"),
            Some(1024.0)
        );
        assert_eq!(max_fds("Max open files            unlimited  unlimited  files"), Some(f64::INFINITY));
        assert_eq!(max_fds("Max cpu time  1 2"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_numbers_are_those_of_this_process() {
        let mut before = Vec::new();
        ProcessMetrics::default().collect(&mut before);
        assert_eq!(before.len(), 7);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let age = now - value(&before, "process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age), "started {age} s ago");
        assert!(
            value(&before, "process_virtual_memory_bytes") > value(&before, "process_resident_memory_bytes")
        );
        assert!(value(&before, "process_resident_memory_bytes") > 100_000.0);

        // Other tests open and close files at the same time, so only a big difference proves anything.
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/stat").expect("opened")).collect();
        let mut after = Vec::new();
        ProcessMetrics::default().collect(&mut after);
        let opened = value(&after, "process_open_fds") - value(&before, "process_open_fds");
        assert!((60.0..140.0).contains(&opened), "{opened} of {} files seen", files.len());
        assert!(value(&after, "process_open_fds") < value(&after, "process_max_fds"));
        assert!(value(&after, "process_cpu_seconds_total") >= value(&before, "process_cpu_seconds_total"));
    }
}
