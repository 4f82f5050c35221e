//! Rotary position embedding (RoPE, Su et al. 2021) and its extensions to longer contexts: from the settings to one
//! frequency per pair.
//!
//! ```text
//! pair (i, i + width / 2) of a head is rotated by position * frequency(i);  frequency(i) = theta^(-2 i / width)
//! ```
//!
//! Transformers 5 keeps all of it in `rope_parameters`, Transformers 4 in `rope_theta`, `rope_scaling` and
//! `partial_rotary_factor`. If both exist, they are read as in Transformers 5: `rope_scaling` replaces all of
//! `rope_parameters`, and values in the object take precedence over those at the top level.

use std::f64::consts::PI;

use crate::{CheckpointError, Settings};

/// A rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// How many dimensions of a head are rotated, from the first on.
    pub width: usize,
    /// One per pair: `[width / 2]`, in radians per position.
    pub frequencies: Vec<f64>,
    /// Factor on sine and cosine.
    pub factor: f64,
    /// The base of the frequencies before scaling (`rope_theta`).
    pub theta: f64,
}

/// A rotation and the number of positions it holds for.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretched {
    /// The rotation.
    pub rotation: Rotation,
    /// Longest supported input. In longer ones Transformers rotates differently, depending on the document's length.
    pub most_positions: Option<usize>,
}

/// Setting names and defaults of a family's rotation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// Default of `theta`.
    pub(crate) theta: f64,
    /// Name of `theta` at the top level.
    pub(crate) theta_name: &'static str,
    /// Default fraction of a head that is rotated; `None` if the family always rotates all of it.
    pub(crate) share: Option<f64>,
    /// Name of the fraction at the top level.
    pub(crate) share_name: &'static str,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            theta: 10_000.0,
            theta_name: "rope_theta",
            share: None,
            share_name: "partial_rotary_factor",
        }
    }
}

/// Layer types that may have their own settings in `rope_parameters`.
const LAYER_TYPES: [&str; 4] = [
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "linear_attention",
];

impl Rotation {
    /// One rotation for all layers; `head` is `head_dim`.
    pub(crate) fn read(
        settings: &Settings,
        head: usize,
        names: Names,
    ) -> Result<Stretched, CheckpointError> {
        let (outer, inner) = Outer::read(settings, names)?;
        if let Some(inner) = &inner
            && let Some(kind) = LAYER_TYPES.iter().find(|kind| inner.says(kind))
        {
            return Err(inner.refuse(kind, "one rotation for all layers"));
        }
        outer.stretched(settings, inner.as_ref(), head)
    }

    /// The rotation of one layer type (such as `full_attention`), in families where types may differ. `scaled`: whether
    /// scaling that is not given per type applies to this type.
    pub(crate) fn of_type(
        settings: &Settings,
        head: usize,
        names: Names,
        kind: &str,
        scaled: bool,
    ) -> Result<Stretched, CheckpointError> {
        let (outer, inner) = Outer::read(settings, names)?;
        let both = ["rope_scaling", "rope_parameters"];
        if both.iter().all(|name| !settings.names_in(name).is_empty()) {
            return Err(settings.refuse(both[0], "nothing beside rope_parameters"));
        }
        let Some(inner) = inner else {
            return outer.stretched(settings, None, head);
        };
        // For layers that differ, Transformers 5 ignores the old name `type` at both levels, so it is refused.
        for object in [Some(&inner), inner.inner_if(kind)?.as_ref()]
            .into_iter()
            .flatten()
        {
            if object.text_if("rope_type")?.is_none()
                && object.text_if("type")?.is_some_and(|old| old != "default")
            {
                return Err(object.refuse("type", "rope_type in its place"));
            }
        }
        match inner.inner_if(kind)? {
            Some(own) if !own.flag_or("truncate", true)? => {
                Err(own.refuse("truncate", "true: Transformers does not read it here"))
            }
            Some(own) => outer.stretched(settings, Some(&own), head),
            // Only other layer types have settings.
            None if LAYER_TYPES.iter().any(|kind| inner.says(kind)) => {
                outer.stretched(settings, None, head)
            }
            None if scaled => outer.stretched(settings, Some(&inner), head),
            None => {
                let theta = inner.number_or("rope_theta", outer.theta)?;
                Outer { theta, ..outer }.stretched(settings, None, head)
            }
        }
    }

    /// Whether the rotation is unscaled.
    pub fn is_plain(&self) -> bool {
        self.factor == 1.0 && self.frequencies == plain(self.theta, self.width)
    }

    /// The rotation in the opposite direction.
    pub(crate) fn reversed(mut self) -> Self {
        self.frequencies.iter_mut().for_each(|f| *f = -*f);
        self
    }
}

/// `theta^(-2 i / width)` for each pair.
pub(crate) fn plain(theta: f64, width: usize) -> Vec<f64> {
    let power = |i: usize| theta.powf(-((2 * i) as f64) / width as f64);
    (0..width / 2).map(power).collect()
}

/// Settings of the rotation at the top level, outside `rope_parameters`.
struct Outer {
    names: Names,
    theta: f64,
    share: Option<f64>,
}

impl Outer {
    /// Reads the top level, and returns the nested object if there is one.
    fn read(
        settings: &Settings,
        names: Names,
    ) -> Result<(Self, Option<Settings>), CheckpointError> {
        let theta = settings.positive_or(names.theta_name, names.theta)?;
        let share = settings.number_if(names.share_name)?.or(names.share);
        let old = settings.inner_if("rope_scaling")?;
        let new = settings.inner_if("rope_parameters")?;
        let old = old.filter(|old| !old.values().is_empty());
        let outer = Self {
            names,
            theta,
            share,
        };
        Ok((outer, old.or(new)))
    }

    fn stretched(
        &self,
        settings: &Settings,
        scaling: Option<&Settings>,
        head: usize,
    ) -> Result<Stretched, CheckpointError> {
        let stretched = self.turned(settings, scaling, head)?;
        let rotation = &stretched.rotation;
        // Angles are computed in f32, for positions up to more than any model has.
        const FARTHEST: f64 = 1e8;
        let fits = |number: &f64| (number * FARTHEST).abs() <= f64::from(f32::MAX);
        match rotation.frequencies.iter().all(fits) && fits(&rotation.factor) {
            true => Ok(stretched),
            false => {
                let name = self.names.theta_name;
                Err(settings.refuse(name, "a rotation whose angles f32 holds"))
            }
        }
    }

    fn turned(
        &self,
        settings: &Settings,
        scaling: Option<&Settings>,
        head: usize,
    ) -> Result<Stretched, CheckpointError> {
        let inside = |name| scaling.map_or(Ok(None), |inner| inner.number_if(name));
        let theta = inside("rope_theta")?.unwrap_or(self.theta);
        let (share_in, share_name) = match inside("partial_rotary_factor")? {
            Some(share) => (Some(share), "rope_parameters.partial_rotary_factor"),
            None => (self.share, self.names.share_name),
        };
        let share = share_in.unwrap_or(1.0);
        let width = (head as f64 * share) as usize;
        if width == 0 || width > head || !width.is_multiple_of(2) {
            let expected = format!(
                "a fraction that gives an even number of the {head} dimensions of a head ({share} gives {width})"
            );
            return Err(settings.refuse(share_name, expected));
        }
        if self.names.share.is_none() && width != head {
            return Err(settings.refuse(share_name, "1: this family rotates whole heads"));
        }
        if theta <= 0.0 {
            return Err(settings.refuse("rope_theta", "a number above zero"));
        }
        let plain = plain(theta, width);
        let turned = |frequencies, factor| Stretched {
            rotation: Rotation {
                width,
                frequencies,
                factor,
                theta,
            },
            most_positions: None,
        };
        let Some(scaling) = scaling else {
            return Ok(turned(plain, 1.0));
        };
        // Old configurations have `type`. Transformers 5 keeps it beside `rope_type`, and reads the latter.
        let old_name = scaling.text_if("type")?;
        let kind_name = match scaling.text_if("rope_type")? {
            Some(_) => "rope_type",
            None => "type",
        };
        match scaling.text_if("rope_type")?.or(old_name) {
            None | Some("default") => Ok(turned(plain, 1.0)),
            Some("linear") => {
                let factor = scaling.positive("factor")?;
                Ok(turned(plain.iter().map(|f| f / factor).collect(), 1.0))
            }
            // Up to the model's context length nothing is scaled. Beyond it, every score would depend on the document's
            // length.
            Some("dynamic") => {
                scaling.positive("factor")?;
                Ok(Stretched {
                    most_positions: Some(settings.size("max_position_embeddings")?),
                    ..turned(plain, 1.0)
                })
            }
            Some("llama3") => Ok(turned(llama3(settings, scaling, &plain)?, 1.0)),
            Some("yarn") => {
                let (frequencies, factor) = yarn(settings, scaling, &plain, theta)?;
                Ok(turned(frequencies, factor))
            }
            Some("longrope" | "su") => longrope(settings, scaling, &plain, theta),
            _ => Err(scaling.refuse(
                kind_name,
                "one of default, linear, dynamic, llama3, yarn, longrope",
            )),
        }
    }
}

/// Context length before the extension. Phi-3 has it at the top level, which is read first; if both exist, they must
/// agree.
fn original(settings: &Settings, scaling: &Settings) -> Result<usize, CheckpointError> {
    const NAME: &str = "original_max_position_embeddings";
    match (settings.size_if(NAME)?, scaling.size_if(NAME)?) {
        (Some(outer), Some(inner)) if outer != inner => {
            Err(scaling.refuse(NAME, format!("{outer}, as at the top level")))
        }
        (Some(original), _) | (None, Some(original)) => Ok(original),
        (None, None) => settings.size("max_position_embeddings"),
    }
}

/// Factor by which the context was extended.
fn stretch(
    settings: &Settings,
    scaling: &Settings,
    original: usize,
) -> Result<f64, CheckpointError> {
    match scaling.number_if("factor")? {
        Some(factor) if factor > 0.0 => Ok(factor),
        Some(_) => Err(scaling.refuse("factor", "a number above zero")),
        None => Ok(settings.size("max_position_embeddings")? as f64 / original as f64),
    }
}

/// Llama 3.1: low frequencies are divided, high ones kept, with a ramp in between.
fn llama3(
    settings: &Settings,
    scaling: &Settings,
    plain: &[f64],
) -> Result<Vec<f64>, CheckpointError> {
    let factor = scaling.positive("factor")?;
    let low = scaling.positive("low_freq_factor")?;
    let high = scaling.positive("high_freq_factor")?;
    let original = original(settings, scaling)? as f64;
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
) -> Result<(Vec<f64>, f64), CheckpointError> {
    let width = (plain.len() * 2) as f64;
    let original = original(settings, scaling)?;
    let factor = stretch(settings, scaling, original)?;
    let pair_with =
        |turns: f64| width * (original as f64 / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    if theta == 1.0 {
        return Err(settings.refuse(
            "rope_theta",
            "another number than 1, for which all pairs rotate alike",
        ));
    }
    // In Transformers, 0 means the default.
    let turns = |name, default| match scaling.number_if(name)?.filter(|&n| n != 0.0) {
        Some(turns) if turns < 0.0 => Err(scaling.refuse(name, "a number above zero")),
        said => Ok(said.unwrap_or(default)),
    };
    let mut low = pair_with(turns("beta_fast", 32.0)?);
    let mut high = pair_with(turns("beta_slow", 1.0)?);
    if scaling.flag_or("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(width - 1.0));
    if low == high {
        // As Transformers avoids a division by zero.
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
    let on_both = scaling.number_if("attention_factor")?.unwrap_or(by_default);
    Ok((plain.iter().enumerate().map(scale).collect(), on_both))
}

/// LongRoPE (Ding et al. 2024) as in Phi-3: one list of factors up to the original length, another beyond. Only the
/// first is supported: with both, a document's scores would depend on what it is batched with.
fn longrope(
    settings: &Settings,
    scaling: &Settings,
    plain: &[f64],
    theta: f64,
) -> Result<Stretched, CheckpointError> {
    let original = original(settings, scaling)?;
    let factors = scaling.numbers("short_factor", plain.len())?;
    scaling.numbers("long_factor", plain.len())?;
    if let Some(zero) = factors.iter().position(|&f| f <= 0.0) {
        return Err(scaling.refuse(
            "short_factor",
            format!("numbers above zero (see index {zero})"),
        ));
    }
    let stretch = stretch(settings, scaling, original)?;
    let by_default = match stretch <= 1.0 {
        true => 1.0,
        false => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
    };
    let factor = scaling.number_if("attention_factor")?.unwrap_or(by_default);
    Ok(Stretched {
        rotation: Rotation {
            width: 2 * plain.len(),
            frequencies: plain.iter().zip(factors).map(|(f, by)| f / by).collect(),
            factor,
            theta,
        },
        most_positions: Some(original),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let values = serde_json::from_str(text).unwrap();
        Settings::of(std::path::Path::new("config.json"), values)
    }

    #[test]
    fn angles_that_are_no_numbers_are_refused() {
        for (said, refused) in [
            (r#"{"rope_theta": 1e-37}"#, true),
            (r#"{"rope_theta": 0.5}"#, false),
            (
                r#"{"rope_scaling": {"rope_type": "linear", "factor": 1e-35}}"#,
                true,
            ),
            (
                r#"{"rope_scaling": {"rope_type": "linear", "factor": 1e-3}}"#,
                false,
            ),
            (r#"{"rope_theta": 1e30}"#, false),
            // Transformers divides by zero, or takes the logarithm of a negative number.
            (
                r#"{"rope_theta": 1.0, "max_position_embeddings": 64,
                    "rope_scaling": {"rope_type": "yarn", "factor": 2.0}}"#,
                true,
            ),
            (
                r#"{"max_position_embeddings": 64,
                    "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_fast": -1.0}}"#,
                true,
            ),
            (
                r#"{"max_position_embeddings": 64,
                    "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_fast": 0.0}}"#,
                false,
            ),
        ] {
            let read = Rotation::read(&settings(said), 64, Names::default());
            assert_eq!(read.is_err(), refused, "{said}");
        }
    }
}
