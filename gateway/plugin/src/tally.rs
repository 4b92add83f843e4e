//! Tallies: the rows of a model, counted by the host in tumbling windows and in the bins of a profile.
//!
//! They count whatever becomes of the plugin's calls, and go on over traps, reloads and restarts while their
//! shape is equal. `map` and `rows` say which rows and columns of a batch count, `block` holds rows until
//! they are counted, `part` counts, `window` a window of them, `wish` is what a plugin asks for. `clock`
//! begins anew after a wrong date, `compare` answers, `export` shows, `file` keeps.

mod block;
mod clock;
mod compare;
mod detect;
mod export;
mod file;
mod layout;
mod live;
mod map;
mod packed;
mod part;
mod rows;
mod set;
mod window;
mod wish;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use weir_exchange::{Batch, SchemaId};
use weir_profile::Profile;
use weir_stats::drift::{Distinct, MAX_HASHES};

pub(crate) use compare::Against;
pub(crate) use file::{Found as Kept, Keep};
pub(crate) use layout::{bin_names, choose};
pub use live::{LiveCounts, LivePart, LiveWindow};
pub use set::Coverage;
pub(crate) use set::{Owner, SharedTallies};
pub(crate) use wish::Wish;

use block::Block;
use detect::Detectors;
use export::Exported;
use layout::Layout;
use map::{Columns, Map};
use part::Part;
use rows::{Scratch, Segments};
use window::{Counting, Past, Window};

/// How long after its end a window waits for batches that are late, in ns; at most its own length.
const GRACE_NS: u64 = 2_000_000_000;

/// Windows that are open or wait to be judged; with one more, the oldest that waits is dropped.
const MOST_WINDOWS: usize = 3;

/// Windows with fine counts at most: those, and the last that was judged, for whoever looks.
const WINDOWS_HELD: usize = MOST_WINDOWS + 1;

/// Bytes that tell rows of one part apart, at most.
const DISTINCT_BYTES: usize = (16 * MAX_HASHES) + size_of::<Distinct>();

/// Bytes a tally takes beside its counts, and for each feature of the profile: names, maps, counters.
const OVERHEAD: usize = 4096;
const FEATURE_OVERHEAD: usize = 128;

/// One tally of one model.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) wish: Wish,
    pub(crate) profile: Arc<Profile>,
    layout: Arc<Layout>,
    segments: Segments,
    /// Begin of the oldest window that has not closed.
    front_ns: u64,
    /// Windows that rows may be of: that one, and the next while it waits for what is late.
    open: VecDeque<Window>,
    /// Rows of one of them that are not counted yet.
    block: Block,
    /// Closed and not done, the oldest first.
    waiting: VecDeque<Window>,
    last: Option<Window>,
    past: VecDeque<Past>,
    last_look_ns: Option<u64>,
    unlooked: u32,
    /// Windows that were dropped since the last that waits.
    dropped: u32,
    maps: HashMap<SchemaId, Map, ahash::RandomState>,
    exported: Option<Exported>,
    detectors: Option<Detectors>,
    wanted: Wanted,
    /// What the coverage had counted when the last window closed; not kept over a restart.
    lost_from: Option<u64>,
    /// The last time a row was counted, or a judge took over.
    counted_ns: u64,
    /// It was opened in the running call, and has not counted its batch.
    fresh: bool,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Rows that came after their window had closed.
    pub(crate) late: u64,
}

impl Tally {
    pub(crate) fn new(wish: Wish, profile: Arc<Profile>, now_ns: u64) -> Self {
        let layout = Arc::new(Layout::new(&profile));
        let segments = Segments::new(&wish, &profile);
        let detectors = Detectors::new(wish.run_length, &profile);
        let front_ns = now_ns - now_ns % wish.shape.span_ns;
        Self {
            block: Block::new(&profile),
            profile,
            layout,
            segments,
            front_ns,
            open: VecDeque::new(),
            waiting: VecDeque::new(),
            last: None,
            past: VecDeque::new(),
            last_look_ns: None,
            unlooked: 0,
            dropped: 0,
            maps: HashMap::default(),
            exported: None,
            detectors,
            wanted: Wanted::Asked,
            lost_from: None,
            counted_ns: now_ns,
            fresh: true,
            wish,
        }
    }

    /// Bytes it takes at most.
    pub(crate) fn bytes(wish: &Wish, profile: &Profile) -> usize {
        let layout = Layout::new(profile);
        let part = layout.part_bytes() + DISTINCT_BYTES + size_of::<Window>();
        let parts = WINDOWS_HELD.saturating_mul(1 + wish.shape.segments as usize);
        let feature = FEATURE_OVERHEAD + if wish.run_length > 0 { detect::BYTES } else { 0 };
        let past = (layout.past_bytes() + size_of::<Past>()).saturating_mul(wish.kept());
        let rest = Block::bytes(profile) + OVERHEAD + feature * layout.features();
        part.saturating_mul(parts).saturating_add(past).saturating_add(rest)
    }

    fn span_ns(&self) -> u64 {
        self.wish.shape.span_ns
    }

    /// When the oldest open window closes.
    pub(crate) fn due_ns(&self) -> u64 {
        let span = self.span_ns();
        self.front_ns.saturating_add(span).saturating_add(GRACE_NS.min(span))
    }

    /// Closes what has ended. What was lost since the last time is ascribed to the first that closes.
    pub(crate) fn advance(&mut self, now_ns: u64, lost: Lost) {
        if self.due_ns() <= now_ns {
            self.count();
        }
        while self.due_ns() <= now_ns {
            self.skip(now_ns);
            let window = self.open.pop_front_if(|window| window.begin_ns == self.front_ns);
            let mut window = window.unwrap_or_else(|| Window::new(self.front_ns, &self.layout));
            window.close();
            self.lose(&mut window, lost);
            window.dropped = std::mem::take(&mut self.dropped);
            self.front_ns += self.span_ns();
            self.waiting.push_back(window);
            self.make_room();
        }
        // From the first look on.
        self.lost_from = self.lost_from.or(lost.total);
    }

    fn lose(&mut self, window: &mut Window, lost: Lost) {
        if let (Some(total), Some(from)) = (lost.total, self.lost_from) {
            window.lost += total.saturating_sub(from) as f64 * lost.share;
        }
        self.lost_from = lost.total;
    }

    /// Leaves out windows of a time when nobody looked, but for the last that can wait.
    fn skip(&mut self, now_ns: u64) {
        let ended = (now_ns - self.due_ns()) / self.span_ns() + 1;
        let too_many = ended.saturating_sub(MOST_WINDOWS as u64);
        if self.open.is_empty() && too_many > 0 {
            self.front_ns += too_many * self.span_ns();
            self.dropped = self.dropped.saturating_add(u32::try_from(too_many).unwrap_or(u32::MAX));
        }
    }

    /// Drops the oldest that waits if there are too many.
    fn make_room(&mut self) {
        while self.open.len() + self.waiting.len() > MOST_WINDOWS
            && let Some(gone) = self.waiting.pop_front()
        {
            let dropped = gone.dropped.saturating_add(1);
            let next = self.waiting.front_mut().map_or(&mut self.dropped, |next| &mut next.dropped);
            *next = next.saturating_add(dropped);
        }
    }

    /// Takes in a batch of its model. Its rows wait until there are enough of them, or another window is
    /// theirs.
    pub(crate) fn take_in(&mut self, batch: &Batch, lost: Lost, scratch: &mut Scratch) -> Counted {
        self.fresh = false;
        let at_ns = batch.closed_unix_ns;
        self.advance(at_ns, lost);
        if at_ns < self.front_ns {
            return Counted { late: batch.rows as u64 };
        }
        let begin_ns = at_ns - at_ns % self.span_ns();
        if begin_ns != self.block.begin_ns {
            self.count();
            self.block.begin_ns = begin_ns;
        }
        let wanted = Columns {
            profile: &self.profile,
            layout: &self.layout,
            segment: self.wish.shape.segment.as_deref(),
            entity: self.wish.entity(&self.profile),
        };
        let map = self.maps.entry(batch.schema.id).or_insert_with(|| Map::new(wanted));
        map.update(&batch.schema, wanted);
        let observed = scratch.look_through(batch, map, &mut self.segments);
        self.counted_ns = self.counted_ns.max(at_ns);
        let at = self.window_at(begin_ns);
        self.open[at].observed += observed;
        self.make_room();
        let rows = batch.rows.min(batch.row_exchange.len());
        let mut from = 0;
        while from < rows {
            let to = rows.min(from + self.block.room());
            let map = &self.maps[&batch.schema.id];
            scratch.take(batch, from..to, (&self.profile, map), &mut self.block);
            if self.block.room() == 0 {
                self.count();
            }
            from = to;
        }
        Counted::default()
    }

    /// Counts the rows that wait.
    pub(crate) fn count(&mut self) {
        if self.block.rows() == 0 {
            return;
        }
        let at = self.window_at(self.block.begin_ns);
        let Self { profile, layout, exported, detectors, open, block, .. } = self;
        let window = &mut open[at];
        window.count(&Counting { profile, layout, exported: exported.as_ref() }, block);
        if let Some(detectors) = detectors {
            detectors.follow(block, profile, &mut window.changes);
        }
        block.clear();
    }

    /// Whether rows wait to be counted.
    fn waits(&self) -> bool {
        self.block.rows() > 0
    }

    /// Where the open window is that begins then; a new one if there is none.
    fn window_at(&mut self, begin_ns: u64) -> usize {
        let at = self.open.iter().position(|window| window.begin_ns == begin_ns);
        at.unwrap_or_else(|| {
            let at = self.open.partition_point(|other| other.begin_ns < begin_ns);
            self.open.insert(at, Window::new(begin_ns, &self.layout));
            at
        })
    }

    /// Detectors as the wish says; those that run go on if it says the same.
    fn detect(&mut self, run_length: u64) {
        if self.wish.run_length != run_length {
            self.wish.run_length = run_length;
            self.detectors = Detectors::new(run_length, &self.profile);
        }
    }

    /// The oldest window that has closed and is not done.
    pub(crate) fn front(&self) -> Option<&Window> {
        self.waiting.front()
    }

    /// The window that began then has been judged.
    pub(crate) fn done(&mut self, begin_ns: u64, looked: bool) {
        let Some(window) = self.waiting.pop_front_if(|window| window.begin_ns == begin_ns) else { return };
        let scale = self.scale(&window.whole);
        self.past.push_back(Past::of(&window, &self.profile, &self.layout, scale));
        while self.past.len() > self.wish.kept() {
            self.past.pop_front();
        }
        if looked {
            self.last_look_ns = Some(window.begin_ns + self.span_ns());
            self.unlooked = 0;
        } else {
            self.unlooked = self.unlooked.saturating_add(1);
        }
        self.last = Some(window);
    }

    /// How many rows are different, as far as they are told apart.
    fn distinct(&self, part: &Part) -> f64 {
        part.distinct.estimate().min(part.rows as f64)
    }

    /// How many equally weighted rows know as much as those of a part.
    fn effective(&self, part: &Part) -> f64 {
        let told_apart =
            !self.wish.shape.entity.is_empty() || self.profile.entity.is_some() || self.profile.rows_distinct;
        let repeated = match part.rows {
            0 => 1.0,
            rows if told_apart => self.distinct(part) / rows as f64,
            _ => 1.0,
        };
        part.kish() * repeated
    }

    /// By how much counts of a part are multiplied, so that they count what its rows know.
    fn scale(&self, part: &Part) -> f64 {
        if part.weight > 0.0 { self.effective(part) / part.weight } else { 1.0 }
    }

    /// Whether it goes: no instance asked for it though its model is there, or that has been gone for so long
    /// that its windows are empty.
    fn is_over(&self, now_ns: u64, live: bool) -> bool {
        if live {
            return matches!(self.wanted, Wanted::Until(until) if now_ns >= until);
        }
        let kept = self.span_ns().saturating_mul(2).saturating_add(IDLE_NS);
        now_ns.saturating_sub(self.counted_ns) > kept
    }
}

/// A tally of days that nobody opened, to measure with.
#[derive(Debug)]
pub(crate) struct ScratchTally(Tally, Scratch);

impl ScratchTally {
    pub(crate) fn new((profile, segments): (&Arc<Profile>, u32), now_ns: u64) -> Self {
        Self(Tally::new(Wish::daily(segments), profile.clone(), now_ns), Scratch::default())
    }

    pub(crate) fn take_in(&mut self, batch: &Batch) {
        self.0.take_in(batch, Lost { total: None, share: 1.0 }, &mut self.1);
    }
}

/// Whether an instance of the judge that is there now has opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Asked,
    /// Not yet: it may do so until then.
    Until(u64),
}

/// How long counts of a model outlive it beside two windows: it may come back with the next request.
const IDLE_NS: u64 = 3600 * 1_000_000_000;

/// Exchanges of a route that were answered and not decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    /// Counted so far; `None` if nobody counts.
    pub(crate) total: Option<u64>,
    /// Which part of them is ascribed to this tally.
    pub(crate) share: f64,
}

#[cfg(test)]
mod tests;
