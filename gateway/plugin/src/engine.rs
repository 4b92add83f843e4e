//! The one engine of a process, its linker, and the watchdog that ends calls which run too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, EngineWeak};

use crate::bindings::Keeper;
use crate::context::Context;
use crate::error::HostError;

/// Length of an epoch. At 10 ms the ticker takes 0.25 % of a core while plugins run, at 1 ms it takes 1.7 %.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Epochs a call may run before anybody looks at its CPU time: 20 ms. Most calls take microseconds.
pub(crate) const EPOCHS_BEFORE_LOOK: u64 = 2;

/// Ticks without a call after which the ticker sleeps until the next one.
const IDLE_TICKS: u32 = 100;

/// Stack of a guest; a judge's thread has 2 MiB.
const STACK_BYTES: usize = 512 << 10;

/// The engine: fuel for exact limits, epochs for the watchdog.
///
/// Compilation takes one core at most: plugins are reloaded while traffic flows. The reservation of 4 GiB of
/// address space for a memory stays as it is, since a smaller one costs a bounds check on every access.
pub(crate) fn engine() -> Result<Engine, HostError> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .parallel_compilation(false);
    Engine::new(&config).map_err(|error| HostError::Engine(format!("{error:#}")))
}

/// What a plugin can import: `weir:plugin/host`, nothing else.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Context>, HostError> {
    let mut linker = Linker::new(engine);
    Keeper::add_to_linker::<_, HasSelf<Context>>(&mut linker, |context| context)
        .map_err(|error| HostError::Engine(format!("{error:#}")))?;
    Ok(linker)
}

/// CPU time of this thread in ns.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Advances the engine's epoch while calls run.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    ticker: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// A call is running.
pub(crate) struct Running<'a>(&'a Shared);

impl Watchdog {
    pub(crate) fn start(engine: &Engine) -> Result<Self, HostError> {
        let shared = Arc::new(Shared::default());
        let (mine, weak) = (shared.clone(), engine.weak());
        let spawned = thread::Builder::new().name("weir-watchdog".into()).spawn(move || tick(&mine, &weak));
        let ticker = spawned.map_err(HostError::Watchdog)?.thread().clone();
        Ok(Self { shared, ticker })
    }

    /// Wakes the ticker if it sleeps. It either sees the call counted here before it sleeps, or is seen
    /// asleep.
    pub(crate) fn watch(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.asleep.load(SeqCst) {
            self.ticker.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.ticker.unpark();
    }
}

fn tick(shared: &Shared, engine: &EngineWeak) {
    let mut idle = 0;
    while !shared.ended.load(SeqCst) {
        idle = if shared.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
        if idle > IDLE_TICKS {
            shared.asleep.store(true, SeqCst);
            if shared.running.load(SeqCst) == 0 && !shared.ended.load(SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, SeqCst);
            idle = 0;
        }
        thread::park_timeout(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
    }
}
