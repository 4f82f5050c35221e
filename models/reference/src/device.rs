//! The scoring device: the user's choice, and a check that it works.

use std::{fmt, str::FromStr};

use ort::{
    environment::Environment,
    ep::{self, ExecutionProvider as _},
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::{Session, builder::SessionBuilder},
    value::Tensor,
};

use crate::ReferenceError;

/// The device that the user asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Device {
    /// CUDA if it works, else the CPU. The output reports which one is used.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// These CUDA devices, or an error. At least one, without duplicates.
    Cuda(Vec<u32>),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected auto, cpu, cuda, cuda:N or cuda:N,M,..., got {text}");
        let numbers = |list: &str| -> Option<Vec<u32>> {
            let mut numbers = Vec::new();
            for number in list.split(',') {
                let number = number.parse().ok().filter(|n| !numbers.contains(n))?;
                numbers.push(number);
            }
            Some(numbers)
        };
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(vec![0])),
            Some(("cuda", list)) => numbers(list).map(Self::Cuda).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                write!(f, "cuda:{}", numbers.join(","))
            }
        }
    }
}

/// A device in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolvedDevice {
    /// The CPU.
    Cpu,
    /// A CUDA device that has passed [`probe_cuda`].
    Cuda(u32),
}

impl fmt::Display for ResolvedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Cpu => Device::Cpu.fmt(f),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Device {
    /// The devices to use, at least one. CUDA is chosen only after a small matmul has been computed on it: a registered
    /// provider proves nothing, because ONNX Runtime falls back to the CPU silently.
    ///
    /// # Errors
    /// If a CUDA device that the user named cannot be used. [`Auto`](Self::Auto) and [`Cpu`](Self::Cpu) never fail.
    pub fn resolve(
        &self,
        environment: &Environment,
    ) -> Result<Vec<ResolvedDevice>, ReferenceError> {
        match self {
            Self::Cpu => Ok(vec![ResolvedDevice::Cpu]),
            Self::Cuda(numbers) => numbers
                .iter()
                .map(|&index| probe_cuda(environment, index).map(|()| ResolvedDevice::Cuda(index)))
                .collect(),
            Self::Auto => Ok(vec![
                probe_cuda(environment, 0)
                    .map_or(ResolvedDevice::Cpu, |()| ResolvedDevice::Cuda(0)),
            ]),
        }
    }
}

/// Computes a 2 x 2 matmul on a CUDA device with CPU fallback disabled.
///
/// # Errors
/// If ONNX Runtime has no CUDA provider, cannot use the device, or the result is wrong.
pub fn probe_cuda(environment: &Environment, index: u32) -> Result<(), ReferenceError> {
    let no_cuda = |reason: &str, source| ReferenceError::NoCuda {
        index,
        reason: reason.to_owned(),
        source,
    };
    if !ep::CUDA::is_available().unwrap_or(false) {
        return Err(no_cuda(
            "this ONNX Runtime was built without the CUDA provider",
            None,
        ));
    }
    let compute = || -> Result<Vec<f32>, ReferenceError> {
        let doing = "probing CUDA";
        let model = rho_graph::build::probe_model().to_bytes()?;
        let builder = ResolvedDevice::Cuda(index).session_builder(environment, 1)?;
        let builder = builder.with_disable_cpu_fallback();
        let mut session = builder
            .map_err(ReferenceError::runtime(doing))?
            .commit_from_memory(&model.bytes)
            .map_err(ReferenceError::runtime(doing))?;
        let x = Tensor::from_array(([2usize, 2], vec![1.0f32, 2.0, 3.0, 4.0]))
            .map_err(ReferenceError::runtime(doing))?;
        let outputs = session
            .run(ort::inputs!["x" => x])
            .map_err(ReferenceError::runtime(doing))?;
        let (_, y) = outputs["y"]
            .try_extract_tensor::<f32>()
            .map_err(ReferenceError::runtime(doing))?;
        Ok(y.to_vec())
    };
    match compute() {
        Ok(y) if y == [3.0, 3.0, 7.0, 7.0] => Ok(()),
        Ok(y) => Err(no_cuda(
            &format!("the device computes a wrong result: expected [3, 3, 7, 7], got {y:?}"),
            None,
        )),
        Err(ReferenceError::Runtime { source, .. }) => Err(no_cuda(
            "ONNX Runtime's CUDA provider cannot be used on this machine",
            Some(source),
        )),
        Err(other) => Err(other),
    }
}

impl ResolvedDevice {
    /// A session builder with the settings that all sessions share.
    pub(crate) fn session_builder(
        self,
        environment: &Environment,
        threads: usize,
    ) -> Result<SessionBuilder, ReferenceError> {
        let doing = "preparing a session";
        let builder = Session::builder(environment).map_err(ReferenceError::runtime(doing))?;
        let builder = builder
            .with_intra_threads(threads)
            .map_err(ReferenceError::runtime(doing))?;
        // Every batch has a different shape: a memory plan per shape would be kept for ever and used once.
        let builder = builder
            .with_memory_pattern(false)
            .map_err(ReferenceError::runtime(doing))?;
        // Between runs the head uses the cores: spinning threads would take them away.
        let builder = builder
            .with_config_entry("session.force_spinning_stop", "1")
            .map_err(ReferenceError::runtime(doing))?;
        match self {
            Self::Cpu => Ok(builder),
            Self::Cuda(index) => {
                let provider = ep::CUDA::default()
                    .with_device_id(index as i32)
                    .build()
                    .error_on_failure();
                builder
                    .with_execution_providers([provider])
                    .map_err(ReferenceError::runtime("starting CUDA"))
            }
        }
    }

    /// The device's memory, where outputs stay.
    pub(crate) fn memory(self) -> Result<MemoryInfo<'static>, ReferenceError> {
        let (device, index) = match self {
            Self::Cpu => (AllocationDevice::CPU, 0),
            Self::Cuda(index) => (AllocationDevice::CUDA, index as i32),
        };
        MemoryInfo::new(device, index, AllocatorType::Device, MemoryType::Default)
            .map_err(ReferenceError::runtime("naming the device's memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for (text, shown) in [
            ("auto", "auto"),
            ("cpu", "cpu"),
            ("cuda", "cuda:0"),
            ("cuda:3", "cuda:3"),
            ("cuda:1,0", "cuda:1,0"),
        ] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), shown);
        }
        for text in ["", "gpu", "cpu:1", "cuda:", "cuda:x", "cuda:0,", "cuda:0,0"] {
            assert!(
                text.parse::<Device>()
                    .unwrap_err()
                    .contains("expected auto")
            );
        }
    }
}
