//! Rotary position embedding (Su et al. 2021) and the ways it has been stretched to longer contexts.
//!
//! ```text
//! pair (i, i + width / 2) of a head is turned by position * frequency(i);  frequency(i) = theta^(-2 i / width)
//! ```
//!
//! Tables are made in the graph from the frequencies, for as many positions as a batch has: `[length, width / 2]`.

use std::f64::consts::PI;

use crate::{
    DataType, ExportError, Settings,
    build::{int, ints},
    export::graph::{Graph, Value, fixed, length},
};

/// How queries and keys are turned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotary {
    /// Numbers of a head that are turned, from the first on.
    pub(crate) width: usize,
    /// Per pair, `width / 2` of them.
    pub(crate) frequencies: Vec<f64>,
    /// A factor on sine and cosine.
    pub(crate) factor: f64,
}

/// A rotation and how far it reaches.
pub(crate) struct Scaled {
    pub(crate) rotary: Rotary,
    /// Positions beyond this are turned otherwise: not built.
    pub(crate) most_positions: Option<usize>,
}

impl Rotary {
    /// The rotation that `rope_theta` and `rope_scaling` ask for, of heads of this width.
    pub(crate) fn read(settings: &Settings, head: usize) -> Result<Scaled, ExportError> {
        let share = settings.number_or("partial_rotary_factor", 1.0)?;
        Self::partial(settings, head, "rope_theta", "partial_rotary_factor", share)
    }

    /// As [`Rotary::read`], of a share of each head, under other names.
    pub(crate) fn partial(
        settings: &Settings,
        head: usize,
        theta: &str,
        share_name: &str,
        share: f64,
    ) -> Result<Scaled, ExportError> {
        let width = (head as f64 * share) as usize;
        if width == 0 || width > head || !width.is_multiple_of(2) {
            let expected = format!("a share that is an even part of the {head} numbers of a head");
            return Err(settings.refuse(share_name, expected));
        }
        let theta = settings.number_or(theta, 10_000.0)?;
        let power = |i: usize| theta.powf(-((2 * i) as f64) / width as f64);
        let plain: Vec<f64> = (0..width / 2).map(power).collect();
        let as_it_is = |frequencies| Scaled {
            rotary: Self {
                width,
                frequencies,
                factor: 1.0,
            },
            most_positions: None,
        };
        let Some(scaling) = settings.inner_if("rope_scaling")? else {
            return Ok(as_it_is(plain));
        };
        // Old configurations say `type`.
        let kind_name = match scaling.text_if("rope_type")? {
            Some(_) => "rope_type",
            None => "type",
        };
        match scaling.text_if(kind_name)? {
            Some("default") => Ok(as_it_is(plain)),
            Some("linear") => {
                let factor = scaling.positive("factor")?;
                Ok(as_it_is(plain.iter().map(|f| f / factor).collect()))
            }
            // Within the positions that the model was made for nothing is scaled; beyond them all of a document would
            // depend on its length.
            Some("dynamic") => Ok(Scaled {
                most_positions: Some(settings.size("max_position_embeddings")?),
                ..as_it_is(plain)
            }),
            Some("llama3") => Ok(as_it_is(llama3(&scaling, &plain)?)),
            Some("yarn") => {
                let mut scaled = as_it_is(Vec::new());
                (scaled.rotary.frequencies, scaled.rotary.factor) =
                    yarn(settings, &scaling, &plain, theta)?;
                Ok(scaled)
            }
            Some("longrope" | "su") => longrope(settings, &scaling, &plain, width),
            _ => Err(scaling.refuse(
                kind_name,
                "one of default, linear, dynamic, llama3, yarn, longrope",
            )),
        }
    }
}

/// Llama 3.1: low frequencies divided, high ones kept, a ramp in between.
fn llama3(scaling: &Settings, plain: &[f64]) -> Result<Vec<f64>, ExportError> {
    let factor = scaling.positive("factor")?;
    let low = scaling.positive("low_freq_factor")?;
    let high = scaling.positive("high_freq_factor")?;
    let original = scaling.size("original_max_position_embeddings")? as f64;
    if high <= low {
        return Err(scaling.refuse(
            "high_freq_factor",
            format!("more than low_freq_factor, {low}"),
        ));
    }
    let scale = |&f: &f64| {
        let turns = original * f / (2.0 * PI);
        if turns < low {
            f / factor
        } else if turns > high {
            f
        } else {
            let kept = (turns - low) / (high - low);
            (1.0 - kept) * f / factor + kept * f
        }
    };
    Ok(plain.iter().map(scale).collect())
}

/// YaRN (Peng et al. 2023): a ramp over the pairs, and a factor on sine and cosine.
fn yarn(
    settings: &Settings,
    scaling: &Settings,
    plain: &[f64],
    theta: f64,
) -> Result<(Vec<f64>, f64), ExportError> {
    let factor = scaling.positive("factor")?;
    let width = (plain.len() * 2) as f64;
    let original = match scaling.size_if("original_max_position_embeddings")? {
        Some(original) => original,
        None => settings.size("max_position_embeddings")?,
    } as f64;
    let pair_with = |turns: f64| width * (original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let mut low = pair_with(scaling.number_or("beta_fast", 32.0)?);
    let mut high = pair_with(scaling.number_or("beta_slow", 1.0)?);
    if scaling.flag_or("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(width - 1.0));
    if low == high {
        // Transformers' own way around a division by zero.
        high += 0.001;
    }
    let scale = |(i, &f): (usize, &f64)| {
        let divided = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        f / factor * divided + f * (1.0 - divided)
    };
    let magnitude = |by: f64| match factor <= 1.0 {
        true => 1.0,
        false => 0.1 * by * factor.ln() + 1.0,
    };
    let both = (scaling.number_if("mscale")?).zip(scaling.number_if("mscale_all_dim")?);
    let by_default = match both.filter(|&(one, all)| one != 0.0 && all != 0.0) {
        Some((one, all)) => magnitude(one) / magnitude(all),
        None => magnitude(1.0),
    };
    let on_both = scaling.number_or("attention_factor", by_default)?;
    Ok((plain.iter().enumerate().map(scale).collect(), on_both))
}

/// LongRoPE (Ding et al. 2024) as Phi-3 has it: one list of factors up to the original length, another beyond. Only the
/// first is built: with both, a document's scores would depend on what it is batched with.
fn longrope(
    settings: &Settings,
    scaling: &Settings,
    plain: &[f64],
    width: usize,
) -> Result<Scaled, ExportError> {
    let most = settings.size("max_position_embeddings")?;
    let original = match settings.size_if("original_max_position_embeddings")? {
        Some(original) => original,
        None => scaling
            .size_if("original_max_position_embeddings")?
            .unwrap_or(most),
    };
    let factors = scaling.numbers("short_factor", plain.len())?;
    if let Some(zero) = factors.iter().position(|&f| f <= 0.0) {
        return Err(scaling.refuse(
            "short_factor",
            format!("numbers above zero (see number {zero})"),
        ));
    }
    let stretch = match most > original {
        true => most as f64 / original as f64,
        false => scaling.number_or("factor", 1.0)?,
    };
    let by_default = match stretch <= 1.0 {
        true => 1.0,
        false => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
    };
    Ok(Scaled {
        rotary: Rotary {
            width,
            frequencies: plain.iter().zip(factors).map(|(f, by)| f / by).collect(),
            factor: scaling.number_or("attention_factor", by_default)?,
        },
        most_positions: Some(original),
    })
}

impl Graph<'_> {
    /// Cosine and sine `[length, width / 2]`, made once for all layers.
    pub(crate) fn rotary_tables(&mut self, rotary: &Rotary) -> Result<[Value; 2], ExportError> {
        let key = format!("{rotary:?}");
        let angles = self.once(&format!("angles {key}"), |graph| {
            let positions = graph.positions()?;
            let column = vec![length(), fixed(1)];
            let axis = graph.integers(&[1], &[1]);
            let kind = (positions.dtype, column.clone());
            let positions = graph.node("Unsqueeze", &[&positions, &axis], vec![], kind);
            // In f32 whatever the model computes in: bf16 cannot even count to 300.
            let positions = graph.cast(&positions, DataType::F32);
            let pairs = rotary.frequencies.len();
            let frequencies = graph.numbers(DataType::F32, &rotary.frequencies, &[1, pairs]);
            let kind = (DataType::F32, vec![length(), fixed(pairs)]);
            Ok(graph.node("Mul", &[&positions, &frequencies], vec![], kind))
        })?;
        let mut table = |operator: &str| {
            self.once(&format!("{operator} {key}"), |graph| {
                let mut table = graph.node(operator, &[&angles], vec![], angles.kind());
                if rotary.factor != 1.0 {
                    let factor = graph.numbers(DataType::F32, &[rotary.factor], &[]);
                    table = graph.node("Mul", &[&table, &factor], vec![], angles.kind());
                }
                Ok(graph.cast(&table, graph.style.dtype))
            })
        };
        Ok([table("Cos")?, table("Sin")?])
    }

    /// 0, 1, 2, ... `[length]`: position ids are made inside, for rows are padded on the right only.
    pub(crate) fn positions(&mut self) -> Result<Value, ExportError> {
        let size = self.length_of_batch()?;
        self.once("positions", |graph| {
            let axis = graph.integers(&[0], &[1]);
            let kind = (DataType::I64, vec![]);
            let end = graph.node("Squeeze", &[&size, &axis], vec![], kind);
            let (start, step) = (graph.integers(&[0], &[]), graph.integers(&[1], &[]));
            let kind = (DataType::I64, vec![length()]);
            Ok(graph.node("Range", &[&start, &end, &step], vec![], kind))
        })
    }

    /// How many tokens a row has: i64 `[1]`.
    pub(crate) fn length_of_batch(&mut self) -> Result<Value, ExportError> {
        self.once("length", |graph| {
            let ids = graph.input_ids();
            let range = vec![int("start", 1), int("end", 2)];
            Ok(graph.node("Shape", &[&ids], range, (DataType::I64, vec![fixed(1)])))
        })
    }

    /// Turns heads `[batch, heads, length, width]` by standard operators.
    pub(crate) fn turn(&mut self, x: &Value, rotary: &Rotary) -> Result<Value, ExportError> {
        let [cosine, sine] = self.rotary_tables(rotary)?;
        let half = rotary.width / 2;
        let head = match x.dims.last() {
            Some(crate::Dimension::Fixed(head)) => *head,
            _ => rotary.width,
        };
        let mut sizes = vec![half as i64, half as i64];
        let mut outputs = vec![Some(x.kind_with_width(half)), Some(x.kind_with_width(half))];
        if head > rotary.width {
            sizes.push((head - rotary.width) as i64);
            outputs.push(Some(x.kind_with_width(head - rotary.width)));
        }
        let count = sizes.len();
        let sizes = self.integers(&sizes, &[count]);
        let parts = self.nodes("", "Split", &[x, &sizes], vec![int("axis", -1)], outputs);
        let kind = parts[0].kind();
        let mut product = |a: &Value, b: &Value| self.node("Mul", &[a, b], vec![], kind.clone());
        let (a_cosine, a_sine) = (product(&parts[0], &cosine), product(&parts[0], &sine));
        let (b_cosine, b_sine) = (product(&parts[1], &cosine), product(&parts[1], &sine));
        let first = self.node("Sub", &[&a_cosine, &b_sine], vec![], kind.clone());
        let second = self.node("Add", &[&b_cosine, &a_sine], vec![], kind);
        let mut turned = vec![&first, &second];
        turned.extend(parts.get(2));
        Ok(self.node("Concat", &turned, vec![int("axis", -1)], x.kind()))
    }

    /// Turns rows `[batch, length, heads * head]` by ONNX Runtime's operator.
    pub(crate) fn turn_rows(
        &mut self,
        x: &Value,
        heads: usize,
        rotary: &Rotary,
    ) -> Result<Value, ExportError> {
        let [cosine, sine] = self.rotary_tables(rotary)?;
        let start = self.once("first position", |graph| Ok(graph.integers(&[0], &[1])))?;
        let attributes = vec![
            int("num_heads", heads as i64),
            int("rotary_embedding_dim", rotary.width as i64),
        ];
        let inputs = [x, &start, &cosine, &sine];
        Ok(self.microsoft("RotaryEmbedding", &inputs, attributes, x.kind()))
    }

    /// Axes in another order.
    pub(crate) fn permute(&mut self, x: &Value, order: &[usize]) -> Value {
        let dims = order.iter().map(|&axis| x.dims[axis].clone()).collect();
        let order: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        self.node(
            "Transpose",
            &[x],
            vec![ints("perm", &order)],
            (x.dtype, dims),
        )
    }
}
