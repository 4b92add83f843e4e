//! A profile as JSON, and back. Reading trusts nothing.

mod check;

pub(crate) use check::MAX_CATEGORIES;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use weir_exchange::Role;
use weir_stats::drift::{Bins, Dispersion, Groups, MissingDispersion};

use crate::error::ProfileError;
use crate::profile::{Cell, Feature, FeatureCounts, FeatureKind, LeftOut, Made, ModelRef, Profile};
use crate::season::Season;

/// What the first key says.
const FORMAT: &str = "weir-profile";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Bytes of the largest file that is read.
pub const LARGEST_FILE: usize = 32 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    digest: String,
    profile: Content,
}

/// Enough to say what a file is, whatever else it holds.
#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    version: Option<u64>,
}

/// Everything but the digest; the digest is of this as compact JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    made: Made,
    model: Option<ModelRef>,
    window_rows: u64,
    block_ms: Option<u64>,
    blocks: u32,
    window_ms: Option<u64>,
    season: Option<Season>,
    segment: Option<String>,
    entity: Option<String>,
    rows_distinct: bool,
    features: Vec<FeatureContent>,
    left_out: Vec<LeftOut>,
    cells: Vec<CellContent>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureContent {
    name: Arc<str>,
    role: String,
    kind: KindContent,
    groups: Vec<usize>,
    dispersion: Dispersion,
    missing_dispersion: MissingDispersion,
    unstable: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum KindContent {
    Number { integers: bool, min: f64, max: f64, edges: Vec<f64>, deciles: Vec<f64>, points: Vec<f64> },
    Category { texts: Vec<Arc<str>> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellContent {
    slot: Option<u32>,
    segment: Option<Arc<str>>,
    #[serde(serialize_with = "count")]
    rows: f64,
    #[serde(serialize_with = "count")]
    distinct: f64,
    counts: Vec<CountsContent>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountsContent {
    #[serde(serialize_with = "counts")]
    bins: Vec<f64>,
    #[serde(serialize_with = "count")]
    missing: f64,
}

/// A count, without `.0` if it is whole: most of the file is counts.
struct Count(f64);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Below 2^53 each whole number is a double of its own.
        if self.0.fract() == 0.0 && (0.0..9e15).contains(&self.0) {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

fn count<S: Serializer>(count: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Count(*count).serialize(serializer)
}

fn counts<S: Serializer>(counts: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(counts.iter().map(|count| Count(*count)))
}

impl Profile {
    /// Reads a file and checks all of it.
    ///
    /// # Errors
    /// [`ProfileError`] says what is wrong with the first fault, and where.
    pub fn read(bytes: &[u8]) -> Result<Self, ProfileError> {
        if bytes.len() > LARGEST_FILE {
            return Err(ProfileError::TooLarge);
        }
        let head: Head =
            serde_json::from_slice(bytes).map_err(|error| ProfileError::NotAProfile(error.to_string()))?;
        if head.format.as_deref() != Some(FORMAT) {
            return Err(ProfileError::NotAProfile(format!("its `format` is not `{FORMAT}`")));
        }
        if head.version != Some(VERSION.into()) {
            let found = head.version.unwrap_or_default();
            return Err(ProfileError::Version { found, known: VERSION });
        }
        let file: File =
            serde_json::from_slice(bytes).map_err(|error| ProfileError::Json(error.to_string()))?;
        let found = file.profile.digest();
        if found != file.digest {
            return Err(ProfileError::Digest { found, expected: file.digest });
        }
        let profile = file.profile.into_profile(found)?;
        profile.check()?;
        Ok(profile)
    }

    /// With the digest of what it holds.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.digest = Content::of(&self).digest();
        self
    }

    /// The file, sealed: one line of JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let profile = Content::of(self);
        let digest = profile.digest();
        let mut bytes = json(&File { format: FORMAT.to_owned(), version: VERSION, digest, profile });
        bytes.push(b'\n');
        bytes
    }

    /// What a reader would check, for those who made a profile of a live window.
    ///
    /// # Errors
    /// [`ProfileError::Malformed`] with the first fault.
    pub fn check(&self) -> Result<(), ProfileError> {
        check::check(self).map_err(|(place, message)| ProfileError::Malformed { place, message })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Only a map whose keys are no texts or a writer that fails could keep it from being written.
    serde_json::to_vec(value).unwrap_or_default()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Content {
    fn of(profile: &Profile) -> Self {
        Self {
            made: profile.made.clone(),
            model: profile.model.clone(),
            window_rows: profile.window_rows,
            block_ms: profile.block.map(ms),
            blocks: profile.blocks,
            window_ms: profile.window.map(ms),
            season: profile.season,
            segment: profile.segment.clone(),
            entity: profile.entity.clone(),
            rows_distinct: profile.rows_distinct,
            features: profile.features.iter().map(FeatureContent::of).collect(),
            left_out: profile.left_out.clone(),
            cells: profile.cells.iter().map(CellContent::of).collect(),
        }
    }

    fn digest(&self) -> String {
        Sha256::digest(json(self)).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn into_profile(self, digest: String) -> Result<Profile, ProfileError> {
        let features = self.features.into_iter().enumerate();
        Ok(Profile {
            digest,
            made: self.made,
            model: self.model,
            window_rows: self.window_rows,
            block: self.block_ms.map(Duration::from_millis),
            blocks: self.blocks,
            window: self.window_ms.map(Duration::from_millis),
            season: self.season,
            segment: self.segment,
            entity: self.entity,
            rows_distinct: self.rows_distinct,
            features: features.map(|(at, feature)| feature.into_feature(at)).collect::<Result<_, _>>()?,
            left_out: self.left_out,
            cells: self.cells.into_iter().map(CellContent::into_cell).collect(),
        })
    }
}

impl FeatureContent {
    fn of(feature: &Feature) -> Self {
        let kind = match &feature.kind {
            FeatureKind::Number { bins, integers } => KindContent::Number {
                integers: *integers,
                min: bins.range().0,
                max: bins.range().1,
                edges: bins.edges().to_vec(),
                deciles: bins.decile_edges().to_vec(),
                points: bins.points().to_vec(),
            },
            FeatureKind::Category { texts } => KindContent::Category { texts: texts.clone() },
        };
        Self {
            name: Arc::clone(&feature.name),
            role: feature.role.as_str().to_owned(),
            kind,
            groups: feature.groups.of_bins().to_vec(),
            dispersion: feature.dispersion,
            missing_dispersion: feature.missing_dispersion,
            unstable: feature.unstable,
        }
    }

    fn into_feature(self, at: usize) -> Result<Feature, ProfileError> {
        let malformed = |key: &str, message: &str| ProfileError::Malformed {
            place: format!("features[{at}].{key}"),
            message: message.to_owned(),
        };
        let role = Role::parse(&self.role).ok_or_else(|| malformed("role", "there is no such role"))?;
        let kind = match self.kind {
            KindContent::Number { integers, min, max, edges, deciles, points } => {
                let bins = Bins::from_parts(edges, deciles, points, (min, max));
                let wanted =
                    "edges that rise from `min` to below `max`, deciles among them, a point in each bin";
                let bins = bins.ok_or_else(|| malformed("kind.number", &format!("expected {wanted}")))?;
                FeatureKind::Number { bins, integers }
            }
            KindContent::Category { texts } => FeatureKind::Category { texts },
        };
        // Looked at before the groups are made: their number is what memory they take.
        if self.groups.iter().any(|group| *group >= self.groups.len()) {
            return Err(malformed("groups", "a group has a number beyond the bins'"));
        }
        let groups = Groups::new(self.groups);
        let Self { name, dispersion, missing_dispersion, unstable, .. } = self;
        Ok(Feature { name, role, kind, groups, dispersion, missing_dispersion, unstable })
    }
}

impl CellContent {
    fn of(cell: &Cell) -> Self {
        let counts = |c: &FeatureCounts| CountsContent { bins: c.bins.clone(), missing: c.missing };
        Self {
            slot: cell.slot,
            segment: cell.segment.clone(),
            rows: cell.rows,
            distinct: cell.distinct,
            counts: cell.counts.iter().map(counts).collect(),
        }
    }

    fn into_cell(self) -> Cell {
        let counts = |c: CountsContent| FeatureCounts { bins: c.bins, missing: c.missing };
        Cell {
            slot: self.slot,
            segment: self.segment,
            rows: self.rows,
            distinct: self.distinct,
            counts: self.counts.into_iter().map(counts).collect(),
        }
    }
}
