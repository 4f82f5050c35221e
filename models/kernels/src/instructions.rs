//! Which instructions the kernels use: found while running, once.

/// Which instructions a kernel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// 16 lanes, tiles of 14 x 32.
    Avx512,
    /// 8 lanes, tiles of 6 x 16.
    Avx2,
    /// Whatever the compiler makes of arrays of 8, tiles of 4 x 16.
    Portable,
}

impl Instructions {
    /// The best this processor has.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// All that this processor has, best first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                all.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Portable);
        all
    }

    /// Rows and columns of a tile.
    pub fn tile(self) -> (usize, usize) {
        match self {
            Self::Avx512 => (14, 32),
            Self::Avx2 => (6, 16),
            Self::Portable => (4, 16),
        }
    }
}
