//! The list of backends: which exist, which are linked in, and how to open their devices.

use burn::tensor::Device;

/// A Burn backend, each behind the cargo feature of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// CUDA, for NVIDIA GPUs.
    Cuda,
    /// ROCm, for AMD GPUs.
    Rocm,
    /// Metal, for Apple GPUs.
    Metal,
    /// Any GPU through Vulkan with SPIR-V shaders.
    Vulkan,
    /// Any GPU through WGSL shaders, a software device included.
    Wgpu,
    /// Burn's own pure-Rust CPU backend.
    Flex,
    /// The older pure-Rust CPU backend on the `ndarray` crate.
    Ndarray,
}

/// Why a backend cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The name is not that of a backend.
    #[error("{0}: no such backend; there are {list}", list = names(&Backend::ALL))]
    Unknown(String),
    /// The backend exists, but this program was built without it.
    #[error(
        "backend {0} is not linked into this program (it has {list}); build it in with `cargo build --release --features {0}`",
        list = names(&Backend::linked())
    )]
    NotLinked(&'static str),
    /// The program was built without any backend.
    #[error("no backend is linked into this program; build one in with `cargo build --release --features flex`")]
    NoneLinked,
    /// The backend is linked in, but finds no device on this machine.
    #[error("backend {0}: no device found; is a driver installed? Backend flex runs on the CPU")]
    NoDevice(&'static str),
}

impl Backend {
    /// Every backend, the best one first.
    pub const ALL: [Backend; 7] =
        [Backend::Cuda, Backend::Rocm, Backend::Metal, Backend::Vulkan, Backend::Wgpu, Backend::Flex, Backend::Ndarray];

    /// The name on the command line, equal to the cargo feature's.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cuda => "cuda",
            Backend::Rocm => "rocm",
            Backend::Metal => "metal",
            Backend::Vulkan => "vulkan",
            Backend::Wgpu => "wgpu",
            Backend::Flex => "flex",
            Backend::Ndarray => "ndarray",
        }
    }

    /// One line for listings.
    pub fn summary(self) -> &'static str {
        match self {
            Backend::Cuda => "NVIDIA GPUs through CUDA",
            Backend::Rocm => "AMD GPUs through ROCm",
            Backend::Metal => "Apple GPUs through Metal",
            Backend::Vulkan => "any GPU through Vulkan (SPIR-V)",
            Backend::Wgpu => "any GPU through WGSL, software devices included",
            Backend::Flex => "CPU, Burn's own pure-Rust backend",
            Backend::Ndarray => "CPU, on the ndarray crate",
        }
    }

    /// Whether this program was built with the backend.
    pub fn is_linked(self) -> bool {
        match self {
            Backend::Cuda => cfg!(feature = "cuda"),
            Backend::Rocm => cfg!(feature = "rocm"),
            Backend::Metal => cfg!(feature = "metal"),
            Backend::Vulkan => cfg!(feature = "vulkan"),
            Backend::Wgpu => cfg!(feature = "wgpu"),
            Backend::Flex => cfg!(feature = "flex"),
            Backend::Ndarray => cfg!(feature = "ndarray"),
        }
    }

    /// The backends linked in, the best one first.
    pub fn linked() -> Vec<Backend> {
        Self::ALL.into_iter().filter(|backend| backend.is_linked()).collect()
    }

    /// Finds a linked backend by name.
    ///
    /// # Errors
    /// [`BackendError::Unknown`] or [`BackendError::NotLinked`].
    pub fn named(name: &str) -> Result<Backend, BackendError> {
        let backend = Self::ALL.into_iter().find(|backend| backend.name() == name);
        let backend = backend.ok_or_else(|| BackendError::Unknown(name.to_owned()))?;
        if backend.is_linked() { Ok(backend) } else { Err(BackendError::NotLinked(backend.name())) }
    }

    /// The best backend that finds real hardware: a GPU before the CPU, but never a software GPU.
    ///
    /// # Errors
    /// [`BackendError::NoneLinked`].
    pub fn best() -> Result<Backend, BackendError> {
        let found = Self::linked().into_iter().find(|backend| backend.has_hardware());
        found.ok_or(BackendError::NoneLinked)
    }

    /// The backend's first device: real hardware before a software device.
    ///
    /// # Errors
    /// [`BackendError::NotLinked`] or [`BackendError::NoDevice`].
    pub fn device(self) -> Result<Device, BackendError> {
        if !self.is_linked() {
            return Err(BackendError::NotLinked(self.name()));
        }
        let mut devices = open::devices(self);
        let hardware = devices.iter().position(|device| self.is_cpu() || open::is_card(device));
        match devices.is_empty() {
            true => Err(BackendError::NoDevice(self.name())),
            false => Ok(devices.swap_remove(hardware.unwrap_or(0))),
        }
    }

    fn is_cpu(self) -> bool {
        matches!(self, Backend::Flex | Backend::Ndarray)
    }

    fn has_hardware(self) -> bool {
        self.is_cpu() || open::devices(self).iter().any(open::is_card)
    }
}

/// The only chain of `cfg` attributes in the product.
mod open {
    use super::{Backend, Device};
    #[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu", feature = "vulkan", feature = "metal"))]
    use burn::tensor::DeviceType;

    /// The devices of a backend on this machine; none if it is not linked in.
    pub fn devices(backend: Backend) -> Vec<Device> {
        match backend {
            #[cfg(feature = "cuda")]
            Backend::Cuda => Device::enumerate(DeviceType::Cuda).into_iter().collect(),
            #[cfg(feature = "rocm")]
            Backend::Rocm => Device::enumerate(DeviceType::Rocm).into_iter().collect(),
            #[cfg(feature = "metal")]
            Backend::Metal => Device::enumerate(DeviceType::Metal).into_iter().collect(),
            #[cfg(feature = "vulkan")]
            Backend::Vulkan => Device::enumerate(DeviceType::Vulkan).into_iter().collect(),
            #[cfg(feature = "wgpu")]
            Backend::Wgpu => Device::enumerate(DeviceType::Wgpu).into_iter().collect(),
            #[cfg(feature = "flex")]
            Backend::Flex => vec![Device::flex()],
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)] // deprecated by Burn, kept as a second CPU backend to compare with
            Backend::Ndarray => vec![Device::ndarray()],
            #[allow(unreachable_patterns)] // reachable unless every feature is on
            _ => Vec::new(),
        }
    }

    /// Whether a device is hardware rather than a software rasterizer. Opens the device.
    #[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu", feature = "vulkan", feature = "metal"))]
    pub fn is_card(device: &Device) -> bool {
        device.identity().is_some_and(|identity| identity.physical.is_some())
    }

    /// No GPU backend is linked in, so no device is a GPU.
    #[cfg(not(any(feature = "cuda", feature = "rocm", feature = "wgpu", feature = "vulkan", feature = "metal")))]
    pub fn is_card(_: &Device) -> bool {
        false
    }
}

/// The devices that backend tests run on: every linked CPU backend and, if `SEQZOO_TEST_GPU` is set, the first device of every
/// linked GPU backend, including software devices.
///
/// # Panics
/// If `SEQZOO_TEST_GPU` is set and a linked GPU backend finds no device.
pub fn devices() -> Vec<(Backend, Device)> {
    let gpus_wanted = std::env::var_os("SEQZOO_TEST_GPU").is_some();
    let wanted = |backend: &Backend| gpus_wanted || backend.is_cpu();
    let open = |backend: Backend| (backend, backend.device().unwrap_or_else(|error| panic!("{error}")));
    Backend::linked().into_iter().filter(wanted).map(open).collect()
}

/// Whether a device belongs to a CPU backend, with or without gradients.
pub(crate) fn is_cpu(device: &Device) -> bool {
    let cpus = [Backend::Flex, Backend::Ndarray];
    cpus.into_iter().any(|backend| open::devices(backend).contains(device))
}

fn names(backends: &[Backend]) -> String {
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    names.join(", ")
}
