//! Whose turn it is: all models' windows close at the same moment, and one call of the plugin sees all of
//! them. What does not fit into a call's work is done in the next.

/// Work that a call may do, in units of the plugin's choice, shared by all models.
#[derive(Clone, Debug)]
pub struct Turns {
    call: usize,
    now_ns: u64,
    left: usize,
    /// Models with a closed window that is not done.
    waiting: Vec<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    model: String,
    /// The call in which it asked first, and in which it asked last.
    since_ns: u64,
    asked_ns: u64,
}

impl Turns {
    /// So many units a call. Ten million of wasmtime's fuel is what a call has by default, about as many
    /// instructions.
    pub fn new(call: usize) -> Self {
        Self { call, now_ns: 0, left: call, waiting: Vec::new() }
    }

    /// To be told at each [`crate::Plugin::tick`]: those of one call have the same time, the next another.
    pub fn begin(&mut self, now_ns: u64) {
        if self.now_ns == now_ns {
            return;
        }
        // Who did not ask in the last call has nothing left to look at.
        self.waiting.retain(|it| it.asked_ns == self.now_ns);
        (self.now_ns, self.left) = (now_ns, self.call);
    }

    /// Nothing more is begun in this call.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// How many of so many things, of so many units each, are done now. The last may go past the end.
    pub fn take(&mut self, things: usize, each: usize) -> usize {
        let taken = things.min(self.left.div_ceil(each.max(1)));
        self.left = self.left.saturating_sub(taken * each);
        taken
    }

    /// Whether a model with a closed window is judged in this call: not once the call's work is done, and
    /// not before those that wait since an earlier call. Else the short windows of the first models would be
    /// all that is ever looked at.
    pub fn has(&mut self, model: &str) -> bool {
        let now_ns = self.now_ns;
        let since_ns = match self.waiting.iter_mut().find(|it| it.model == model) {
            Some(it) => {
                it.asked_ns = now_ns;
                it.since_ns
            }
            None => {
                let model = model.to_owned();
                self.waiting.push(Waiting { model, since_ns: now_ns, asked_ns: now_ns });
                now_ns
            }
        };
        // Whoever asked first is at the front.
        !self.is_spent() && self.waiting.first().is_none_or(|first| first.since_ns == since_ns)
    }

    /// A model's window is done, or the model is gone.
    pub fn done(&mut self, model: &str) {
        self.waiting.retain(|it| it.model != model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six models whose windows close with every call, of two units each; three units a call.
    #[test]
    fn every_model_has_its_turn_however_often_the_first_ones_ask() {
        let mut turns = Turns::new(3);
        let mut served = vec![0; 6];
        for now in 1..=30 {
            turns.begin(now);
            for (model, served) in served.iter_mut().enumerate() {
                let name = model.to_string();
                if turns.has(&name) {
                    turns.take(1, 2);
                    turns.done(&name);
                    *served += 1;
                }
            }
        }
        assert!(served.iter().all(|times| (9..=11).contains(times)), "{served:?}");
    }

    /// A model whose window is looked at in several calls keeps its turn, and one that no longer asks does
    /// not keep the others from theirs.
    #[test]
    fn a_window_in_parts_is_gone_on_with_and_nobody_waits_for_a_model_that_is_silent() {
        let mut turns = Turns::new(1);
        turns.begin(1);
        assert!(turns.has("long") && turns.take(3, 1) == 1 && !turns.has("late"));
        turns.begin(2);
        assert!(!turns.has("new") && turns.has("long") && turns.take(2, 1) == 1 && !turns.has("late"));
        turns.begin(3);
        assert!(!turns.has("new"), "after the two before it");
        turns.begin(4);
        assert!(turns.has("new"), "the others did not ask again");
    }

    #[test]
    fn what_is_taken_of_a_call_is_what_fits() {
        let mut turns = Turns::new(10);
        turns.begin(1);
        assert_eq!((turns.take(2, 4), turns.take(5, 1), turns.is_spent()), (2, 2, true));
        assert_eq!(turns.take(1, 1), 0);
        turns.begin(1);
        assert!(turns.is_spent(), "the same call");
        turns.begin(2);
        assert_eq!(turns.take(9, 3), 4, "the last goes past the end");
    }
}
