//! Run-time detection of the instruction set, and the only place that calls code compiled for it.
#![expect(
    unsafe_code,
    reason = "functions compiled for features, called where these were detected"
)]

use std::fmt;

use crate::lanes::{Lanes, Portable};

/// Work that is written once and compiled for each instruction set.
pub trait OnLanes {
    /// The result.
    type Output;

    /// Does the work. Mark it `#[inline(always)]`, and start no threads in it: their code would be compiled without the
    /// features.
    ///
    /// # Safety
    /// The CPU has the features of `L`. Tiles have R rows and two vectors of columns.
    unsafe fn run<L: Lanes, const R: usize>(self) -> Self::Output;
}

/// The instruction set that a kernel uses: `Avx512`, `Avx2` or `Portable`, as [`Debug`](fmt::Debug) prints them.
///
/// # Invariant
/// A value proves that this CPU has the instructions. Only [`detect`](Self::detect) and [`available`](Self::available)
/// create one, after they have asked the CPU; the field is private. So safe code may pass a value to any kernel. Every
/// `// SAFETY:` comment on a call of code compiled for these instructions relies on this.
///
/// ```
/// for instructions in rho_kernels::Instructions::available() {
///     println!("{instructions:?} computes tiles of {:?}", instructions.tile());
/// }
/// ```
///
/// No other code can create a value:
///
/// ```compile_fail,E0599
/// let instructions = rho_kernels::Instructions::Avx512;
/// ```
///
/// ```compile_fail,E0423
/// let instructions = rho_kernels::Instructions(unreachable!());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Instructions(Level);

/// What an [`Instructions`] proves. A level alone proves nothing: no function that needs the instructions takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// avx512f: 16 lanes, tiles of 14 x 32.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// avx2 and fma: 8 lanes, tiles of 6 x 16.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// No features: arrays of 8 that the compiler may vectorise, tiles of 4 x 16.
    Portable,
}

impl fmt::Debug for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Instructions {
    /// The best instruction set of this CPU.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// All instruction sets of this CPU, best first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                all.push(Self(Level::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self(Level::Avx2));
            }
        }
        all.push(Self(Level::Portable));
        all
    }

    /// Rows and columns of a tile.
    pub fn tile(self) -> (usize, usize) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => (14, 32),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => (6, 16),
            Level::Portable => (4, 16),
        }
    }

    /// Whether this proves that the CPU has avx512f.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx512f(self) -> bool {
        self.0 == Level::Avx512
    }

    /// Runs `work` compiled for these instructions.
    pub fn run<W: OnLanes>(self, work: W) -> W::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the invariant of `Instructions`: the CPU has avx512f.
            Level::Avx512 => unsafe { run_avx512(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the invariant of `Instructions`: the CPU has avx2 and fma.
            Level::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: `Portable` needs no features.
            Level::Portable => unsafe { work.run::<Portable, 4>() },
        }
    }
}

/// # Safety
/// The CPU has avx512f.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn run_avx512<W: OnLanes>(work: W) -> W::Output {
    // SAFETY: the caller's promise; these lanes need no other features.
    unsafe { work.run::<crate::lanes::Avx512, 14>() }
}

/// # Safety
/// The CPU has avx2 and fma.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<W: OnLanes>(work: W) -> W::Output {
    // SAFETY: the caller's promise; these lanes need no other features.
    unsafe { work.run::<crate::lanes::Avx2, 6>() }
}
