//! Storage aligned to 64 bytes, so that a vector never spans two cache lines.
#![expect(
    unsafe_code,
    reason = "the same bytes seen as floats or as units of four bytes"
)]

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Zeroed four-byte elements, rounded up to whole cache lines.
pub struct Aligned(Vec<Line>);

impl Aligned {
    /// At least `numbers` elements, all zero.
    pub fn zeroed(numbers: usize) -> Self {
        Self(vec![Line([0.0; 16]); numbers.div_ceil(16)])
    }

    /// All elements, including those that pad the last line.
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: a Line is 16 floats without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    /// As [`as_slice`](Self::as_slice), mutable.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }

    /// The same bytes as u32 units, for element types shorter than four bytes.
    pub fn units(&self) -> &[u32] {
        // SAFETY: as above; every bit pattern is a u32.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    /// As [`units`](Self::units), mutable.
    pub fn units_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above, and every bit pattern is a float too.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}
