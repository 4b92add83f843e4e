//! Who may ask, and who may change something.

use weir_admin::Options;

use crate::support::Site;

#[test]
fn what_changes_state_needs_the_token_if_there_is_one() {
    let site = Site::start(&Options { token: Some("s3cret".into()), ..Options::default() });
    let answer = site.client().ask("POST", "/api/reload", &[]);
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    assert!(answer.error().contains("Authorization: Bearer"));
    let wrong = site.client().ask("POST", "/api/reload", &[("authorization", "Bearer s3creT")]);
    assert_eq!(wrong.status, 401);
    let right = site.client().ask("POST", "/api/reload", &[("authorization", "Bearer s3cret")]);
    assert_eq!(right.status, 200);
    assert_eq!(site.get("/api/plugins").status, 200, "reading needs none");
    assert!(site.get("/metrics").text().contains("weir_admin_refused_total{reason=\"forbidden\"} 2\n"));
}

#[test]
fn without_a_token_nobody_may_change_state_and_the_words_say_what_to_do() {
    let site = Site::start(&Options { token: Some(String::new()), ..Options::default() });
    for given in [&[][..], &[("authorization", "Bearer ")], &[("authorization", "Bearer x")]] {
        let answer = site.client().ask("POST", "/api/reload", given);
        assert_eq!((answer.status, answer.header("www-authenticate")), (403, None));
        assert!(answer.error().contains("`admin_token`"), "{}", answer.error());
    }
    assert!(site.get("/metrics").text().contains("weir_admin_refused_total{reason=\"forbidden\"} 3\n"));
}

#[test]
fn options_do_not_show_the_token() {
    let options = Options { token: Some("s3cret".into()), ..Options::default() };
    assert!(!format!("{options:?}").contains("s3cret"));
}

#[test]
fn a_foreign_host_name_is_refused_unless_it_is_configured() {
    let options = Options { hosts: vec!["weir.example".into()], ..Options::default() };
    let site = Site::start(&options);
    for path in ["/", "/metrics", "/api/config", "/api/reload"] {
        let answer = site.client().ask("GET", path, &[("host", "evil.example")]);
        assert_eq!((answer.status, answer.error().contains("`evil.example`")), (421, true), "{path}");
    }
    for ours in ["weir.example:9464", "127.0.0.1", "[::1]:9464", "localhost:1"] {
        assert_eq!(site.client().ask("GET", "/health", &[("host", ours)]).status, 200, "{ours}");
    }
    assert!(site.get("/metrics").text().contains("weir_admin_refused_total{reason=\"host\"} 4\n"));
}
