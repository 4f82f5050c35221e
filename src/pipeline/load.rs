//! Loads the models of a plan onto its devices, and reports what makes them slow.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rho_reference::{HeadChoice, Reference, ReferenceOptions};

use super::Panel;
use crate::{hinted_error, plan::Prepared, terminal};

/// The models of a plan, all loaded on each device.
pub(crate) struct LoadedModels {
    devices: Vec<Vec<Reference>>,
    took: Duration,
}

impl LoadedModels {
    /// Loads the models, each in its own precision, onto at most `most_devices` devices.
    ///
    /// # Errors
    ///
    /// A model that ONNX Runtime does not accept, or a device without enough memory for it.
    pub(crate) fn of(prepared: &Prepared, most_devices: usize) -> anyhow::Result<Self> {
        let Prepared {
            plan,
            models,
            environment,
            devices,
            precisions,
            ..
        } = prepared;
        for (planned, model) in plan.models().zip(models) {
            if let Some(reason) = model.not_cut() {
                terminal::line(&format!(
                    "note: {}: the graph cannot be cut before its head: {reason}; scoring computes logits in small \
                     batches, which is slower and takes more memory",
                    planned.path.display()
                ));
            }
        }
        let start = Instant::now();
        let mut loaded: Vec<Vec<Reference>> = Vec::new();
        for &device in devices.iter().take(most_devices) {
            let panel = (0..).zip(plan.models()).zip(models).zip(precisions);
            let panel = panel.map(|(((i, planned), model), &precision)| {
                let options = ReferenceOptions {
                    device,
                    threads: plan.threads,
                    head: HeadChoice::Fastest,
                    precision,
                    // The first is the reference.
                    top: plan.top.filter(|_| i == 0).unwrap_or(0),
                };
                let loaded = model.clone().load(environment, options);
                loaded.with_context(|| planned.path.display().to_string())
            });
            loaded.push(panel.collect::<anyhow::Result<_>>()?);
        }
        for (planned, model) in plan.models().zip(loaded.first().into_iter().flatten()) {
            if let Some(reason) = model.attention_as_exported() {
                terminal::line(&format!(
                    "note: {}: attention runs as exported in the graph, which is slower: {}",
                    planned.path.display(),
                    hinted_error::chain_of(reason)
                ));
            }
        }
        Ok(Self {
            devices: loaded,
            took: start.elapsed(),
        })
    }

    /// A panel for each device.
    pub(crate) fn panels(&mut self) -> Vec<Panel<'_>> {
        let mut panels: Vec<Panel<'_>> = Vec::new();
        for models in &mut self.devices {
            panels.push(models.iter_mut().map(|model| model as _).collect());
        }
        panels
    }

    /// Seconds that loading took.
    pub(crate) fn seconds(&self) -> f64 {
        self.took.as_secs_f64()
    }
}
