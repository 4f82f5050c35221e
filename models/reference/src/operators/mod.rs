//! Our custom operators in ONNX Runtime sessions, on the CPU.
//!
//! * `attention`, and `grouped` for grouped-query attention: see [`crate::attention`].
//! * `matmul`: a matmul with constant weights in int8 or bf16, see [`crate::matmul`].
//!
//! They run on the session's own threads: a second pool would compete for the same cores.

mod attention;
mod grouped;
mod matmul;

use std::sync::Arc;

use ort::operator::OperatorDomain;
use rho_graph::matmuls::names;

use attention::AttentionOperator;
use grouped::GroupedOperator;
use matmul::MatmulOperator;

use crate::{ReferenceError, head::kernel::Instructions, matmul::PackedMatmul};

/// The operator domain for one session.
pub(crate) fn domain(
    products: Arc<[PackedMatmul]>,
    threads: usize,
) -> Result<OperatorDomain, ReferenceError> {
    let instructions = Instructions::detect();
    let domain = || -> ort::Result<OperatorDomain> {
        OperatorDomain::new(names::DOMAIN)?
            .add(MatmulOperator { products, threads })?
            .add(AttentionOperator { instructions })?
            .add(GroupedOperator { instructions })
    };
    domain().map_err(ReferenceError::runtime("preparing the custom operators"))
}
