//! What the WIT says, as Rust types. Generated; use the crate's own types instead.
wit_bindgen::generate!({
    path: "../../wit/0.1.1",
    world: "keeper",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "weir_plugin_sdk::bindings",
});
