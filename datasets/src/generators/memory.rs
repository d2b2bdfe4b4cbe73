//! Problems of memory, generated: examples of one of the [`problems`](crate::problems), of any length and difficulty.
//!
//! The columns `inputs` and `targets` have one symbol, or numbers separated by a comma, per step; `-` is a step without a target. Training
//! and validation examples have random lengths, test examples those of `data.options.test_lengths`. The column `length` groups them by
//! length: by quarters of the maximum in the training and validation split, by each length in the test split.

use super::{Generate, Generator};
use crate::memory::NO_TARGET;
use crate::problems::{Example, Inputs, OPTIONS, Parameters, Targets};
use crate::records::{Column, Records};

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "memory",
    summary: "problems of memory and of formal languages, of any length: parity, copying, Dyck words and others. Built in",
    example: "1 1 0 1 ?",
    roles: &[("inputs", "inputs"), ("targets", "targets")],
    groups: &["length"],
    labels: &[],
    baselines: &[],
    options: OPTIONS,
    generate: Generate::Problem(generate),
};

/// The training, validation and test split.
fn generate(parameters: &Parameters) -> [Records; 3] {
    let longest = parameters.length;
    let training = |index: usize| {
        (parameters.training_example(0, 0, index), length_range(parameters.training_length(index), longest))
    };
    let validation = |index: usize| {
        (parameters.validation_example(index), length_range(parameters.validation_length(index), longest))
    };
    let test = parameters.test_lengths.iter().flat_map(|&length| {
        (0..parameters.test_examples).map(move |index| (parameters.test_example(length, index), length.to_string()))
    });
    [
        records(parameters, (0..parameters.examples).map(training)),
        records(parameters, (0..parameters.test_examples).map(validation)),
        records(parameters, test),
    ]
}

/// The quarter of the lengths up to `longest` that a length is in, such as `11-20`.
fn length_range(length: usize, longest: usize) -> String {
    let width = longest.div_ceil(4).max(1);
    let first = (length - 1) / width * width + 1;
    let last = (first + width - 1).min(longest);
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// Records of examples with their groups.
fn records(parameters: &Parameters, examples: impl Iterator<Item = (Example, String)>) -> Records {
    let Parameters { problem, difficulty, .. } = parameters;
    let (inputs, outputs) = (problem.inputs(*difficulty), problem.outputs(*difficulty));
    let [mut all_inputs, mut all_targets] = [Vec::new(), Vec::new()];
    let mut lengths: Vec<String> = Vec::new();
    for (example, length) in examples {
        all_inputs.push(input_texts(&example.inputs, &inputs));
        all_targets.push(target_texts(&example.targets, &outputs));
        lengths.push(length);
    }
    Records::new([
        ("inputs", Column::Lists(all_inputs)),
        ("targets", Column::Lists(all_targets)),
        ("length", Column::text(lengths)),
    ])
}

fn input_texts(inputs: &Inputs, names: &[String]) -> Vec<String> {
    match inputs {
        Inputs::Symbols(symbols) => symbols.iter().map(|&symbol| names[symbol as usize].clone()).collect(),
        Inputs::Numbers(steps) => steps.iter().map(|[value, marker]| format!("{value},{marker}")).collect(),
    }
}

fn target_texts(targets: &Targets, names: &[String]) -> Vec<String> {
    let text = |target: Option<String>| target.unwrap_or_else(|| NO_TARGET.to_owned());
    match targets {
        Targets::Symbols(all) => {
            all.iter().map(|target| text(target.map(|symbol| names[symbol as usize].clone()))).collect()
        }
        Targets::Numbers(all) => all.iter().map(|target| text(target.map(|number| number.to_string()))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::problems::{self, Problem};
    use crate::records::Split;
    use toml::Table;

    fn load(options: &str) -> Memory {
        let options: Table = options.parse().unwrap();
        Memory::from_records(&GENERATOR.splits(&options).unwrap()).unwrap()
    }

    #[test]
    fn the_records_of_every_problem_are_read_as_they_were_drawn() {
        for &Problem { name, .. } in problems::ALL {
            let options =
                format!("problem = {name:?}\nlength = 8\ntest_lengths = [9, 16]\nexamples = 20\ntest_examples = 5");
            let data = load(&options);
            let parameters = data.problem.clone().unwrap();
            assert_eq!(Split::ALL.map(|split| data.split(split).len()), [20, 5, 10], "{name}");
            for (index, sequence) in data.train.iter().enumerate() {
                assert_eq!(sequence.example, parameters.training_example(0, 0, index), "{name}");
            }
            for (index, sequence) in data.test.iter().enumerate() {
                let length = [9, 16][index / 5];
                assert_eq!(sequence.example, parameters.test_example(length, index % 5), "{name}");
                assert_eq!(sequence.groups[0].1, length.to_string());
            }
        }
    }

    #[test]
    fn lengths_are_grouped_by_quarters() {
        let ranges = [1, 10, 11, 40].map(|length| length_range(length, 40));
        assert_eq!(ranges, ["1-10", "1-10", "11-20", "31-40"]);
        assert_eq!([1, 3].map(|length| length_range(length, 3)), ["1", "3"]);
        assert_eq!([5, 6].map(|length| length_range(length, 6)), ["5-6", "5-6"]);
    }
}
