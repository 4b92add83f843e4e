//! How a webhook knows that a request is ours.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `X-Weir-Signature`: `t=UNIX_SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `t.body`. The
/// time is signed too, so that a receiver can refuse what is old.
pub(super) fn signature(secret: &[u8], unix_seconds: u64, body: &[u8]) -> String {
    let mac = hmac_sha256(secret, &[unix_seconds.to_string().as_bytes(), b".", body]);
    format!("t={unix_seconds},v1={}", hex(&mac))
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_the_one_of_rfc_4231() {
        let check = |key: &[u8], data: &[u8], expect: &str| {
            assert_eq!(hex(&hmac_sha256(key, &[data])), expect);
        };
        check(&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
    }

    #[test]
    fn time_and_body_are_signed_together() {
        let signed = signature(b"secret", 1_700_000_000, b"{}");
        let alone = hmac_sha256(b"secret", &[b"1700000000.{}"]);
        assert_eq!(signed, format!("t=1700000000,v1={}", hex(&alone)));
        assert_ne!(signed, signature(b"secret", 1_700_000_001, b"{}"));
    }
}
