//! Which route a request takes: exact before prefix, longest literal first, more conditions before fewer,
//! then the order of the file.

use ahash::RandomState;
use hashbrown::HashMap;
use http::{HeaderMap, Method};
use weir_config::{PathMatch, Route};

/// Routes by path, each list in the order it is tried.
#[derive(Debug, Default)]
pub(crate) struct Router {
    exact: HashMap<String, Vec<Rule>, RandomState>,
    /// Longest first.
    prefixes: Vec<(String, Vec<Rule>)>,
}

/// A route's conditions beside its path.
#[derive(Debug)]
struct Rule {
    route: usize,
    host: Option<String>,
    methods: Vec<Method>,
    headers: Vec<(String, String)>,
}

impl Router {
    /// Orders the routes; an index into `routes` is what [`Router::find`] returns.
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut router = Self::default();
        let mut prefixes: HashMap<String, Vec<Rule>, RandomState> = HashMap::default();
        for (index, route) in routes.iter().enumerate() {
            let rule = Rule::new(index, route);
            match &route.path {
                PathMatch::Exact(path) => router.exact.entry(path.clone()).or_default().push(rule),
                PathMatch::Prefix(path) => prefixes.entry(path.clone()).or_default().push(rule),
            }
        }
        router.prefixes = prefixes.into_iter().collect();
        router.prefixes.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let lists = router.exact.values_mut().chain(router.prefixes.iter_mut().map(|(_, rules)| rules));
        // A stable sort: what is equal stays in the order of the file.
        lists.for_each(|rules| rules.sort_by_key(|rule| std::cmp::Reverse(rule.conditions())));
        router
    }

    /// The route of a request. `host` is without its port.
    pub(crate) fn find(&self, path: &str, host: &str, method: &Method, headers: &HeaderMap) -> Option<usize> {
        let first = |rules: &[Rule]| rules.iter().find(|r| r.fits(host, method, headers)).map(|r| r.route);
        let exact = self.exact.get(path).and_then(|rules| first(rules));
        exact.or_else(|| {
            let fitting = self.prefixes.iter().filter(|(prefix, _)| path.starts_with(prefix.as_str()));
            fitting.into_iter().find_map(|(_, rules)| first(rules))
        })
    }
}

impl Rule {
    fn new(index: usize, route: &Route) -> Self {
        Self {
            route: index,
            host: route.host.as_ref().map(|h| h.to_ascii_lowercase()),
            methods: route.methods.iter().filter_map(|m| m.parse().ok()).collect(),
            headers: route.headers.clone(),
        }
    }

    fn conditions(&self) -> usize {
        usize::from(self.host.is_some()) + usize::from(!self.methods.is_empty()) + self.headers.len()
    }

    fn fits(&self, host: &str, method: &Method, headers: &HeaderMap) -> bool {
        self.host.as_ref().is_none_or(|h| h.eq_ignore_ascii_case(host))
            && (self.methods.is_empty() || self.methods.contains(method))
            && self.headers.iter().all(|(name, value)| {
                headers.get_all(name.as_str()).iter().any(|v| v.as_bytes() == value.as_bytes())
            })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use weir_config::Config;

    use super::*;

    /// A router over routes of these paths and conditions, and what to call each.
    fn router(routes: &[(&str, &str)]) -> (Router, Vec<String>) {
        let mut toml = "[backend.b]\nendpoints = [\"http://127.0.0.1:1\"]\n".to_owned();
        for (at, (path, condition)) in routes.iter().enumerate() {
            let route = format!("name = \"r{at}\"\npath = \"{path}\"\nbackend = \"b\"\n{condition}\n");
            toml.push_str(&format!("[[route]]\n{route}"));
        }
        let loaded = Config::parse(&toml, "test", std::path::Path::new("."), &|_| None);
        let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
        (Router::new(&config.routes), config.routes.iter().map(|r| r.name.to_string()).collect())
    }

    #[test]
    fn exact_goes_before_prefix_longer_before_shorter_and_more_conditions_before_fewer() {
        let (router, names) = router(&[
            ("/*", ""),
            ("/v1/*", ""),
            ("/v1/models/*", ""),
            ("/v1/models/a:predict", ""),
            ("/v1/models/*", "host = \"a.example\""),
            ("/v1/models/*", "host = \"a.example\"\nmethods = [\"PUT\"]"),
            ("/v1/models/*", "methods = [\"PUT\"]"),
            ("/only", "methods = [\"PUT\"]"),
            ("/two", "headers = { x-a = \"1\" }"),
            ("/two", "headers = { x-b = \"1\" }"),
        ]);
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("1"));
        headers.insert("x-b", HeaderValue::from_static("1"));
        for (path, host, method, expect) in [
            ("/other", "h", Method::GET, "r0"),
            ("/v1/other", "h", Method::GET, "r1"),
            ("/v1/models/b", "h", Method::GET, "r2"),
            ("/v1/models/a:predict", "a.example", Method::PUT, "r3"),
            ("/v1/models/b", "A.Example", Method::GET, "r4"),
            ("/v1/models/b", "a.example", Method::PUT, "r5"),
            ("/v1/models/b", "h", Method::PUT, "r6"),
            ("/only", "h", Method::PUT, "r7"),
            // What no exact route takes may still fit a prefix.
            ("/only", "h", Method::GET, "r0"),
            ("/two", "h", Method::GET, "r8"),
        ] {
            let found = router.find(path, host, &method, &headers).map(|at| names[at].as_str());
            assert_eq!(found, Some(expect), "{method} {host}{path}");
        }
    }
}
