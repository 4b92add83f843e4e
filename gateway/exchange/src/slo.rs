//! What a service level objective counts, and how one exchange is judged for it.

use std::sync::Arc;

use crate::exchange::ErrorType;

/// An objective, as far as events are judged for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Its key in the configuration: the label `slo`.
    pub name: Arc<str>,
    /// Stands for everything that decides what an event is: counts under another one are not comparable.
    pub definition: Arc<str>,
    pub aim: Aim,
    /// What an answer of 4xx is.
    pub client_errors: Stance,
    /// What an exchange is that the client left.
    pub cancelled: Stance,
}

/// What makes an event good.
#[derive(Clone, Debug, PartialEq)]
pub enum Aim {
    /// A request is answered, and not by an error of ours or of the model's.
    Availability,
    /// A request is answered like that, within this time as the client sees it, in ns.
    Latency { under_ns: u64 },
    /// A judged row has a highest class score of this or more; rows without scores are no events.
    Confidence { at_least: f64 },
    /// An observed exchange can be read: both sides decode, and what they say fits together. Bad is what
    /// `weir_decode_errors_total` counts, good is what gave rows on both sides. No event is what says nothing
    /// of that: a side longer than what is kept of it, a side with nothing to read (metadata, a probe), a
    /// route without a protocol, and whatever was not a success, even if its request cannot be read. A client
    /// whose garbage the model refuses must not use up a budget about reading what models accept.
    /// `client_errors` and `cancelled` therefore do not apply.
    Decodable,
    /// A judged row comes while this condition of this plugin is not active for its route and model.
    Condition { plugin: Arc<str>, condition: Arc<str> },
}

impl Aim {
    /// Counted where the client is answered, so that nothing is ever left out.
    pub fn is_of_requests(&self) -> bool {
        matches!(self, Self::Availability | Self::Latency { .. })
    }
}

/// How a kind of event is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    Good,
    Bad,
    /// No event at all.
    Ignored,
}

impl Objective {
    /// Label values of its events in `weir_slo_events_total`: `slo`, `definition`, `good`.
    pub fn labels(&self, good: bool) -> [&str; 3] {
        [&self.name, &self.definition, if good { "true" } else { "false" }]
    }

    /// Whether one finished request is good; `None` if it is no event of this objective. `status` is 0 if
    /// there was no answer. What Weir itself turned away with 503 is bad.
    pub fn judge(&self, status: u16, error: Option<ErrorType>, duration_ns: u64) -> Option<bool> {
        let by = |stance| match stance {
            Stance::Good => Some(true),
            Stance::Bad => Some(false),
            Stance::Ignored => None,
        };
        match self.aim {
            Aim::Availability | Aim::Latency { .. } => {}
            _ => return None,
        }
        if error == Some(ErrorType::ClientGone) {
            return by(self.cancelled);
        }
        if (400..500).contains(&status) {
            return by(self.client_errors);
        }
        if error.is_some() || status == 0 || status >= 500 {
            return Some(false);
        }
        match self.aim {
            Aim::Latency { under_ns } => Some(duration_ns <= under_ns),
            _ => Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_bad_for_what_was_ours_or_the_models_and_for_nothing_else() {
        let mut objective = Objective {
            name: "a".into(),
            definition: "0".into(),
            aim: Aim::Latency { under_ns: 500 },
            client_errors: Stance::Good,
            cancelled: Stance::Ignored,
        };
        for (status, error, ns, good) in [
            (200, None, 500, Some(true)),
            (200, None, 501, Some(false)),
            (404, None, 9000, Some(true)),
            (413, Some(ErrorType::BodyTooLarge), 1, Some(true)),
            (503, Some(ErrorType::Limit), 1, Some(false)),
            (502, Some(ErrorType::Connect), 1, Some(false)),
            (504, Some(ErrorType::Timeout), 1, Some(false)),
            (500, Some(ErrorType::Status5xx), 1, Some(false)),
            (200, Some(ErrorType::Reset), 1, Some(false)),
            (0, Some(ErrorType::ClientGone), 1, None),
            (200, Some(ErrorType::ClientGone), 1, None),
            (0, None, 1, Some(false)),
        ] {
            assert_eq!(objective.judge(status, error, ns), good, "{status} {error:?} {ns}");
        }
        objective.aim = Aim::Availability;
        (objective.client_errors, objective.cancelled) = (Stance::Bad, Stance::Bad);
        assert_eq!(objective.judge(200, None, 501), Some(true));
        assert_eq!(objective.judge(404, None, 1), Some(false));
        assert_eq!(objective.judge(200, Some(ErrorType::ClientGone), 1), Some(false));
        objective.aim = Aim::Decodable;
        assert_eq!(objective.judge(200, None, 1), None);
    }
}
