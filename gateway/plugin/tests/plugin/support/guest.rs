//! Plugins for tests, written as core WebAssembly: what they return is laid out beforehand, what they do
//! beside that is given as WAT.

use std::sync::Arc;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::layout::{Image, Rec};

const DATA: u32 = 1024;

/// What a guest declares.
#[derive(Clone, Default)]
pub(crate) struct Declared {
    /// Role, name, whether it is sent.
    pub(crate) columns: Vec<(String, Option<String>, bool)>,
    pub(crate) metrics: Vec<Metric>,
    /// Name, span in ns, slices, labels.
    pub(crate) windows: Vec<(String, u64, u32, Vec<String>)>,
    pub(crate) conditions: Vec<(String, Vec<String>)>,
    pub(crate) reasons: Vec<String>,
    pub(crate) tick_ns: u64,
    pub(crate) shards: u32,
}

/// Where values come from.
#[derive(Clone, Copy)]
pub(crate) enum From {
    Column(u32),
    Values(u32, u32),
}

/// What a guest returns. Handles are numbered in the order they are asked for.
#[derive(Clone, Default)]
pub(crate) struct Returns {
    pub(crate) values: Vec<f64>,
    pub(crate) runs: Vec<(u32, From)>,
    pub(crate) feeds: Vec<(u32, From, Option<u32>)>,
    pub(crate) exchanges: Vec<u32>,
    pub(crate) verdicts: Vec<Wish>,
    /// Handle, active, value, count.
    pub(crate) conditions: Vec<(u32, bool, f64, u64)>,
}

/// Name, kind (0 counter, 1 gauge, 2 histogram), unit, labels, edges.
pub(crate) type Metric = (String, u8, String, Vec<String>, Vec<f64>);

/// Reason, probability, part of the outcome's exchanges; `None` for the rest.
pub(crate) type Wish = (u32, f64, Option<(u32, u32)>);

/// A question to the host, put when a schema comes: function, index, labels.
pub(crate) type Ask = (&'static str, u32, Vec<String>);

/// A plugin for a test.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) declared: Declared,
    /// Path and message; with any, `configure` refuses.
    pub(crate) faults: Vec<(String, String)>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) observed: Returns,
    pub(crate) ticked: Returns,
    /// Format and bytes that `save` gives; with any, the guest exports `snapshot`.
    pub(crate) saved: Option<(u32, Vec<u8>)>,
    /// WAT that runs before each function does what it always does. `$0` and so on are the parameters, the
    /// global `$n` counts calls of `observe`, `$data` is a free page.
    pub(crate) before: Vec<(&'static str, String)>,
    /// WAT of further functions and globals.
    pub(crate) more: String,
    /// WAT of further imports.
    pub(crate) imports: String,
    /// Version of the interface it is made for.
    pub(crate) interface: &'static str,
    /// Pages of memory to begin with.
    pub(crate) pages: u32,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: "guest".to_owned(),
            version: "1.0.0".to_owned(),
            declared: Declared::default(),
            faults: Vec::new(),
            asks: Vec::new(),
            observed: Returns::default(),
            ticked: Returns::default(),
            saved: None,
            before: Vec::new(),
            more: String::new(),
            imports: String::new(),
            interface: "0.1.0",
            pages: 4,
        }
    }
}

impl Guest {
    /// The same guest that does something more in one of its functions.
    pub(crate) fn doing(mut self, function: &'static str, wat: &str) -> Self {
        self.before.push((function, wat.to_owned()));
        self
    }

    /// The same guest that returns computed values from `observe` instead of those laid out: WAT of type
    /// `f64` each.
    pub(crate) fn computing(self, values: &[&str]) -> Self {
        self.computing_in("observe", values)
    }

    /// The same in `observe` or `tick`.
    pub(crate) fn computing_in(self, function: &'static str, values: &[&str]) -> Self {
        let outcome = if function == "tick" { "$ticked" } else { "$observed" };
        let at = 0x38000;
        let stores = values.iter().enumerate();
        let stores: String = stores
            .map(|(i, value)| format!("(f64.store offset={} (i32.const {at}) {value})", i * 8))
            .collect();
        let list = format!(
            "(i32.store (global.get {outcome}) (i32.const {at}))
             (i32.store offset=4 (global.get {outcome}) (i32.const {}))",
            values.len()
        );
        self.doing(function, &(stores + &list))
    }

    pub(crate) fn component(&self) -> Arc<[u8]> {
        let world = if self.saved.is_some() { "keeper" } else { "observer" };
        let wit = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/{}"), self.interface);
        component(&self.wat(), &wit, world)
    }

    fn wat(&self) -> String {
        let mut image = Image::new(DATA);
        let identity = self.identity(&mut image);
        let configured = self.configured(&mut image);
        let observed = outcome(&mut image, &self.observed);
        let ticked = outcome(&mut image, &self.ticked);
        let asks = self.asking(&mut image);
        let saved = self.saved.as_ref().map(|(format, data)| {
            let bytes: Vec<Rec> = data.iter().map(|byte| Rec::default().u8(*byte)).collect();
            let data = image.list(bytes);
            image.put(Rec::default().case(1, &Rec::default().u32(*format).list(data), (12, 4)))
        });
        let data: String = image.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let heap = (DATA + image.bytes.len() as u32).next_multiple_of(8);
        let version = self.interface;
        let function = |name: &str, params: &str, results: &str, end: &str| {
            let before: String =
                self.before.iter().filter(|(at, _)| *at == name).map(|(_, wat)| wat.as_str()).collect();
            let interface = if matches!(name, "save" | "load") { "snapshot" } else { "plugin" };
            format!(
                "(func (export \"weir:plugin/{interface}@{version}#{name}\") {params} {results} (local $x i32)
                  {before} {end})\n"
            )
        };
        // What was passed in is not needed once the call has returned.
        let free = "(global.set $heap (global.get $floor))";
        let ret = |at: u32| format!("{free} (i32.const {at})");
        let delta = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
        let mut functions = [
            function("describe", "", "(result i32)", &ret(identity)),
            function("configure", "(param i32 i32)", "(result i32)", &ret(configured)),
            function("schema", delta, "", &format!("{asks} {free}")),
            function("retire", "(param i32)", "", free),
            function("observe", "(param i32)", "(result i32)", &ret(observed)),
            function("tick", "(param i64)", "(result i32)", &ret(ticked)),
        ]
        .concat();
        if let Some(saved) = saved {
            functions += &function("save", "", "(result i32)", &ret(saved));
            functions +=
                &function("load", "(param i32 i32 i32)", "(result i32)", &format!("{free} (i32.const 1)"));
        }
        format!(
            r#"(module
              (import "weir:plugin/host@{version}" "series" (func $series (param i32 i32 i32 i32) (result i32)))
              (import "weir:plugin/host@{version}" "window" (func $window (param i32 i32 i32 i32) (result i32)))
              (import "weir:plugin/host@{version}" "condition" (func $condition (param i32 i32 i32 i32) (result i32)))
              (import "weir:plugin/host@{version}" "window-read" (func $read (param i32 i32 i32 i32 i32)))
              (import "weir:plugin/host@{version}" "log" (func $log (param i32 i32 i32)))
              {imports}
              (memory (export "memory") {pages})
              (data (i32.const {DATA}) "{data}")
              (global $floor i32 (i32.const {heap}))
              (global $heap (mut i32) (i32.const {heap}))
              (global $n (mut i32) (i32.const 0))
              (global $observed i32 (i32.const {observed}))
              (global $ticked i32 (i32.const {ticked}))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.get $heap)
                (global.set $heap (i32.add (global.get $heap) (local.get 3))))
              {more}
              {functions})"#,
            pages = self.pages,
            imports = self.imports,
            more = self.more,
        )
    }

    fn identity(&self, image: &mut Image) -> u32 {
        let texts = [&self.name, &self.version, "A plugin for a test.", ""].map(|text| image.text(text));
        image.put(texts.into_iter().fold(Rec::default(), Rec::list))
    }

    fn configured(&self, image: &mut Image) -> u32 {
        if !self.faults.is_empty() {
            let faults = self.faults.iter();
            let faults =
                faults.map(|(path, message)| Rec::default().list(image.text(path)).list(image.text(message)));
            let faults = faults.collect();
            let faults = image.list(faults);
            return image.put(Rec::default().case(1, &Rec::default().list(faults), (56, 8)));
        }
        let Declared { columns, metrics, windows, conditions, reasons, tick_ns, shards } = &self.declared;
        let columns = columns.iter().map(|(role, name, send)| {
            let rec = Rec::default().list(image.text(role));
            let rec = match name {
                Some(name) => rec.case(1, &Rec::default().list(image.text(name)), (8, 4)),
                None => rec.case(0, &Rec::default(), (8, 4)),
            };
            rec.u8(0).u8(0).u8(u8::from(*send))
        });
        let columns = columns.collect();
        let columns = image.list(columns);
        let metrics = metrics.iter().map(|(name, kind, unit, labels, edges)| {
            let rec = Rec::default().list(image.text(name)).list(image.text("Help.")).list(image.text(unit));
            rec.u8(*kind).list(image.texts(labels)).list(image.numbers(edges))
        });
        let metrics = metrics.collect();
        let metrics = image.list(metrics);
        let windows = windows.iter().map(|(name, span, slices, labels)| {
            let rec = Rec::default().list(image.text(name)).u64(*span).u32(*slices);
            rec.list(image.numbers(&[])).list(image.texts(labels))
        });
        let windows = windows.collect();
        let windows = image.list(windows);
        let conditions = conditions.iter().map(|(name, labels)| {
            Rec::default().list(image.text(name)).list(image.text("Help.")).list(image.texts(labels))
        });
        let conditions = conditions.collect();
        let conditions = image.list(conditions);
        let reasons = image.texts(reasons);
        let manifest =
            [columns, metrics, windows, conditions, reasons].into_iter().fold(Rec::default(), Rec::list);
        let manifest = manifest.u64(*tick_ns).u32(*shards).u32(0);
        image.put(Rec::default().case(0, &manifest, (56, 8)))
    }

    /// Asks for handles; what is answered is not looked at, since the host numbers them from 0 on.
    fn asking(&self, image: &mut Image) -> String {
        let ask = |(function, index, labels): &Ask| {
            let (at, len) = image.texts(labels);
            format!(
                "(drop (call ${function} (local.get 0) (i32.const {index}) (i32.const {at}) (i32.const {len})))\n"
            )
        };
        self.asks.iter().map(ask).collect()
    }
}

fn source(from: From) -> (u8, Rec) {
    match from {
        From::Column(column) => (0, Rec::default().u32(column)),
        From::Values(start, len) => (1, Rec::default().u32(start).u32(len)),
    }
}

fn outcome(image: &mut Image, returns: &Returns) -> u32 {
    let values = image.numbers(&returns.values);
    let run = |(series, from): &(u32, From)| {
        let (case, payload) = source(*from);
        Rec::default().u32(*series).case(case, &payload, (8, 4))
    };
    let runs = image.list(returns.runs.iter().map(run).collect());
    let feed = |(window, from, by): &(u32, From, Option<u32>)| {
        let (case, payload) = source(*from);
        let rec = Rec::default().u32(*window).case(case, &payload, (8, 4));
        let by = by.map_or((0, Rec::default()), |by| (1, Rec::default().u32(by)));
        rec.case(by.0, &by.1, (4, 4))
    };
    let feeds = image.list(returns.feeds.iter().map(feed).collect());
    let exchanges = image.indices(&returns.exchanges);
    let verdict = |(reason, probability, listed): &Wish| {
        let rec = Rec::default().u32(*reason).f64(*probability);
        match listed {
            Some((start, len)) => rec.case(0, &Rec::default().u32(*start).u32(*len), (8, 4)),
            None => rec.case(1, &Rec::default(), (8, 4)),
        }
    };
    let verdicts = image.list(returns.verdicts.iter().map(verdict).collect());
    let condition = |(condition, active, value, count): &(u32, bool, f64, u64)| {
        Rec::default().u32(*condition).u8(u8::from(*active)).f64(*value).u64(*count)
    };
    let conditions = image.list(returns.conditions.iter().map(condition).collect());
    let lists = [values, runs, feeds, exchanges, verdicts, conditions];
    image.put(lists.into_iter().fold(Rec::default(), Rec::list))
}

/// A component of a core module in WAT for a world of a WIT folder or text.
pub(crate) fn component(wat: &str, wit: &str, world: &str) -> Arc<[u8]> {
    let mut module = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"));
    let mut resolve = Resolve::default();
    let package = match wit.starts_with('/') {
        true => resolve.push_path(wit).expect("a WIT folder").0,
        false => resolve.push_str("test.wit", wit).expect("a WIT text"),
    };
    let world = resolve.select_world(&[package], Some(world)).expect("a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("a core module");
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module).expect("a module of the world");
    encoder.encode().unwrap_or_else(|error| panic!("{error:#}")).into()
}
