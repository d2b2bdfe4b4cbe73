//! Instruction sets, with proof of their detection.
//!
//! Functions compiled for an instruction set must only run on machines that have it. [`Avx512`] and [`Avx2`] are zero-sized tokens that
//! only detection constructs, so an [`InstructionSet`] proves that the functions compiled for it may be called.

use std::fmt;
use std::sync::OnceLock;

/// Proof that this machine has AVX-512 (F, VL, DQ, BW), AVX2 and FMA.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

/// Proof that this machine has AVX2 and FMA.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Avx512 {
    /// The token, if this machine has the instructions.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && Avx2::detect().is_some()
        {
            return Some(Self(()));
        }
        None
    }
}

impl Avx2 {
    /// The token, if this machine has the instructions.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(Self(()));
        }
        None
    }
}

/// An instruction set that this machine has. The default is the best one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// 512-bit vectors with fused multiply-add; x86-64.
    Avx512(Avx512),
    /// 256-bit vectors with fused multiply-add; x86-64.
    Avx2(Avx2),
    /// What every machine of the compilation target has.
    Portable,
}

impl InstructionSet {
    /// The instruction sets of this machine, the best first.
    pub fn available() -> Vec<Self> {
        let (avx512, avx2) = (Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2));
        avx512.into_iter().chain(avx2).chain([Self::Portable]).collect()
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512(_) => "Avx512",
            Self::Avx2(_) => "Avx2",
            Self::Portable => "Portable",
        }
    }
}

impl Default for InstructionSet {
    fn default() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }
}

impl fmt::Debug for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Defines a function that calls the trait method of the same name, compiled for the instruction set that is its first argument.
/// The method's const argument says whether multiply-add is one instruction.
macro_rules! for_each_instruction_set {
    ($visibility:vis $name:ident<$kernel:ident: $contract:ident>($($argument:ident: $kind:ty),* $(,)?)) => {
        #[allow(unsafe_code)]
        $visibility fn $name<$kernel: $contract>(instructions: InstructionSet, $($argument: $kind),*) {
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
                match instructions {
                    // SAFETY: the token proves that this machine has the instructions.
                    InstructionSet::Avx512(_) => return unsafe { avx512::<$kernel>($($argument),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2(_) => return unsafe { avx2::<$kernel>($($argument),*) },
                    InstructionSet::Portable => {}
                }
            }
            let _ = instructions;
            // Every 64-bit ARM has fused multiply-add; elsewhere it may be a library call.
            $kernel::$name::<{ cfg!(target_arch = "aarch64") }>($($argument),*);
        }
    };
}
pub(crate) use for_each_instruction_set;
