//! What is sent: alerts as Alertmanager's API takes them, and as its webhooks send them on.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use weir_telemetry::log::rfc3339;

use super::hook::Call;
use super::peer::Batch;
use super::picture::Form;
use crate::{Alert, Fingerprint};

/// `endsAt` of what fires, in a webhook: Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

type Pairs<'a> = BTreeMap<&'a str, &'a str>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
}

/// The body of `POST /api/v2/alerts`. What fires does so until `lifetime_ms` from now, unless it is told
/// again.
pub(super) fn alerts(batch: &Batch, unix_ms: u64, lifetime_ms: u64) -> Bytes {
    let posted = batch.items.iter().map(|item| Posted {
        labels: pairs(&item.alert.labels),
        annotations: pairs(&item.alert.annotations),
        // The clock may have been set back since: nothing begins or has ended in the future.
        starts_at: rfc3339(item.alert.starts_at_ms.min(unix_ms)),
        ends_at: rfc3339(match item.form {
            Form::Firing => unix_ms + lifetime_ms,
            Form::Resolved => item.alert.ends_at_ms.unwrap_or(unix_ms).min(unix_ms),
        }),
        generator_url: link(&item.alert.generator_url),
    });
    json(&posted.collect::<Vec<_>>())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
    status: &'static str,
    receiver: &'a str,
    group_labels: Pairs<'a>,
    common_labels: Pairs<'a>,
    common_annotations: Pairs<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: [Told<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    status: &'static str,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

/// The body of a webhook: a group of one alert, as Alertmanager makes it under `group_by: ['...']`. The key
/// of the group is the alert's own: receivers take a resolved group to be over as a whole.
pub(super) fn payload(call: &Call, receiver: &str, external_url: &str) -> Bytes {
    let alert = &*call.alert;
    let (labels, status) = (pairs(&alert.labels), call.form.as_str());
    let ends = alert.ends_at_ms.filter(|_| call.form == Form::Resolved);
    let told = Told {
        status,
        labels: labels.clone(),
        annotations: pairs(&alert.annotations),
        starts_at: rfc3339(alert.starts_at_ms),
        ends_at: ends.map_or_else(|| NEVER.to_owned(), rfc3339),
        generator_url: &alert.generator_url,
        fingerprint: call.fingerprint.to_string(),
    };
    json(&Payload {
        version: "4",
        group_key: group_key(&labels),
        truncated_alerts: 0,
        status,
        receiver,
        group_labels: labels.clone(),
        common_labels: labels,
        common_annotations: pairs(&alert.annotations),
        external_url,
        alerts: [told],
    })
}

/// What a receiver may know a notification by that it gets twice.
pub(super) fn delivery_key(fingerprint: Fingerprint, alert: &Alert, form: Form) -> String {
    format!("{fingerprint}-{}-{}", alert.starts_at_ms, form.as_str())
}

fn group_key(labels: &Pairs<'_>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}

/// Receivers take a label without a value for none.
fn pairs(map: &BTreeMap<String, String>) -> Pairs<'_> {
    map.iter().filter(|(_, value)| !value.is_empty()).map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

/// An Alertmanager refuses the whole batch for one link it cannot read.
fn link(url: &str) -> Option<&str> {
    let web = url.starts_with("http://") || url.starts_with("https://");
    (web && url.parse::<http::Uri>().is_ok()).then_some(url)
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("maps of text become JSON").into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::peer::Item;
    use super::*;

    fn alert() -> Arc<Alert> {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Arc::new(Alert {
            labels: map(&[("alertname", "Slow"), ("route", "a\"b"), ("empty", "")]),
            annotations: map(&[("summary", "s")]),
            starts_at_ms: 1_700_000_000_123,
            ends_at_ms: Some(1_700_000_060_000),
            generator_url: "no link".into(),
            muted: false,
        })
    }

    #[test]
    fn an_alertmanager_gets_times_in_ms_no_empty_label_and_no_broken_link() {
        let item = |form| Item {
            fingerprint: alert().fingerprint(),
            form,
            alert: alert(),
            first: false,
            new: false,
        };
        let batch = Batch { items: vec![item(Form::Firing), item(Form::Resolved)] };
        let body: Value = serde_json::from_slice(&alerts(&batch, 1_700_000_100_000, 240_000)).expect("JSON");
        let expect = |ends: &str| {
            json!({
                "labels": {"alertname": "Slow", "route": "a\"b"},
                "annotations": {"summary": "s"},
                "startsAt": "2023-11-14T22:13:20.123Z",
                "endsAt": ends,
            })
        };
        assert_eq!(body, json!([expect("2023-11-14T22:19:00.000Z"), expect("2023-11-14T22:14:20.000Z")]));
    }

    #[test]
    fn a_webhook_gets_a_group_of_its_own_for_each_alert() {
        let call = |form| Call { fingerprint: alert().fingerprint(), form, alert: alert(), new: true };
        let read = |form| -> Value {
            serde_json::from_slice(&payload(&call(form), "pager", "http://weir:9090")).expect("JSON")
        };
        let labels = json!({"alertname": "Slow", "route": "a\"b"});
        let mut expect = json!({
            "version": "4",
            "groupKey": "{}:{alertname=\"Slow\", route=\"a\\\"b\"}",
            "truncatedAlerts": 0,
            "status": "resolved",
            "receiver": "pager",
            "groupLabels": labels,
            "commonLabels": labels,
            "commonAnnotations": {"summary": "s"},
            "externalURL": "http://weir:9090",
            "alerts": [{
                "status": "resolved",
                "labels": labels,
                "annotations": {"summary": "s"},
                "startsAt": "2023-11-14T22:13:20.123Z",
                "endsAt": "2023-11-14T22:14:20.000Z",
                "generatorURL": "no link",
                "fingerprint": alert().fingerprint().to_string(),
            }],
        });
        assert_eq!(read(Form::Resolved), expect);
        expect["status"] = "firing".into();
        expect["alerts"][0]["status"] = "firing".into();
        expect["alerts"][0]["endsAt"] = "0001-01-01T00:00:00Z".into();
        assert_eq!(read(Form::Firing), expect);
    }
}
