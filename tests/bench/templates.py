"""The configuration of every peer. Comparable: keep-alive on both sides, HTTP/1.1 upstream, no access log, no
compression, no forwarding headers (Weir alone adds some), bodies never spooled to disk."""

import json

from bodies import FEATURES, PATH

NGINX_COMMON = """
daemon off; worker_processes {workers}; worker_rlimit_nofile 16384; pid {dir}/nginx.pid; {user}
error_log {dir}/error.log error;
events {{ worker_connections 8192; }}
http {{
  access_log off; gzip off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 16m; client_body_buffer_size 256k;
"""

NGINX_BACKEND = NGINX_COMMON + """
  default_type application/json; sendfile on; tcp_nopush on; open_file_cache max=10;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    {answer}
  }}
}}
"""

# The cheapest answer, so that the backend does not hold the proxy up; nginx takes no string over 4 KiB.
ANSWER_STRING = "location / {{ return 200 '{text}'; }}"
# A POST to a static file is a 405 in nginx, so the file is the page of that error.
ANSWER_FILE = """
    location / {{ return 405; }}
    error_page 405 =200 /response.json;
    location = /response.json {{ internal; root {dir}; }}
"""

NGINX_PROXY = NGINX_COMMON + """
  upstream backend {{
    server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{reuseport};
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread {workers}
  maxconn 8192
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend in
  bind 127.0.0.1:{port} backlog 4096
  default_backend out
backend out
  server one 127.0.0.1:{backend}
"""

# What the filter is told: see envoy-filter/src/measure.rs.
FILTER_SETTINGS = {
    "ranges": [[0, 10]] * FEATURES, "low_confidence": 0.5, "slow_seconds": 0.5, "probability": 0.01}

WEIR = """
[gateway]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
workers = {workers}

[[route]]
name = "bench"
path = "{path}"
backend = "bench"
protocol = "kserve-v1"
observe = {observe}

[backend.bench]
endpoints = ["http://127.0.0.1:{backend}"]
"""

WEIR_LOCAL = """
[gateway]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
workers = {workers}

[[route]]
name = "churn"
path = "{path}"
backend = "churn"
protocol = "kserve-v1"

[backend.churn]
model = "{model}"
model_name = "churn"
"""

WEIR_PLUGIN = """
[plugin.{name}]
path = "{path}"
"""


def envoy(port, admin, backend, wasm=None):
    """Envoy's configuration as JSON; with `wasm` the filter runs before the router."""
    router = _filter("router", "envoy.extensions.filters.http.router.v3.Router")
    manager = {
        "@type": _type("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "in", "generate_request_id": False,
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]}]},
        "http_filters": ([_wasm(wasm)] if wasm else []) + [router],
    }
    many = {"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192}
    return json.dumps({
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [{
                "address": _address(port), "tcp_backlog_size": 4096,
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
            "clusters": [{
                "name": "backend", "type": "STATIC", "circuit_breakers": {"thresholds": [many]},
                "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": _address(backend)}}]}]}}],
        },
    }, indent=1)


# The backend answers every POST with 200, which is all a collector has to do.
WEIR_TRACING = """
[tracing]
otlp = "http://127.0.0.1:{backend}"
protocol = "http/protobuf"
sample = "{sample}"
rest = 0
budget = 0
queue = 65536
"""


def weir(port, admin, workers, backend, observe, plugins, sample=None):
    """Weir's configuration; `plugins` maps names to component files, `sample` is the share of traces kept."""
    text = WEIR.format(port=port, admin=admin, workers=workers, backend=backend, path=PATH,
                       observe="true" if observe else "false")
    if sample:
        text += WEIR_TRACING.format(backend=backend, sample=sample)
    return text + "".join(WEIR_PLUGIN.format(name=name, path=path) for name, path in plugins.items())


def alerting(rules, objectives):
    """Rules of every form over the route, and objectives over its requests; "" without any."""
    forms = [
        'ratio = "api_errors_total"\nof = "http_server_request_duration_seconds"\nby = ["route"]\nabove = 0.9',
        'quantile = "prediction_latency_seconds"\nq = 0.95\nby = ["route", "model"]\nabove = 30',
        'rate = "predictions_total"\nby = ["route"]\nbelow = 0',
        'gauge = "model_loaded"\nequals = -1',
    ]
    text = [f"[alert.rule-{n}]\n{forms[n % len(forms)]}\n" for n in range(rules)]
    aims = ["", 'latency_under = "500ms"\n']
    text += [f"[slo.slo-{n}]\nobjective = 0.5\n{aims[n % len(aims)]}" for n in range(objectives)]
    return "".join(text)


def _wasm(path):
    config = {
        "name": "bench", "fail_open": False,
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(path)}}},
        "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue",
                          "value": json.dumps(FILTER_SETTINGS)},
    }
    return {**_filter("wasm", "envoy.extensions.filters.http.wasm.v3.Wasm"),
            "typed_config": {"@type": _type("envoy.extensions.filters.http.wasm.v3.Wasm"), "config": config}}


def _filter(name, kind):
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": _type(kind)}}


def _type(name):
    return f"type.googleapis.com/{name}"


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
