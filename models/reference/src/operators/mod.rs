//! Operators of our own inside ONNX Runtime's sessions, on the CPU.
//!
//! * `attention`, and `grouped` for heads that share keys and values: see [`crate::attention`].
//! * `product`: a product with constant weights below f32, see [`crate::product`].
//!
//! They run on the session's own threads: a second pool beside them would fight for the same cores.

mod attention;
mod grouped;
mod product;

use std::sync::Arc;

use ort::operator::OperatorDomain;
use rho_graph::products::names;

use attention::AttentionOperator;
use grouped::GroupedOperator;
use product::ProductOperator;

use crate::{ReferenceError, head::kernel::Instructions, product::Product};

/// The domain with the operators for one session.
pub(crate) fn domain(
    products: Arc<[Product]>,
    threads: usize,
) -> Result<OperatorDomain, ReferenceError> {
    let instructions = Instructions::detect();
    let domain = || -> ort::Result<OperatorDomain> {
        OperatorDomain::new(names::DOMAIN)?
            .add(ProductOperator { products, threads })?
            .add(AttentionOperator { instructions })?
            .add(GroupedOperator { instructions })
    };
    domain().map_err(ReferenceError::runtime("preparing the products"))
}
