//! The list of pages: plain text for a terminal; for a browser also how Weir is, on one page that loads
//! nothing.

use std::fmt::{self, Display, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_exchange::status::{AlertBrief, EndpointStatus, ObjectiveBrief, PluginState, PluginStatus};

use crate::gateway::{Gateway, GenerationStatus, ReloadStatus};
use crate::pages::Page;
use crate::reply::Reply;

const VERSION: &str = env!("CARGO_PKG_VERSION");

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
<title>Weir</title>\n<style>\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\
h2{font-size:1.1rem;margin:2rem 0 .4rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.25rem 1rem .25rem 0;border-top:1px solid #8884;\
overflow-wrap:anywhere}th{font-weight:600}\
.bad{color:#c22}@media(prefers-color-scheme:dark){.bad{color:#f77}}\
</style></head><body>\n";

/// Whether a client names HTML among what it takes, as browsers do and scripts do not.
pub(crate) fn wants_html(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let media = range.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("text/html")
    })
}

/// One line a page.
pub(crate) fn text() -> Reply {
    let line = |page: Page| format!("{:16} {}\n", page.path(), page.words());
    let lines: String = Page::ALL.into_iter().map(line).collect();
    Reply::ok("text/plain; charset=utf-8", format!("Weir {VERSION}\n\n{lines}"))
}

/// How the gateway is, and links to the pages.
pub(crate) fn html(gateway: &dyn Gateway) -> Reply {
    let mut page = String::from(HEAD);
    write_page(&mut page, gateway).expect("writing to a string cannot fail");
    Reply::ok("text/html; charset=utf-8", page)
}

fn write_page(to: &mut String, gateway: &dyn Gateway) -> fmt::Result {
    writeln!(to, "<h1>Weir {}</h1>", Escaped(VERSION))?;
    write_state(to, gateway)?;
    write_alerts(to, &gateway.alert_briefs())?;
    write_objectives(to, &gateway.objectives())?;
    write_plugins(to, &gateway.plugins())?;
    write_endpoints(to, &gateway.backends())?;
    to.push_str("<h2>Pages</h2>\n<table>\n");
    for page in Page::ALL {
        let (path, words) = (Escaped(page.path()), Escaped(page.words()));
        match page.changes_state() {
            true => writeln!(to, "<tr><td><code>{path}</code></td><td>{words}</td></tr>")?,
            false => {
                writeln!(to, "<tr><td><a href=\"{path}\"><code>{path}</code></a></td><td>{words}</td></tr>")?;
            }
        }
    }
    to.push_str("</table>\n</body></html>\n");
    Ok(())
}

fn write_state(to: &mut String, gateway: &dyn Gateway) -> fmt::Result {
    let loaded = gateway.health().model_loaded;
    let models = if loaded { "every route can be answered" } else { "a route has nothing to answer it" };
    to.push_str("<table>\n");
    row(to, "Health", true, "healthy")?;
    row(to, "Models", loaded, models)?;
    match gateway.ready() {
        Ok(()) => row(to, "Ready", true, "traffic may come")?,
        Err(reason) => row(to, "Ready", false, format_args!("no: {reason}"))?,
    }
    let GenerationStatus { number, loaded_unix_ms, config_digest, refused, last_reload } =
        gateway.generation();
    let age = Ago::since(loaded_unix_ms);
    row(to, "Generation", true, format_args!("{number}, loaded {age}, configuration {config_digest}"))?;
    if let Some(ReloadStatus { at_unix_ms, what, outcome, error }) = last_reload {
        let good = error.is_none();
        let (age, why) = (Ago::since(at_unix_ms), error.unwrap_or_default());
        row(to, "Last reload", good, format_args!("{what} {outcome} {age} {why}"))?;
    }
    row(to, "Reloads refused", true, refused)?;
    to.push_str("</table>\n");
    Ok(())
}

fn row(to: &mut String, name: &str, good: bool, value: impl Display) -> fmt::Result {
    let class = class(good);
    writeln!(to, "<tr><th>{}</th><td{class}>{}</td></tr>", Escaped(name), Escaped(value))
}

fn class(good: bool) -> &'static str {
    if good { "" } else { " class=\"bad\"" }
}

fn write_alerts(to: &mut String, alerts: &[AlertBrief]) -> fmt::Result {
    if alerts.is_empty() {
        return Ok(());
    }
    to.push_str("<h2>Alerts</h2>\n<table>\n<tr><th>Alert</th><th>State</th><th>Labels</th></tr>\n");
    for AlertBrief { name, state, labels, since_unix_ms, muted } in alerts {
        let class = class(*state != "firing");
        let since =
            if *since_unix_ms > 0 { format!(", {}", Ago::since(*since_unix_ms)) } else { String::new() };
        let muted = if *muted { ", muted" } else { "" };
        let (name, labels) = (Escaped(name), Escaped(labels));
        writeln!(to, "<tr><td>{name}</td><td{class}>{state}{since}{muted}</td><td>{labels}</td></tr>")?;
    }
    to.push_str("</table>\n");
    Ok(())
}

fn write_objectives(to: &mut String, objectives: &[ObjectiveBrief]) -> fmt::Result {
    if objectives.is_empty() {
        return Ok(());
    }
    to.push_str("<h2>Objectives</h2>\n<table>\n<tr><th>Objective</th><th>Good</th><th>Bad</th>");
    to.push_str("<th>Budget left</th><th>State</th></tr>\n");
    for ObjectiveBrief { name, objective, good, bad, budget_left, burning } in objectives {
        let state = match (burning, *budget_left < 0.0) {
            (true, _) => "burning",
            (false, true) => "overspent",
            (false, false) => "kept",
        };
        let left = class(*budget_left > 0.0);
        let aim = (objective * 1e8).round() / 1e6;
        write!(to, "<tr><td>{} ({aim} %)</td><td>{good}</td><td>{bad}</td>", Escaped(name))?;
        let percent = budget_left * 100.0;
        writeln!(to, "<td{left}>{percent:.1} %</td><td{}>{state}</td></tr>", class(!burning))?;
    }
    to.push_str("</table>\n");
    Ok(())
}

fn write_plugins(to: &mut String, plugins: &[PluginStatus]) -> fmt::Result {
    if plugins.is_empty() {
        return Ok(());
    }
    to.push_str("<h2>Plugins</h2>\n<table>\n");
    to.push_str("<tr><th>Plugin</th><th>State</th><th>Rows</th><th>Faults</th><th>Last fault</th></tr>\n");
    for plugin in plugins {
        let PluginStatus { key, name, version, state, rows, faults, last_fault, .. } = plugin;
        let class = class(*state == PluginState::Running);
        let what = format_args!("{key} ({name} {version})").to_string();
        let fault = last_fault.as_deref().unwrap_or_default();
        let (what, state, fault) = (Escaped(what), Escaped(state.as_str()), Escaped(fault));
        write!(to, "<tr><td>{what}</td><td{class}>{state}</td><td>{rows}</td>")?;
        writeln!(to, "<td>{faults}</td><td>{fault}</td></tr>")?;
    }
    to.push_str("</table>\n");
    Ok(())
}

fn write_endpoints(to: &mut String, endpoints: &[EndpointStatus]) -> fmt::Result {
    if endpoints.is_empty() {
        return Ok(());
    }
    to.push_str("<h2>Endpoints</h2>\n<table>\n");
    to.push_str(
        "<tr><th>Backend</th><th>Address</th><th>State</th><th>In flight</th><th>Last error</th></tr>\n",
    );
    for endpoint in endpoints {
        let EndpointStatus { backend, address, ejected, ready, in_flight, last_error } = endpoint;
        let class = class(!ejected);
        let state = match (ejected, ready) {
            (true, _) => "taken out",
            (false, Some(true)) => "ready",
            (false, Some(false)) => "not ready",
            (false, None) => "in use",
        };
        let error = Escaped(last_error.as_deref().unwrap_or_default());
        let (backend, address) = (Escaped(backend), Escaped(address));
        write!(to, "<tr><td>{backend}</td><td>{address}</td><td{class}>{state}</td>")?;
        writeln!(to, "<td>{in_flight}</td><td>{error}</td></tr>")?;
    }
    to.push_str("</table>\n");
    Ok(())
}

/// Text that stays text in HTML, in an element or in a quoted attribute.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            c => self.0.write_char(c),
        })
    }
}

/// How long ago something was, in the largest unit that keeps two of it.
struct Ago(Duration);

impl Ago {
    fn since(unix_ms: u64) -> Self {
        let then = UNIX_EPOCH + Duration::from_millis(unix_ms);
        // A clock that was set back makes it now.
        Self(SystemTime::now().duration_since(then).unwrap_or_default())
    }
}

impl Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, "days"), (3600, "h"), (60, "min")];
        let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
        let (length, name) = unit.unwrap_or((1, "s"));
        write!(f, "{} {name} ago", seconds / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_html_by_name_gets_it() {
        for yes in ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "image/png, TEXT/HTML;q=0.5"] {
            assert!(wants_html(yes), "{yes}");
        }
        for no in ["", "*/*", "text/plain", "text/htmlx", "application/json"] {
            assert!(!wants_html(no), "{no}");
        }
    }

    #[test]
    fn text_stays_text() {
        let nasty = "<script>alert('&\"')</script>";
        assert_eq!(Escaped(nasty).to_string(), "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;");
    }

    #[test]
    fn an_age_has_two_of_its_unit_at_least() {
        let ago = |seconds| Ago(Duration::from_secs(seconds)).to_string();
        assert_eq!([ago(0), ago(119), ago(120)], ["0 s ago", "119 s ago", "2 min ago"]);
        assert_eq!([ago(7199), ago(7200), ago(172_800)], ["119 min ago", "2 h ago", "2 days ago"]);
        assert_eq!(Ago::since(u64::MAX >> 12).to_string(), "0 s ago");
    }
}
