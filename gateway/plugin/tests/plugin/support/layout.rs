//! Lays out what a plugin returns in its memory, as the canonical ABI wants it.

/// Bytes from an address on.
pub(crate) struct Image {
    base: u32,
    pub(crate) bytes: Vec<u8>,
}

/// One record or variant case being laid out: fields by their natural alignment.
#[derive(Clone, Default)]
pub(crate) struct Rec {
    bytes: Vec<u8>,
    align: usize,
}

impl Rec {
    fn put(mut self, bytes: &[u8]) -> Self {
        self = self.aligned(bytes.len());
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn aligned(mut self, to: usize) -> Self {
        self.align = self.align.max(to);
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self
    }

    pub(crate) fn u8(self, x: u8) -> Self {
        self.put(&[x])
    }

    pub(crate) fn u32(self, x: u32) -> Self {
        self.put(&x.to_le_bytes())
    }

    pub(crate) fn u64(self, x: u64) -> Self {
        self.put(&x.to_le_bytes())
    }

    pub(crate) fn f64(self, x: f64) -> Self {
        self.put(&x.to_le_bytes())
    }

    /// A list or a string.
    pub(crate) fn list(self, (at, len): (u32, u32)) -> Self {
        self.u32(at).u32(len)
    }

    /// A variant: its case, then the payload, whose place and size are those of the largest case.
    pub(crate) fn case(self, case: u8, payload: &Self, (size, align): (usize, usize)) -> Self {
        let mut rec = self.aligned(align).u8(case).aligned(align);
        rec.bytes.extend_from_slice(&payload.bytes);
        rec.bytes.resize(rec.bytes.len() + size - payload.bytes.len(), 0);
        rec
    }

    fn padded(self) -> Vec<u8> {
        let align = self.align.max(1);
        self.aligned(align).bytes
    }
}

impl Image {
    pub(crate) fn new(base: u32) -> Self {
        Self { base, bytes: Vec::new() }
    }

    pub(crate) fn put(&mut self, rec: Rec) -> u32 {
        let bytes = rec.padded();
        self.raw(&bytes)
    }

    fn raw(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.base + self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        at
    }

    pub(crate) fn text(&mut self, text: &str) -> (u32, u32) {
        (self.raw(text.as_bytes()), text.len() as u32)
    }

    pub(crate) fn texts(&mut self, texts: &[String]) -> (u32, u32) {
        let all: Vec<Rec> = texts.iter().map(|text| Rec::default().list(self.text(text))).collect();
        self.list(all)
    }

    pub(crate) fn list(&mut self, items: Vec<Rec>) -> (u32, u32) {
        let len = items.len() as u32;
        let bytes: Vec<u8> = items.into_iter().flat_map(Rec::padded).collect();
        (self.raw(&bytes), len)
    }

    pub(crate) fn numbers(&mut self, values: &[f64]) -> (u32, u32) {
        self.list(values.iter().map(|x| Rec::default().f64(*x)).collect())
    }

    pub(crate) fn indices(&mut self, values: &[u32]) -> (u32, u32) {
        self.list(values.iter().map(|x| Rec::default().u32(*x)).collect())
    }
}
