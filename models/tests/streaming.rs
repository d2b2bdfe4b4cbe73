//! A step of a stream allocates nothing: a program of its own, since it counts what everything in it allocates.

use burn::tensor::Device;
use peak_alloc::PeakAlloc;
use seqzoo_models::Architecture;
use seqzoo_models::layers::{Stack, StackShape};
use seqzoo_random::{Key, Purpose};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() {
    for architecture in [Architecture::Rnn, Architecture::Lstm, Architecture::Gru, Architecture::GruResetAfter] {
        let shape = StackShape::plain(architecture, 7, vec![40, 300]);
        let stack = Stack::new(shape, Key::new(1, Purpose::Weights), &Device::flex());
        let mut stream = stack.stream(None).expect("there is a kernel");
        let input = [0.5; 7];
        // The first steps may set up what later ones use again.
        let mut sum: f32 = (0..2).map(|_| stream.step(&input)[0]).sum();
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        sum += (0..100).map(|_| stream.step(&input)[0]).sum::<f32>();
        let most = MEMORY.peak_usage();
        assert!(most == before && sum.is_finite(), "{architecture:?}: {} bytes were allocated", most - before);
    }
    println!("steps allocate nothing");
}
