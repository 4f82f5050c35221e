//! The peak rates of this CPU: f32 multiply-adds on all cores, and bytes read from memory.

use std::array::from_fn;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Independent sums: enough to hide the latency of a multiply-add, few enough for the registers.
const CHAINS: usize = 12;
/// Lanes of the widest vectors. The chains start at numbers unknown to the compiler, so that it does not merge them.
const LANES: usize = 16;
const STEPS: usize = 20_000_000;
/// Larger than any cache.
const BYTES: usize = 1 << 30;

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// GFLOP/s of all cores, a multiply-add counted as two.
pub(crate) fn multiply_adds() -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| black_box(chains()));
        }
    });
    let flops = 2 * cores() * STEPS * CHAINS * LANES;
    flops as f64 / start.elapsed().as_secs_f64() / 1e9
}

fn chains() -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: detected above.
            return unsafe { chains_avx512() };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: detected above.
            return unsafe { chains_avx2() };
        }
    }
    chains_of_lanes()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn chains_avx512() -> f32 {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps};
    let (factor, addend) = (_mm512_set1_ps(0.999), _mm512_set1_ps(0.001));
    let mut sums: [_; CHAINS] = from_fn(|i| _mm512_set1_ps(black_box(i as f32)));
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, addend);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn chains_avx2() -> f32 {
    use std::arch::x86_64::{_mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    let (factor, addend) = (_mm256_set1_ps(0.999), _mm256_set1_ps(0.001));
    let mut sums: [_; CHAINS] = from_fn(|i| _mm256_set1_ps(black_box(i as f32)));
    // Twice as many steps, because vectors are half as wide.
    for _ in 0..2 * STEPS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, addend);
        }
    }
    sums.into_iter().map(|sum| _mm256_cvtss_f32(sum)).sum()
}

/// In plain Rust, as the compiler vectorises it for the baseline CPU.
fn chains_of_lanes() -> f32 {
    let mut sums: [[f32; LANES]; CHAINS] = from_fn(|i| [black_box(i as f32); LANES]);
    for _ in 0..STEPS {
        for sum in sums.as_flattened_mut() {
            *sum = *sum * 0.999 + 0.001;
        }
    }
    sums.as_flattened().iter().sum()
}

/// GB/s read by all cores together.
pub(crate) fn reading() -> f64 {
    let data = vec![1u64; BYTES / 8];
    let read = || {
        let start = Instant::now();
        thread::scope(|scope| {
            for part in data.chunks(data.len().div_ceil(cores())) {
                scope.spawn(move || {
                    black_box(part.iter().fold(0, |sum: u64, x| sum.wrapping_add(*x)))
                });
            }
        });
        BYTES as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..3).map(|_| read()).fold(0.0, f64::max)
}
