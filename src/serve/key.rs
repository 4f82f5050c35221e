//! The key of the server, compared in constant time.

use std::hint::black_box;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// The SHA-256 of a key: all keys have the same length, and none is kept in memory.
#[derive(Clone)]
pub(super) struct ApiKey([u8; 32]);

impl ApiKey {
    /// Of a key.
    pub(super) fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Whether a request carries this key, as `Authorization: Bearer KEY`.
    pub(super) fn opens(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.as_bytes().split_at_checked(7));
        let Some((scheme, key)) = given else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ") && self.is(key)
    }

    fn is(&self, key: &[u8]) -> bool {
        let pairs = self.0.iter().zip(Self::of(key.trim_ascii()).0);
        let difference = pairs.fold(0, |all, (a, b)| black_box(all | (a ^ b)));
        difference == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens() {
        let key = ApiKey::of(b"secret");
        let opens = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            key.opens(&headers)
        };
        assert!(opens("Bearer secret") && opens("bearer secret"));
        for wrong in [
            "secret",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secret2",
            "Basic secret",
        ] {
            assert!(!opens(wrong), "{wrong}");
        }
        assert!(!key.opens(&HeaderMap::new()));
    }
}
