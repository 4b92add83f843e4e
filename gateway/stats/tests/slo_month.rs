//! Simulated months: who is paged for nothing, and how soon somebody is paged for something.

use std::thread;

use weir_stats::slo::{EventLog, Pair, Severity, TICK_NS, default_pairs, judge, largest_factor};

const HOUR: u64 = 3_600_000_000_000;
const DAY: u64 = 24 * HOUR;
const MONTH: u64 = 30 * DAY;
const START: u64 = 1_795_000_000_000_000_000;
const OBJECTIVE: f64 = 0.999;
/// Fewer bad events say nothing about a share: it is the number that pages by themselves, one after another.
const MIN_BAD: u64 = 5;

/// A service that is asked at random, and what an objective makes of it. Ticks without events are added
/// together, which is the same (see `a_long_quiet_time_added_at_once_is_that_of_its_ticks`).
struct Service {
    random: fastrand::Rng,
    log: EventLog,
    now: u64,
    pairs: Vec<Pair>,
    min_bad: u64,
    paging: bool,
    pages: u64,
    requests: u64,
    /// A pair can only begin to burn while its short window holds a bad event: until then nobody need look.
    look_until: u64,
}

impl Service {
    fn new(seed: u64, min_bad: u64) -> Self {
        let mut log = EventLog::new(TICK_NS, MONTH);
        log.add(START, 0, 0, DAY);
        let pages = |pair: &Pair| pair.severity == Severity::Page;
        let mut pairs: Vec<Pair> = default_pairs(MONTH).into_iter().filter(pages).collect();
        pairs.iter_mut().for_each(|pair| pair.factor = pair.factor.min(largest_factor(OBJECTIVE)));
        let random = fastrand::Rng::with_seed(seed);
        Self { random, log, now: START, pairs, min_bad, paging: false, pages: 0, requests: 0, look_until: 0 }
    }

    /// How many of something that is expected `mean` times happened (Knuth, The Art of Computer Programming
    /// 3.4.1); of many, nearly so, by a normal draw of six uniform ones.
    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            let normal = (0..6).map(|_| self.random.f64() - 0.5).sum::<f64>() * 2.0_f64.sqrt();
            return (mean + normal * mean.sqrt()).round() as u64;
        }
        let (floor, mut product, mut count) = ((-mean).exp(), self.random.f64(), 0);
        while product > floor {
            product *= self.random.f64();
            count += 1;
        }
        count
    }

    fn judged(&self) -> bool {
        if self.log.run(self.now, DAY).ticks >= 5 {
            return true;
        }
        self.pairs.iter().any(|pair| {
            // Most often the short window has said no.
            let short = self.log.sum(self.now, pair.short_ns);
            judge(pair, short, short, OBJECTIVE, 0).burning
                && judge(pair, self.log.sum(self.now, pair.long_ns), short, OBJECTIVE, self.min_bad).burning
        })
    }

    fn tick(&mut self, ticks: u64, good: u64, bad: u64) {
        self.now += ticks * TICK_NS;
        self.log.add(self.now, good, bad, ticks * TICK_NS);
        self.requests += good + bad;
        if bad > 0 {
            self.look_until = self.now + HOUR / 2;
        }
        let paging = self.now <= self.look_until && self.judged();
        self.pages += u64::from(paging && !self.paging);
        self.paging = paging;
    }

    /// Goes on for a time with so many requests an hour, of which a share is bad; less often than every tick
    /// if next to nothing happens and nobody need look. Ends early once somebody is paged, if asked to.
    fn serve(&mut self, span: u64, an_hour: f64, bad: f64, until_paged: bool) {
        let (end, a_tick) = (self.now + span, an_hour * TICK_NS as f64 / HOUR as f64);
        while self.now < end && !(until_paged && self.paging) {
            if a_tick > 0.5 {
                let (good, bad) = (self.poisson(a_tick * (1.0 - bad)), self.poisson(a_tick * bad));
                self.tick(1, good, bad);
                continue;
            }
            // The next tick that something happens in; when in it the first comes, and how many after that.
            let quiet = ((1.0 - self.random.f64()).ln() / (-a_tick)).floor() as u64;
            let quiet = quiet.min((end - self.now) / TICK_NS);
            let looked = (self.look_until.saturating_sub(self.now) / TICK_NS).min(quiet);
            (0..looked).for_each(|_| self.tick(1, 0, 0));
            let first = -(self.random.f64() * (-a_tick).exp_m1()).ln_1p();
            let requests = 1 + self.poisson(a_tick - first);
            let failed = (0..requests).filter(|_| self.random.f64() < bad).count() as u64;
            self.tick(quiet - looked + 1, requests - failed, failed);
        }
    }
}

fn pages_a_month(an_hour: f64, months: u64, min_bad: u64) -> f64 {
    let mut service = Service::new(an_hour as u64, min_bad);
    service.serve(months * MONTH, an_hour, (1.0 - OBJECTIVE) / 2.0, false);
    let expected = an_hour * (months * MONTH / HOUR) as f64;
    let came = service.requests as f64 / expected;
    assert!((came - 1.0).abs() < 0.03, "{came} of the requests that were meant, at {an_hour} an hour");
    service.pages as f64 / months as f64
}

/// Over far more months than there is time for here, 10 and 30 requests an hour paged in none of 1000
/// months, 100 in three, 300 in none of 200.
#[test]
fn a_service_that_spends_half_its_budget_pages_next_to_nobody() {
    let rates = [(10.0, 40), (30.0, 30), (100.0, 6), (10_000.0, 1)];
    let runs =
        rates.map(|(rate, months)| thread::spawn(move || (rate, pages_a_month(rate, months, MIN_BAD))));
    for run in runs {
        let (rate, pages) = run.join().unwrap();
        println!("{rate} an hour: {pages} pages a month");
        assert!(pages <= 0.1, "{pages} pages a month at {rate} an hour");
    }
}

/// Without it the same service would page several times a month: the guard is what the test above tests.
#[test]
fn without_a_least_number_of_bad_events_it_pages_often() {
    assert!(pages_a_month(10.0, 10, 1) > 2.0);
}

#[test]
fn a_night_of_almost_no_traffic_with_a_failure_or_two_pages_nobody() {
    for seed in 0..60 {
        let mut service = Service::new(seed, MIN_BAD);
        service.serve(12 * HOUR, 1000.0, 0.0, false);
        let failures = 1 + seed % 2;
        for _ in 0..failures {
            service.serve(3 * HOUR, 0.5, 0.0, false);
            service.tick(1, 0, 1);
        }
        service.serve(6 * HOUR, 0.5, 0.0, false);
        assert_eq!(service.pages, 0, "{failures} failures, seed {seed}");
    }
}

#[test]
fn an_outage_at_ten_requests_an_hour_pages_within_six() {
    for seed in 0..80 {
        let mut service = Service::new(seed, MIN_BAD);
        service.serve(2 * DAY, 10.0, 0.0, false);
        let before = service.requests;
        service.serve(3 * DAY, 10.0, 1.0, true);
        let failed = service.requests - before;
        assert!(service.paging && failed <= 6, "{failed} requests failed, seed {seed}");
    }
}

#[test]
fn an_outage_of_a_busy_service_pages_within_two_minutes_and_a_leak_within_half_an_hour() {
    let minutes = |bad: f64| {
        let mut service = Service::new(1, MIN_BAD);
        service.serve(DAY, 10_000.0, 0.0005, false);
        let begun = service.now;
        service.serve(DAY, 10_000.0, bad, true);
        assert!(service.paging);
        (service.now - begun) / (4 * TICK_NS)
    };
    assert!(minutes(1.0) < 2);
    assert!((10..30).contains(&minutes(0.05)), "14.4 of 50 is a third of an hour");
}
