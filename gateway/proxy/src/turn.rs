//! A task that wakes itself.
//!
//! A client's connection and the handling of its request are polled by one task, so what hyper's channel
//! between them wakes is the task that runs already. Each such wake would poll everything once more for
//! nothing. Here a wake that comes while the task runs is only noted, and can be taken back by who knows that
//! it means nothing.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::task::{Context, Poll, Wake, Waker};

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
/// Running, and woken meanwhile: it must run once more.
const NUDGED: u8 = 2;

/// The turns of one task.
#[derive(Debug, Default)]
pub(crate) struct Turns(OnceCell<(Arc<Turn>, Waker)>);

#[derive(Debug)]
struct Turn {
    task: Waker,
    state: AtomicU8,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.state.compare_exchange(RUNNING, NUDGED, AcqRel, Acquire);
        if noted == Err(WAITING) {
            self.task.wake_by_ref();
        }
    }
}

impl Turns {
    /// Runs one turn of the task that `cx` belongs to, always the same one. If it was nudged, it gets
    /// another.
    pub(crate) fn run<T>(&self, cx: &Context<'_>, step: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let (turn, waker) = self.0.get_or_init(|| {
            let turn = Arc::new(Turn { task: cx.waker().clone(), state: AtomicU8::new(WAITING) });
            (turn.clone(), Waker::from(turn))
        });
        debug_assert!(turn.task.will_wake(cx.waker()), "a connection stays in its task");
        turn.state.store(RUNNING, Release);
        let polled = step(&mut Context::from_waker(waker));
        if turn.state.swap(WAITING, AcqRel) == NUDGED && polled.is_pending() {
            turn.task.wake_by_ref();
        }
        polled
    }

    /// Takes a chunk out of one of hyper's channels. That wakes its sender, who after the last chunk has
    /// nothing to do.
    pub(crate) fn taking<C, T>(
        &self,
        channel: &mut C,
        take: impl FnOnce(&mut C) -> T,
        was_last: impl FnOnce(&C) -> bool,
    ) -> T {
        let Some((turn, _)) = self.0.get() else { return take(channel) };
        let before = turn.state.load(Acquire);
        let taken = take(channel);
        if before == RUNNING && was_last(channel) {
            // Only this thread wakes a task that forwards, so there is no other wake to lose.
            let _ = turn.state.compare_exchange(NUDGED, RUNNING, AcqRel, Acquire);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, AcqRel);
        }
    }

    /// Runs a turn that stays pending, and returns how often the task was woken by it and the waker it had.
    fn turn(turns: &Turns, woken: &Arc<Woken>, step: impl FnOnce(&Waker)) -> (usize, Waker) {
        let before = woken.0.load(Acquire);
        let task = Waker::from(woken.clone());
        let mut waker = Waker::noop().clone();
        let polled: Poll<()> = turns.run(&Context::from_waker(&task), |cx| {
            waker = cx.waker().clone();
            step(cx.waker());
            Poll::Pending
        });
        assert!(polled.is_pending());
        (woken.0.load(Acquire) - before, waker)
    }

    #[test]
    fn wakes_within_a_turn_make_one_more_and_wakes_between_turns_pass() {
        let (turns, woken) = (Turns::default(), Arc::new(Woken::default()));
        assert_eq!(turn(&turns, &woken, |_| ()).0, 0);
        let (wakes, waker) = turn(&turns, &woken, |waker| {
            waker.wake_by_ref();
            waker.wake_by_ref();
        });
        assert_eq!(wakes, 1);
        waker.wake();
        assert_eq!(woken.0.load(Acquire), 2);
        assert_eq!(turn(&turns, &woken, |_| ()).0, 0, "a wake that passed is not kept");
    }

    #[test]
    fn only_the_wake_of_taking_the_last_chunk_is_taken_back() {
        let (turns, woken) = (Turns::default(), Arc::new(Woken::default()));
        let taking = |waker: &Waker, last: bool| turns.taking(&mut (), |()| waker.wake_by_ref(), |()| last);
        assert_eq!(turn(&turns, &woken, |waker| taking(waker, true)).0, 0);
        assert_eq!(turn(&turns, &woken, |waker| taking(waker, false)).0, 1);
        let (wakes, _) = turn(&turns, &woken, |waker| {
            waker.wake_by_ref();
            taking(waker, true);
        });
        assert_eq!(wakes, 1, "what was noted before is kept");
    }
}
