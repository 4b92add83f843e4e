//! What the WIT says, as Rust types. Generated.
wasmtime::component::bindgen!({
    path: "../../wit/0.1.1",
    world: "keeper",
});
