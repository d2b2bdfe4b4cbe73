//! Which way a layer computes, and with which instructions.

use std::cell::Cell;
use std::sync::OnceLock;

/// How recurrent layers compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Fused where there is a kernel for cell and backend, else the readable loop.
    #[default]
    Auto,
    /// The readable loop over time.
    Reference,
    /// Fused; a panic where there is no kernel.
    Fused,
}

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// 16 numbers at a time, fused multiply-add; x86-64.
    Avx512,
    /// 8 numbers at a time, fused multiply-add; x86-64.
    Avx2,
    /// What every machine of the target has.
    Portable,
}

/// What kernels keep between the forward pass and the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activations {
    /// Every gate: five numbers a unit and step for an LSTM, beside its output.
    #[default]
    Kept,
    /// The state at some steps; gates are computed again from there, which takes a third more time.
    Recomputed,
}

thread_local! {
    static ENGINE: Cell<Engine> = const { Cell::new(Engine::Auto) };
    static ACTIVATIONS: Cell<Activations> = const { Cell::new(Activations::Kept) };
    static INSTRUCTIONS: Cell<Option<InstructionSet>> = const { Cell::new(None) };
}

impl Engine {
    /// The engine that layers called from this thread use.
    pub fn current() -> Self {
        ENGINE.get()
    }

    /// Calls `act` with this engine for all layers that it calls from this thread.
    pub fn with<R>(self, act: impl FnOnce() -> R) -> R {
        let before = ENGINE.replace(self);
        let result = act();
        ENGINE.set(before);
        result
    }
}

impl Activations {
    /// What kernels called from this thread keep.
    pub fn current() -> Self {
        ACTIVATIONS.get()
    }

    /// Calls `act`, whose layers keep this of what they read.
    pub fn with<R>(self, act: impl FnOnce() -> R) -> R {
        let before = ACTIVATIONS.replace(self);
        let result = act();
        ACTIVATIONS.set(before);
        result
    }
}

impl InstructionSet {
    /// Every set that this machine has, the best first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            if avx2 && avx512 {
                all.push(Self::Avx512);
            }
            if avx2 {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Portable);
        all
    }

    /// The set that kernels called from this thread use: the best, unless another was asked for.
    pub fn current() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        INSTRUCTIONS.get().unwrap_or_else(|| *BEST.get_or_init(|| Self::available()[0]))
    }

    /// Calls `act` with this set for all kernels that it calls from this thread.
    ///
    /// # Panics
    /// If this machine does not have it.
    pub fn with<R>(self, act: impl FnOnce() -> R) -> R {
        assert!(Self::available().contains(&self), "this machine has no {self:?}");
        let before = INSTRUCTIONS.replace(Some(self));
        let result = act();
        INSTRUCTIONS.set(before);
        result
    }
}

/// Makes a function that calls the method of the same name, compiled for the instruction set that is its first argument; the
/// method's generic argument says whether multiply-add is one instruction.
macro_rules! for_each_instruction_set {
    ($name:ident<$kernel:ident: $contract:ident>($($argument:ident: $kind:ty),* $(,)?)) => {
        #[allow(unsafe_code)]
        fn $name<$kernel: $contract>(set: InstructionSet, $($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512<$kernel: $contract>($($argument: $kind),*) {
                    $kernel::$name::<true>($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$kernel: $contract>($($argument: $kind),*) {
                    $kernel::$name::<true>($($argument),*);
                }
                match set {
                    // SAFETY: a set is current only if it was detected on this machine.
                    InstructionSet::Avx512 => return unsafe { avx512::<$kernel>($($argument),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { avx2::<$kernel>($($argument),*) },
                    InstructionSet::Portable => {}
                }
            }
            let _ = set;
            // Every 64-bit ARM has fused multiply-add; on others it may be a call, so it is left apart.
            $kernel::$name::<{ cfg!(target_arch = "aarch64") }>($($argument),*);
        }
    };
}
pub(crate) use for_each_instruction_set;
