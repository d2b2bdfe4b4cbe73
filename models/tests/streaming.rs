//! Streaming allocates no memory. A separate program, since the allocator counts every allocation of the process.

use burn::tensor::Device;
use peak_alloc::PeakAlloc;
use seqzoo_models::Architecture;
use seqzoo_models::layers::{Stack, StackShape};
use seqzoo_random::{Key, Purpose};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() {
    // Threads of the pool allocate when they start.
    rayon::broadcast(|_| ());
    for architecture in [Architecture::Rnn, Architecture::Lstm, Architecture::Gru, Architecture::GruResetAfter] {
        let shape = StackShape::plain(architecture, 7, vec![40, 300]);
        let stack = Stack::new(shape, Key::new(1, Purpose::Weights), &Device::flex());
        let mut stream = stack.stream(None).expect("the architecture has a kernel");
        let input = [0.5; 7];
        // The first steps may allocate buffers for later ones.
        let mut sum: f32 = (0..2).map(|_| stream.step(&input)[0]).sum();
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        sum += (0..100).map(|_| stream.step(&input)[0]).sum::<f32>();
        let peak = MEMORY.peak_usage();
        assert!(peak == before && sum.is_finite(), "{architecture:?}: {} bytes were allocated", peak - before);
    }
    println!("streaming allocates no memory");
}
