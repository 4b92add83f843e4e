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
