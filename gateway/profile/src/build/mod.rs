//! From a sheet to a profile: pure, and the same for the same sheet and options.

mod cells;
mod leave_out;
mod placed;
mod replay;
mod rows;
mod spread;
mod warn;

use std::time::Duration;

use weir_exchange::Role;

use crate::error::BuildError;
use crate::options::{BuildOptions, Built};
use crate::profile::{Made, Profile};
use crate::sheet::Sheet;
use rows::Rows;

/// The length of blocks, if neither blocks nor windows have one.
const DAY: Duration = Duration::from_secs(86_400);

/// Makes a profile.
///
/// # Errors
/// An option names a column that is not there or needs another option, a row has no time, or nothing is left.
pub fn build(sheet: Sheet, options: &BuildOptions) -> Result<Built, BuildError> {
    if sheet.rows == 0 {
        return Err(BuildError::Nothing("the data holds no rows".to_owned()));
    }
    sheet.check()?;
    let mut sheet = with_roles(sheet, options)?;
    let (rows, of_time) = Rows::of(&sheet, options)?;
    let segments = options.segment.as_ref().map(|name| cells::segments(&sheet, name)).transpose()?;
    let left_out = leave_out::leave_out(&sheet, &rows, options, &of_time)?;
    let mut warnings = warn::of_columns(&sheet, &left_out);
    sheet.columns.retain(|column| !left_out.iter().any(|left| *left.column == *column.name));
    let keys = rows.entities.clone().unwrap_or_else(|| placed::row_keys(&sheet));
    let window_rows = rows.smallest_window(options);
    let mut placed = placed::place(&sheet, window_rows);
    if placed.is_empty() {
        let said = left_out.iter().map(|left| format!("`{}` ({})", left.column, left.reason));
        let said = crate::fit::listed(said);
        return Err(BuildError::Nothing(format!("no column is left to be judged; left out: {said}")));
    }
    let cells = cells::cells(&placed, &rows, &keys, segments.as_ref())?;
    let (distinct, all) = cells.first().map_or((0.0, 1.0), |whole| (whole.distinct, whole.rows));
    let mut profile = Profile {
        digest: String::new(),
        made: Made { rows: rows.len as u64, ..options.made.clone() },
        model: options.model.clone(),
        window_rows,
        block: None,
        blocks: 0,
        window: options.window,
        season: options.season,
        segment: options.segment.clone(),
        entity: options.entity.clone(),
        rows_distinct: distinct >= all / 2.0,
        features: Vec::new(),
        left_out,
        cells,
    };
    if let Some(times) = &rows.times {
        let length = options.block.or(options.window).unwrap_or(DAY);
        spread::measure(&mut placed, &mut profile, &rows.blocks(times, length), &keys, length);
    }
    let replay = rows.times.as_ref().zip(options.window).map(|(times, window)| {
        replay::replay(&placed, &profile, &rows.blocks(times, window), &keys, (window, options.budget))
    });
    profile.features = placed.into_iter().map(|placed| placed.feature).collect();
    if let Some(replay) = &replay {
        replay::mark_unstable(&mut profile, replay, options.budget);
    }
    warnings.extend(warn::of_profile(&profile, replay.as_ref()));
    // What is built is what is read.
    profile.check().map_err(|error| BuildError::Nothing(error.to_string()))?;
    let span =
        rows.times.as_ref().and_then(|times| times.iter().min().copied().zip(times.iter().max().copied()));
    Ok(Built { profile: profile.sealed(), warnings, span, replay })
}

/// The sheet with predictions and scores told from inputs.
fn with_roles(mut sheet: Sheet, options: &BuildOptions) -> Result<Sheet, BuildError> {
    if let Some((column, name)) = &options.prediction {
        let at = sheet.column("prediction", column)?;
        sheet.columns[at].role = Role::Output;
        sheet.columns[at].name = name.as_str().into();
    }
    for name in &options.scores {
        let at = sheet.column("score", name)?;
        sheet.columns[at].role = Role::Score;
    }
    Ok(sheet)
}
