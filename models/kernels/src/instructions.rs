//! Which instructions the kernels use: found while running, once; and the one place where work is handed to them.
#![expect(
    unsafe_code,
    reason = "functions compiled for features, called where these were detected"
)]

use crate::lanes::{Lanes, Portable};

/// Work that is written once and compiled for each set of instructions.
pub trait OnLanes {
    /// What it gives.
    type Output;

    /// Does the work. Mark it `#[inline(always)]`, and start no threads in it: what they run would be compiled without
    /// the features.
    ///
    /// # Safety
    /// The processor has the features of `L`. Tiles have R rows and two vectors of columns.
    unsafe fn run<L: Lanes, const R: usize>(self) -> Self::Output;
}

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

    /// Does some work with these instructions.
    pub fn run<W: OnLanes>(self, work: W) -> W::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` names only what this processor has, and so below.
            Self::Avx512 => unsafe { run_avx512(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: needs no features.
            _ => unsafe { work.run::<Portable, 4>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn run_avx512<W: OnLanes>(work: W) -> W::Output {
    // SAFETY: this function is only called where avx512f was detected.
    unsafe { work.run::<crate::lanes::Avx512, 14>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<W: OnLanes>(work: W) -> W::Output {
    // SAFETY: this function is only called where avx2 and fma were detected.
    unsafe { work.run::<crate::lanes::Avx2, 6>() }
}
