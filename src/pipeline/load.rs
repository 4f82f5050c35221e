//! Loads the models of a plan onto its devices, and reports what makes them slow. A model on a server is loaded there.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rho_reference::{HeadChoice, ReferenceModel, ReferenceOptions, Scorer};

use super::Panel;
use crate::{
    hinted_error,
    plan::{OpenedModel, Prepared},
    reference_server::ServerScorer,
    stop::Stop,
    terminal,
};

/// The models of a plan, all loaded on each device.
pub(crate) struct LoadedModels {
    devices: Vec<Vec<Box<dyn Scorer + Send>>>,
    took: Duration,
}

impl LoadedModels {
    /// Loads the models, each in its own precision, onto at most `most_devices` devices.
    ///
    /// # Errors
    ///
    /// A model that ONNX Runtime does not accept, or a device without enough memory for it.
    pub(crate) fn of(prepared: &Prepared, most_devices: usize) -> anyhow::Result<Self> {
        Self::until(prepared, most_devices, &Stop::never())
    }

    /// Like [`of`](Self::of); a server is not waited for once the run is stopped.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn until(
        prepared: &Prepared,
        most_devices: usize,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let Prepared {
            plan,
            models,
            devices,
            ..
        } = prepared;
        for (planned, model) in plan.models().zip(models) {
            if let OpenedModel::Local(model) = model
                && let Some(reason) = model.not_cut()
            {
                terminal::line(&format!(
                    "note: {}: the graph cannot be cut before its head: {reason}; scoring computes logits in small \
                     batches, which is slower and takes more memory",
                    planned.path.display()
                ));
            }
        }
        let start = Instant::now();
        let mut loaded = Vec::new();
        for number in 0..devices.len().min(most_devices) {
            loaded.push(panel(prepared, number, stop)?);
        }
        // Without a device, each panel is a request at a time.
        if devices.is_empty() {
            let servers = plan.models().filter_map(|model| model.server.as_ref());
            let requests = servers.map(|server| server.options.concurrency).max();
            for _ in 0..requests.unwrap_or(1) {
                let scorers = models.iter().filter_map(|model| match model {
                    OpenedModel::Server(server) => Some(ServerScorer::new(server, false, stop)),
                    OpenedModel::Local(_) => None,
                });
                loaded.push(scorers.map(boxed).collect());
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
            panels.push(models.iter_mut().map(|model| &mut **model as _).collect());
        }
        panels
    }

    /// Seconds that loading took.
    pub(crate) fn seconds(&self) -> f64 {
        self.took.as_secs_f64()
    }
}

fn boxed(scorer: impl Scorer + Send + 'static) -> Box<dyn Scorer + Send> {
    Box::new(scorer)
}

/// All models on the device with this number.
fn panel(
    prepared: &Prepared,
    number: usize,
    stop: &Stop,
) -> anyhow::Result<Vec<Box<dyn Scorer + Send>>> {
    let mut panel = Vec::new();
    for (i, model) in prepared.models.iter().enumerate() {
        panel.push(match model {
            OpenedModel::Local(model) => local(prepared, number, i, model)?,
            OpenedModel::Server(server) => boxed(ServerScorer::new(server, true, stop)),
        });
    }
    Ok(panel)
}

/// A model in files on the device with this number.
fn local(
    prepared: &Prepared,
    number: usize,
    i: usize,
    model: &ReferenceModel,
) -> anyhow::Result<Box<dyn Scorer + Send>> {
    let Prepared {
        plan,
        environment,
        devices,
        precisions,
        ..
    } = prepared;
    let path = plan
        .models()
        .nth(i)
        .map(|planned| planned.path.display().to_string());
    let path = path.unwrap_or_default();
    let options = ReferenceOptions {
        device: devices[number],
        threads: plan.threads,
        head: HeadChoice::Fastest,
        precision: precisions[i],
        // The first is the reference.
        top: plan.top.filter(|_| i == 0).unwrap_or(0),
    };
    let environment = environment.as_ref();
    let environment = environment.context("models in files need ONNX Runtime")?;
    let loaded = model.clone().load(environment, options);
    let loaded = loaded.with_context(|| path.clone())?;
    if let Some(reason) = loaded.attention_as_exported().filter(|_| number == 0) {
        terminal::line(&format!(
            "note: {path}: attention runs as exported in the graph, which is slower: {}",
            hinted_error::chain_of(reason)
        ));
    }
    Ok(boxed(loaded))
}
