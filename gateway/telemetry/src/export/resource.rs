//! Who speaks: the attributes that everything Weir sends has in common
//! (<https://opentelemetry.io/docs/specs/semconv/resource/>).

use std::fs;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as Described;
use percent_encoding::percent_decode_str;

/// What the configuration says about a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceOptions {
    /// `service.name`; without one the environment's, else `weir`.
    pub service_name: Option<String>,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`; without one a random UUID. Give one to keep it over reloads.
    pub instance_id: Option<String>,
    /// Any attributes; these win over everything.
    pub attributes: Vec<(String, String)>,
}

/// Attributes by key, each once, in the order they were first known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource(Vec<(String, Value)>);

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
}

/// An environment variable that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`OTEL_RESOURCE_ATTRIBUTES` is ignored: `{entry}` is no attribute (write `key=value,key=value`)")]
pub struct ResourceFault {
    pub entry: String,
}

impl Resource {
    /// Gathers, each winning over those before: what this process sees of itself, Kubernetes' variables,
    /// `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, the configuration. `env` reads the environment.
    pub fn detect(
        options: &ResourceOptions,
        env: impl Fn(&str) -> Option<String>,
    ) -> (Self, Option<ResourceFault>) {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut resource = Self::default();
        resource.set("service.name", "weir");
        resource.set("service.version", &options.version);
        resource.set("service.instance.id", &options.instance_id.clone().unwrap_or_else(random_uuid));
        resource.process();
        resource.kubernetes(&env);
        let parsed = parse(&env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let (given, fault) = parsed.map_or_else(|fault| (Vec::new(), Some(fault)), |given| (given, None));
        given.iter().for_each(|(key, value)| resource.set(key, value));
        for name in [env("OTEL_SERVICE_NAME"), options.service_name.clone()].into_iter().flatten() {
            resource.set("service.name", &name);
        }
        options.attributes.iter().for_each(|(key, value)| resource.set(key, value));
        (resource, fault)
    }

    /// An attribute, as text.
    pub fn get(&self, key: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| known == key)?;
        Some(match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
        })
    }

    /// As OTLP has it.
    pub fn described(&self) -> Described {
        let attribute = |(key, value): &(String, Value)| {
            let value = match value {
                Value::Text(text) => any_value::Value::StringValue(text.clone()),
                Value::Number(number) => any_value::Value::IntValue(*number),
            };
            let value = Some(AnyValue { value: Some(value) });
            KeyValue { key: key.clone(), value, ..KeyValue::default() }
        };
        Described { attributes: self.0.iter().map(attribute).collect(), ..Described::default() }
    }

    fn process(&mut self) {
        if let Ok(name) = fs::read_to_string("/proc/sys/kernel/hostname") {
            self.set("host.name", name.trim());
        }
        self.put("process.pid", Value::Number(std::process::id().into()));
        let executable = std::env::current_exe().ok();
        if let Some(name) = executable.as_ref().and_then(|path| path.file_name()?.to_str()) {
            self.set("process.executable.name", name);
        }
        self.set("os.type", if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS });
        // The specification wants whoever is not the official SDK to say so.
        self.set("telemetry.sdk.name", "weir");
        self.set("telemetry.sdk.language", "rust");
        self.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    }

    /// A pod knows its own name; the rest is there if the deployment passes it on under the usual names.
    fn kubernetes(&mut self, env: &impl Fn(&str) -> Option<String>) {
        if env("KUBERNETES_SERVICE_HOST").is_none() {
            return;
        }
        let known = [
            ("k8s.pod.name", env("POD_NAME").or_else(|| env("HOSTNAME"))),
            ("k8s.namespace.name", env("POD_NAMESPACE")),
            ("k8s.pod.uid", env("POD_UID")),
            ("k8s.node.name", env("NODE_NAME")),
        ];
        for (key, value) in known {
            if let Some(value) = value {
                self.set(key, &value);
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        self.put(key, Value::Text(value.to_owned()));
    }

    fn put(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

/// Reads `key=value,key=value`, percent-encoded. One entry that cannot be read voids all of them, as the
/// specification has it: half a description misleads.
fn parse(text: &str) -> Result<Vec<(String, String)>, ResourceFault> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let decode = |part: &str| percent_decode_str(part.trim()).decode_utf8().ok().map(Into::into);
            let read = || {
                let (key, value) = entry.split_once('=')?;
                let (key, value): (String, String) = (decode(key)?, decode(value)?);
                (!key.is_empty()).then_some((key, value))
            };
            read().ok_or_else(|| ResourceFault { entry: entry.to_owned() })
        })
        .collect()
}

/// A UUID of version 4.
fn random_uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(options: &ResourceOptions, env: &[(&str, &str)]) -> (Resource, Option<ResourceFault>) {
        Resource::detect(options, |name| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_anybodys_word_weir_says_what_it_is_and_where_it_runs() {
        let options = ResourceOptions { version: "1.2.3".into(), ..ResourceOptions::default() };
        let (resource, fault) = detect(&options, &[]);
        assert_eq!(fault, None);
        assert_eq!(resource.get("service.name").as_deref(), Some("weir"));
        assert_eq!(resource.get("service.version").as_deref(), Some("1.2.3"));
        assert_eq!(resource.get("process.pid"), Some(std::process::id().to_string()));
        assert_eq!(resource.get("telemetry.sdk.language").as_deref(), Some("rust"));
        assert!(resource.get("process.executable.name").is_some() && resource.get("os.type").is_some());
        assert_eq!(resource.get("k8s.pod.name"), None);
        let pid = resource.described().attributes.into_iter().find(|a| a.key == "process.pid");
        let number = any_value::Value::IntValue(std::process::id().into());
        assert_eq!(pid.and_then(|a| a.value?.value), Some(number));
    }

    #[test]
    fn the_later_word_wins_and_a_key_stands_once() {
        let all = [
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, team = ml%2Cops ,os.type=x,x=1=2"),
            ("OTEL_SERVICE_NAME", "b"),
        ];
        let mut options = ResourceOptions::default();
        let name = |options: &ResourceOptions, env| detect(options, env).0.get("service.name");
        assert_eq!(name(&options, &all[..1]).as_deref(), Some("a"));
        assert_eq!(name(&options, &all).as_deref(), Some("b"));
        options.service_name = Some("c".into());
        assert_eq!(name(&options, &all).as_deref(), Some("c"));
        options.attributes = vec![("service.name".into(), "d".into()), ("os.type".into(), "y".into())];
        let (resource, _) = detect(&options, &all);
        assert_eq!(resource.get("service.name").as_deref(), Some("d"));
        assert_eq!(resource.get("os.type").as_deref(), Some("y"));
        assert_eq!(resource.get("team").as_deref(), Some("ml,ops"));
        assert_eq!(resource.get("x").as_deref(), Some("1=2"));
        assert_eq!(resource.0.iter().filter(|(key, _)| key == "service.name").count(), 1);
    }

    #[test]
    fn one_entry_that_cannot_be_read_voids_the_variable_and_is_named() {
        for (text, entry) in [("a=1,b", "b"), ("=1", "=1"), ("a=%ff,b=2", "a=%ff")] {
            let (resource, fault) =
                detect(&ResourceOptions::default(), &[("OTEL_RESOURCE_ATTRIBUTES", text)]);
            assert_eq!(fault, Some(ResourceFault { entry: entry.into() }));
            assert_eq!(resource.get("a"), None);
            assert_eq!(resource.get("service.name").as_deref(), Some("weir"));
        }
        let (_, fault) = detect(&ResourceOptions::default(), &[("OTEL_RESOURCE_ATTRIBUTES", " , ")]);
        assert_eq!(fault, None);
    }

    #[test]
    fn a_pod_is_named_only_inside_kubernetes() {
        let env = [("HOSTNAME", "weir-0"), ("POD_NAMESPACE", "ml"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
        let (outside, _) = detect(&ResourceOptions::default(), &env[..2]);
        assert_eq!(outside.get("k8s.pod.name"), None);
        let (inside, _) = detect(&ResourceOptions::default(), &env);
        assert_eq!(inside.get("k8s.pod.name").as_deref(), Some("weir-0"));
        assert_eq!(inside.get("k8s.namespace.name").as_deref(), Some("ml"));
        assert_eq!(inside.get("k8s.node.name"), None);
    }

    #[test]
    fn an_instance_has_an_id_of_its_own_unless_it_is_given_one() {
        let id =
            |options: &ResourceOptions| detect(options, &[]).0.get("service.instance.id").expect("an id");
        let (one, other) = (id(&ResourceOptions::default()), id(&ResourceOptions::default()));
        assert_ne!(one, other);
        let parts: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
        let given = ResourceOptions { instance_id: Some("me".into()), ..ResourceOptions::default() };
        assert_eq!(id(&given), "me");
    }
}
