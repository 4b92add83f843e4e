//! Replies that are one JSON document with a field of predictions: KServe V1, MLflow and `json`.

use std::sync::{Arc, LazyLock};

use weir_exchange::{FieldPath, Fields, JsonPaths, Output, Reply, Table, Task};

use crate::error::{DecodeErrorKind, Read, absent, malformed};
use crate::json::Reader;
use crate::meaning::SCORE_NAMES;
use crate::read::{Listing, Scratch, read_value};

/// Field beside the predictions with the names of the score columns, as [`crate::encode`] writes it.
pub(crate) const CLASS_NAMES: &str = "class_names";

/// What is looked for. A set of these is a bit mask.
const PREDICTIONS: u8 = 1;
const SCORES: u8 = 1 << 1;
const MODEL: u8 = 1 << 2;
const VERSION: u8 = 1 << 3;
const CLASSES: u8 = 1 << 4;
const BY_PATH: [u8; 4] = [PREDICTIONS, SCORES, MODEL, VERSION];

/// Where the parts of a reply stand.
pub(crate) struct Wanted<'p> {
    /// Paths of `BY_PATH`, in that order.
    paths: [Option<&'p FieldPath>; 4],
    /// TensorFlow Serving answers column style requests with `outputs`.
    alias: Option<&'static str>,
    /// A bare list is the predictions.
    bare: bool,
    /// The usual score names are tried beside the predictions.
    guess: bool,
}

/// The fields that model servers agree on.
static SERVED: LazyLock<JsonPaths> = LazyLock::new(|| JsonPaths {
    model: Some(FieldPath::field("model_name")),
    model_version: Some(FieldPath::field("model_version")),
    ..JsonPaths::default()
});

impl<'p> Wanted<'p> {
    /// The reply of a model server; `tensorflow`: `outputs` may stand for `predictions`.
    pub(crate) fn served(output: &'p Output, tensorflow: bool) -> Self {
        let alias = tensorflow.then_some("outputs");
        Self { alias, bare: true, ..Self::named(output, &SERVED) }
    }

    /// The reply of a service whose fields the route names.
    pub(crate) fn named(output: &'p Output, paths: &'p JsonPaths) -> Self {
        let scores = output.scores.as_ref().or(paths.scores.as_ref());
        let regression = output.task == Task::Regression;
        Self {
            paths: [
                Some(&paths.predictions),
                scores.filter(|_| !regression),
                paths.model.as_ref(),
                paths.model_version.as_ref(),
            ],
            alias: None,
            bare: false,
            guess: scores.is_none() && !regression,
        }
    }

    fn segments(&self, which: usize) -> Option<&'p [Box<str>]> {
        self.paths[which].map(FieldPath::segments)
    }

    /// Of `active`, those whose path ends at `depth`.
    fn ending(&self, active: u8, depth: usize) -> u8 {
        self.select(active, |path| path.len() == depth)
    }

    /// Of `active`, those whose path goes on with a segment that fits.
    fn following(&self, active: u8, depth: usize, fits: impl Fn(&str) -> bool) -> u8 {
        self.select(active, |path| path.get(depth).is_some_and(|segment| fits(segment)))
    }

    #[inline(always)]
    fn select(&self, active: u8, holds: impl Fn(&[Box<str>]) -> bool) -> u8 {
        BY_PATH.iter().enumerate().fold(0, |set, (which, bit)| match self.segments(which) {
            Some(path) if active & bit != 0 && holds(path) => set | bit,
            _ => set,
        })
    }
}

/// Reads a whole reply.
pub(crate) fn read(
    r: &mut Reader<'_>,
    wanted: &Wanted<'_>,
    scratch: &mut Scratch,
    reply: &mut Reply,
) -> Read<()> {
    let bare = if wanted.bare && r.peek() == b'[' { PREDICTIONS } else { 0 };
    let mut visit = Visit { wanted, scratch, reply, found: 0, guess: SCORE_NAMES.len(), classes: Vec::new() };
    visit.value(r, 0, PREDICTIONS | SCORES | MODEL | VERSION, bare)?;
    let (found, classes) = (visit.found, visit.classes);
    r.end()?;
    settle(found, wanted, reply)?;
    if !classes.is_empty() && classes.len() == reply.scores.width && reply.scores.fields == Fields::Positional
    {
        reply.scores.fields = Fields::Named(classes);
    }
    Ok(())
}

/// A walk over the document.
struct Visit<'v, 'p> {
    wanted: &'v Wanted<'p>,
    scratch: &'v mut Scratch,
    reply: &'v mut Reply,
    found: u8,
    /// Place in `SCORE_NAMES` of the scores that were found by guessing: an earlier name is the better guess.
    guess: usize,
    classes: Vec<Arc<str>>,
}

impl Visit<'_, '_> {
    /// The value here, `depth` segments deep on the paths of `active`; `also` is looked for here whatever
    /// its path.
    fn value(&mut self, r: &mut Reader<'_>, depth: usize, active: u8, also: u8) -> Read<()> {
        let here = self.wanted.ending(active, depth) | also;
        let deeper = active & !here;
        if here == 0 && deeper == 0 {
            return r.skip(&mut self.scratch.unescaped);
        }
        let mark = r.mark();
        for bit in [PREDICTIONS, SCORES, MODEL, VERSION, CLASSES] {
            if here & bit != 0 {
                r.reset(mark);
                self.found &= !bit;
                if self.take(bit, r)? {
                    self.found |= bit;
                }
            }
        }
        if here != 0 && deeper == 0 {
            return Ok(());
        }
        r.reset(mark);
        match r.peek() {
            b'{' => self.object(r, depth, deeper),
            b'[' => self.list(r, depth, deeper),
            _ => r.skip(&mut self.scratch.unescaped),
        }
    }

    fn object(&mut self, r: &mut Reader<'_>, depth: usize, active: u8) -> Read<()> {
        let wanted = self.wanted;
        let beside =
            wanted.following(active, depth, |_| true) & wanted.ending(active, depth + 1) & PREDICTIONS != 0;
        let mut object = r.object()?;
        while let Some(key) = r.key(&mut object, &mut self.scratch.unescaped)? {
            let next = wanted.following(active, depth, |segment| *segment == *key);
            let mut also = 0;
            if beside && next == 0 {
                if wanted.alias == Some(key) {
                    also = PREDICTIONS;
                } else if key == CLASS_NAMES {
                    also = CLASSES;
                } else if wanted.guess
                    && let Some(rank) = SCORE_NAMES.iter().position(|name| *name == key)
                    && rank <= self.guess
                {
                    (also, self.guess) = (SCORES, rank);
                }
            }
            self.value(r, depth + 1, next, also)?;
        }
        Ok(())
    }

    fn list(&mut self, r: &mut Reader<'_>, depth: usize, active: u8) -> Read<()> {
        let (mut list, mut index) = (r.array()?, 0);
        while r.element(&mut list)? {
            let next = self.wanted.following(active, depth, |segment| segment.parse() == Ok(index));
            self.value(r, depth + 1, next, 0)?;
            index += 1_usize;
        }
        Ok(())
    }

    /// Reads one part of the reply; false if the value here is not that part after all.
    fn take(&mut self, bit: u8, r: &mut Reader<'_>) -> Read<bool> {
        match bit {
            PREDICTIONS => read_value(r, Listing::Rows, self.scratch, &mut self.reply.outputs)?,
            SCORES => return self.scores(r),
            MODEL => label(r, self.scratch, &mut self.reply.model)?,
            VERSION => label(r, self.scratch, &mut self.reply.model_version)?,
            _ => self.class_names(r)?,
        }
        Ok(true)
    }

    /// A field that only happens to be called `scores` may be anything: then it is left out.
    fn scores(&mut self, r: &mut Reader<'_>) -> Read<bool> {
        let mark = r.mark();
        let scores = &mut self.reply.scores;
        match read_value(r, Listing::Rows, self.scratch, scores) {
            read if !self.wanted.guess => read.map(|()| true),
            Ok(()) if scores.texts.is_empty() => Ok(true),
            Err(error) if error.kind != DecodeErrorKind::Unsupported => Err(error),
            _ => {
                scores.clear();
                self.guess = SCORE_NAMES.len();
                r.reset(mark);
                r.skip(&mut self.scratch.unescaped).map(|()| false)
            }
        }
    }

    fn class_names(&mut self, r: &mut Reader<'_>) -> Read<()> {
        self.classes.clear();
        let mark = r.mark();
        let mut names = Table::default();
        if r.peek() == b'[' {
            read_value(r, Listing::Rows, self.scratch, &mut names).or_else(|_| {
                r.reset(mark);
                r.skip(&mut self.scratch.unescaped)
            })?;
        } else {
            r.skip(&mut self.scratch.unescaped)?;
        }
        if names.width == 1 {
            let names = (0..names.rows).map_while(|row| names.text_at(row));
            self.classes.extend(names.map(|name| self.scratch.cache.share(name)));
        }
        Ok(())
    }
}

/// A model's name or version: a text, or a number as its text.
pub(crate) fn label(r: &mut Reader<'_>, scratch: &mut Scratch, into: &mut String) -> Read<()> {
    into.clear();
    match r.peek() {
        b'"' => into.push_str(r.string(&mut scratch.unescaped)?),
        b'-' | b'0'..=b'9' => into.push_str(r.word_text()?),
        _ => r.skip(&mut scratch.unescaped)?,
    }
    Ok(())
}

/// Fits predictions and scores together.
fn settle(found: u8, wanted: &Wanted<'_>, reply: &mut Reply) -> Read<()> {
    if found & (PREDICTIONS | SCORES) == 0 {
        let predictions = wanted.paths[0].map(ToString::to_string).unwrap_or_default();
        return absent(format_args!("`{predictions}` is not in the body"));
    }
    if found & SCORES == 0 {
        reply.scores.clear();
        return Ok(());
    }
    // The route says that the predictions are the scores.
    if found & PREDICTIONS == 0 || wanted.paths[0] == wanted.paths[1] {
        reply.outputs.clear();
        reply.outputs.rows = reply.scores.rows;
    }
    fit_scores(&mut reply.scores, reply.outputs.rows).or_else(|why| {
        if wanted.guess && found & PREDICTIONS != 0 {
            reply.scores.clear();
            return Ok(());
        }
        malformed(format_args!("the scores {why}"))
    })
}

/// Checks that scores are numbers and one row a prediction; a plain list beside one prediction is its one
/// row.
pub(crate) fn fit_scores(scores: &mut Table, rows: usize) -> Result<(), String> {
    if !scores.texts.is_empty() {
        return Err("hold a text".to_owned());
    }
    if rows == 1 && scores.width == 1 && scores.rows > 1 && scores.fields == Fields::Positional {
        (scores.rows, scores.width) = (1, scores.rows);
    }
    if scores.rows != rows {
        return Err(format!("have {} rows where the predictions have {rows}", scores.rows));
    }
    Ok(())
}
