//! What Weir makes of a history: it looks at the counters themselves, on time.

use weir_alert::{Common, Engine, Input, State};

use crate::history::History;
use crate::rules::pair_name;
use crate::{BASE_MS, LOOKS, STEP_MS, Timelines, note};

pub(crate) fn timelines(history: &History) -> Timelines {
    let common = Common {
        alerting: history.rules.config.alerting.clone(),
        instance: "weir".into(),
        address: String::new(),
        durable: true,
    };
    let mut engine = Engine::new(history.rules.plan(), common, BASE_MS);
    let mut all = Timelines::new();
    for look in 0..LOOKS {
        let (at_ms, points) = (BASE_MS + look * STEP_MS, history.points(look * STEP_MS));
        let input = Input { at_ms, wall_ms: at_ms, generation: 1, points: &points, conditions: &[] };
        engine.step(&input);
        for rule in engine.rules() {
            for alert in rule.alerts {
                let own = alert.labels.into_iter().filter(|(name, _)| name == "route");
                note(&mut all, &rule.name, own.collect(), look, alert.state);
            }
        }
        let slo = engine.slo_status(at_ms).remove(0).slo;
        for pair in slo.pairs.iter().filter(|pair| pair.burning) {
            let own = [("slo".to_owned(), slo.name.to_string())].into();
            note(&mut all, &pair_name(&pair.long, &pair.short), own, look, State::Firing);
        }
    }
    all
}
