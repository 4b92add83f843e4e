//! Who goes first where threads share a core: the request path, before everything that measures it.
//!
//! Both are requests to the Linux scheduler that need no privilege. A kernel that does not know them goes on
//! as before: the cost is a longer tail of latency, never an error.

use rustix::process::{getpriority_process, setpriority_process};

/// How much nicer than the process a thread off the request path is. Measured on one saturated core with
/// everything on: at 10 all exchanges are still observed, at 19 two thirds are shed.
const NICER: i32 = 10;
/// The nicest there is.
const NICEST: i32 = 19;

/// What a worker may run before another thread of the core gets its turn, in nanoseconds; the shortest that
/// Linux takes. Who needs the core only shortly gets it sooner.
const SLICE_NS: u64 = 100_000;

/// Makes the calling thread leave the core to the request path when both want it.
pub fn give_way() {
    // On Linux a thread has a priority of its own, and no process stands for the calling thread.
    if let Ok(now) = getpriority_process(None) {
        let _ = setpriority_process(None, (now + NICER).min(NICEST));
    }
}

/// Makes the calling thread get the core as soon as it wakes: Linux 6.12 lets a thread with a shorter slice
/// preempt one with a longer.
pub fn go_first() {
    if let Ok(nice) = getpriority_process(None) {
        set_slice(nice, SLICE_NS);
    }
}

/// `struct sched_attr`, in its first version (`sched_setattr(2)`).
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// `SCHED_FLAG_KEEP_POLICY`: a thread that somebody made a realtime one stays that.
const KEEP_POLICY: u64 = 0x08;

#[expect(
    unsafe_code,
    reason = "no crate wraps sched_setattr; measured, it halves what telemetry adds to the 99th percentile"
)]
fn set_slice(nice: i32, runtime: u64) {
    let attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: 0,
        flags: KEEP_POLICY,
        nice,
        priority: 0,
        runtime,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes at the pointer, which outlives the call; thread 0 is the calling
    // one. It refuses what it does not know.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_gives_way_is_nicer_and_no_other_is() {
        let before = getpriority_process(None).unwrap();
        let nicer = std::thread::spawn(|| {
            give_way();
            getpriority_process(None).unwrap()
        });
        assert_eq!(nicer.join().unwrap(), (before + NICER).min(NICEST));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn going_first_keeps_the_priority() {
        let before = getpriority_process(None).unwrap();
        let same = std::thread::spawn(|| {
            go_first();
            getpriority_process(None).unwrap()
        });
        assert_eq!(same.join().unwrap(), before);
    }
}
