//! How layers are computed: by kernels or by the readable loop, with which instructions, and what is kept for the backward pass.

use std::cell::Cell;
use std::sync::OnceLock;

/// What computes recurrent layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// A kernel where there is one for cell and device, else the readable loop.
    #[default]
    Auto,
    /// The readable loop over time steps.
    Reference,
    /// A kernel; panics where there is none.
    Fused,
}

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// 512-bit vectors with fused multiply-add; x86-64.
    Avx512,
    /// 256-bit vectors with fused multiply-add; x86-64.
    Avx2,
    /// What every machine of the compilation target has.
    Portable,
}

/// What kernels keep between forward and backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activations {
    /// All gates: five values per hidden unit and step for an LSTM, in addition to its output.
    #[default]
    Kept,
    /// The state at some steps, from which gates are recomputed; takes a third more time.
    Recomputed,
}

thread_local! {
    static ENGINE: Cell<Engine> = const { Cell::new(Engine::Auto) };
    static ACTIVATIONS: Cell<Activations> = const { Cell::new(Activations::Kept) };
    static INSTRUCTIONS: Cell<Option<InstructionSet>> = const { Cell::new(None) };
}

impl Engine {
    /// The engine of layers that are called on this thread.
    pub fn current() -> Self {
        ENGINE.get()
    }

    /// Calls `act` with this engine for all layers that it calls on this thread.
    pub fn with<R>(self, act: impl FnOnce() -> R) -> R {
        let before = ENGINE.replace(self);
        let result = act();
        ENGINE.set(before);
        result
    }
}

impl Activations {
    /// What kernels that are called on this thread keep.
    pub fn current() -> Self {
        ACTIVATIONS.get()
    }

    /// Calls `act` with this policy for all layers that it calls on this thread.
    pub fn with<R>(self, act: impl FnOnce() -> R) -> R {
        let before = ACTIVATIONS.replace(self);
        let result = act();
        ACTIVATIONS.set(before);
        result
    }
}

impl InstructionSet {
    /// The instruction sets of this machine, the best first.
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

    /// The instruction set of kernels that are called on this thread: the best unless chosen otherwise.
    pub fn current() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        INSTRUCTIONS.get().unwrap_or_else(|| *BEST.get_or_init(|| Self::available()[0]))
    }

    /// Calls `act` with this instruction set for all kernels that it calls on this thread.
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

/// Defines a function that calls the trait method of the same name, compiled for the instruction set that is its first argument.
/// The method's const argument says whether multiply-add is one instruction.
macro_rules! for_each_instruction_set {
    ($visibility:vis $name:ident<$kernel:ident: $contract:ident>($($argument:ident: $kind:ty),* $(,)?)) => {
        #[allow(unsafe_code)]
        $visibility fn $name<$kernel: $contract>(set: InstructionSet, $($argument: $kind),*) {
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
                    // SAFETY: an instruction set is in use only if it was detected on this machine.
                    InstructionSet::Avx512 => return unsafe { avx512::<$kernel>($($argument),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { avx2::<$kernel>($($argument),*) },
                    InstructionSet::Portable => {}
                }
            }
            let _ = set;
            // Every 64-bit ARM has fused multiply-add; elsewhere it may be a library call.
            $kernel::$name::<{ cfg!(target_arch = "aarch64") }>($($argument),*);
        }
    };
}
pub(crate) use for_each_instruction_set;
