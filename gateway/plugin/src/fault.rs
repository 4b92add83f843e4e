//! What went wrong in a call into a plugin.

use std::fmt;
use std::time::Duration;

use wasmtime::Trap;

use crate::limiter::Limiter;

/// How a call failed; the label `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// An instruction that cannot be carried out: memory out of bounds, a division by zero.
    Trap,
    /// All of the call's fuel is used.
    Fuel,
    /// The watchdog ended it.
    Timeout,
    /// It wanted more memory than its limit.
    Memory,
    /// It recursed too deep.
    Stack,
    /// What it returned cannot be read, or is too much.
    Result,
    /// It gave up by itself: `panic!` and `abort` end in the instruction `unreachable`.
    Panic,
}

impl FaultKind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Trap, Self::Fuel, Self::Timeout, Self::Memory, Self::Stack, Self::Result, Self::Panic];

    /// The label value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Result => "result",
            Self::Panic => "panic",
        }
    }
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// The function that was called.
    pub(crate) call: &'static str,
    /// What happened; reads after the plugin's name.
    pub(crate) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in `{}`", self.message, self.call)
    }
}

/// What a call may spend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) fuel: u64,
    /// CPU time after which the watchdog ends the call.
    pub(crate) cpu: Duration,
}

impl Fault {
    pub(crate) fn of(call: &'static str, error: &wasmtime::Error, budget: Budget, limiter: &Limiter) -> Self {
        let (kind, message) = classify(error, budget, limiter);
        Self { kind, call, message }
    }
}

fn classify(error: &wasmtime::Error, budget: Budget, limiter: &Limiter) -> (FaultKind, String) {
    if let Some(wanted) = limiter.refused() {
        let limit = limiter.limit();
        return (FaultKind::Memory, format!("wanted {wanted} bytes of memory (its limit is {limit})"));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            (FaultKind::Fuel, format!("used up its fuel ({} for the call)", budget.fuel))
        }
        Some(Trap::Interrupt) => {
            (FaultKind::Timeout, format!("ran longer than {} ms", budget.cpu.as_millis()))
        }
        Some(Trap::StackOverflow) => (FaultKind::Stack, "ran out of stack".to_owned()),
        Some(Trap::UnreachableCodeReached) => (FaultKind::Panic, "panicked".to_owned()),
        Some(trap) => {
            let text = trap.to_string();
            (FaultKind::Trap, format!("trapped: {}", text.trim_start_matches("wasm trap: ")))
        }
        // What is no trap is wasmtime's refusal to read what the guest returned: a pointer or length beyond
        // its memory, a text that is no UTF-8, a number that is no case, or more bytes than `hostcall_fuel`
        // lets through. Its error types are private.
        None => {
            let text = format!("{error:#}");
            let cause = if text.contains("fuel allocated for hostcalls") {
                "more than its limit on results".to_owned()
            } else {
                text
            };
            (FaultKind::Result, format!("returned what cannot be read: {cause}"))
        }
    }
}
