//! Names of parameters in checkpoints. They never change: an old checkpoint has the names that it was saved with.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::layers::{AttentionScore, CharacterEncoderShape, PerceptronShape, Pooling, Skip, Stack, StackShape};
use seqzoo_models::networks::{
    BackboneShape, Classifier, ClassifierShape, EncoderDecoder, EncoderDecoderShape, Ensemble, ForecastHead,
    Forecaster, ForecasterShape, LanguageModel, LanguageModelShape, Recommender, RecommenderShape, RelationClassifier,
    RelationShape, SeriesClassifier, SeriesClassifierShape, SourceShape, Tagger, TaggerShape, Trajectory,
    TrajectoryShape,
};
use seqzoo_models::parameter_path::{ParameterPath, declared_name};

use crate::support::key;

/// A line for each parameter in the order of the module, and the fields on the way that declare no name.
#[derive(Default)]
struct Listing {
    path: ParameterPath,
    undeclared: Vec<Option<String>>,
    lines: String,
    missing: Vec<String>,
}

impl ModuleVisitor for Listing {
    fn enter_module(&mut self, field: &str, container: &str) {
        self.path.enter(field, container);
        let is_declared = container == "Vec" || declared_name(container, field).is_some();
        self.undeclared.push((!is_declared).then(|| format!("{container}, {field}")));
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
        self.undeclared.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.lines += &format!("  {} {:?}\n", self.path.name(), param.val().dims());
        self.missing.extend(self.undeclared.iter().flatten().cloned());
    }
}

fn listing<M: Module>(title: &str, module: &M) -> String {
    let mut listing = Listing::default();
    module.visit(&mut listing);
    assert!(listing.missing.is_empty(), "{title}: fields without a declared name: {:?}", listing.missing);
    format!("{title}\n{}", listing.lines)
}

fn stack(architecture: Architecture) -> StackShape {
    StackShape::plain(architecture, 3, vec![2])
}

fn stacks(device: &Device) -> Vec<String> {
    let of = |title: &str, shape| listing(title, &Stack::new(shape, key(0), device));
    let two_layers = StackShape { hidden_sizes: vec![2, 4], projection: true, ..stack(Architecture::BiLstm) };
    vec![
        of("stack", two_layers.clone()),
        of("stack, residual", StackShape { skip: Skip::Residual, ..two_layers.clone() }),
        of("stack, highway", StackShape { skip: Skip::Highway, ..two_layers.clone() }),
        of("stack, dense", StackShape { skip: Skip::Dense, ..two_layers }),
    ]
}

fn classifiers(device: &Device) -> Vec<String> {
    let shape = |pooling| ClassifierShape {
        vocabulary: 7,
        stack: stack(Architecture::Gru),
        pooling,
        labels: 5,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let stack_of_gru = stack(Architecture::Gru);
    let relation =
        RelationShape { vocabulary: 7, stack: stack_of_gru, labels: 5, dropout: 0.0, embedding_dropout: 0.0 };
    let series =
        SeriesClassifierShape { stack: stack(Architecture::Gru), pooling: Pooling::Last, labels: 5, dropout: 0.0 };
    let member = |seed| Classifier::new(shape(Pooling::Last), seed, device);
    vec![
        listing("ensemble of classifiers", &Ensemble::new(3, 1, member)),
        listing("classifier", &Classifier::new(shape(Pooling::Last), 1, device)),
        listing("classifier, attention", &Classifier::new(shape(Pooling::Attention), 1, device)),
        listing("relation classifier", &RelationClassifier::new(relation, 1, device)),
        listing("series classifier", &SeriesClassifier::new(series, 1, device)),
    ]
}

fn taggers(device: &Device) -> Vec<String> {
    let shape = TaggerShape {
        vocabulary: 7,
        embedding_size: 3,
        character_encoder: None,
        stack: stack(Architecture::Gru),
        labels: 5,
        crf: false,
        sentence: None,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let character_encoder = Some(CharacterEncoderShape { characters: 6, stack: stack(Architecture::BiGru) });
    let with_characters = TaggerShape {
        character_encoder,
        stack: StackShape { input_size: 7, ..stack(Architecture::Gru) },
        crf: true,
        ..shape.clone()
    };
    let with_label = TaggerShape { sentence: Some((4, Pooling::Attention)), ..shape.clone() };
    vec![
        listing("tagger", &Tagger::new(shape, 1, device)),
        listing("tagger, characters and CRF", &Tagger::new(with_characters, 1, device)),
        listing("tagger, label of the sentence", &Tagger::new(with_label, 1, device)),
    ]
}

fn language_models(device: &Device) -> Vec<String> {
    let shape = |tied| LanguageModelShape {
        vocabulary: 7,
        stack: StackShape::plain(Architecture::Gru, 3, vec![3]),
        tied,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    vec![
        listing("language model", &LanguageModel::new(shape(false), 1, device)),
        listing("language model, tied", &LanguageModel::new(shape(true), 1, device)),
    ]
}

fn recommenders(device: &Device) -> Vec<String> {
    let of = |title: &str, hidden: usize, tied| {
        let stack = StackShape::plain(Architecture::Gru, 3, vec![hidden]);
        let shape = RecommenderShape { items: 7, stack, tied, dropout: 0.0, embedding_dropout: 0.0 };
        listing(title, &Recommender::new(shape, 1, device))
    };
    vec![of("recommender", 3, true), of("recommender, projection and output embedding", 2, false)]
}

fn encoder_decoders(device: &Device) -> Vec<String> {
    let of = |title: &str, source, attention, copy| {
        let shape = EncoderDecoderShape {
            source,
            target_vocabulary: 6,
            encoder: stack(Architecture::Gru),
            decoder: stack(Architecture::Gru),
            attention,
            copy,
            dropout: 0.0,
            embedding_dropout: 0.0,
        };
        listing(&format!("encoder-decoder, {title}"), &EncoderDecoder::new(shape, 1, device))
    };
    let (tokens, features) = (SourceShape::Tokens(7), SourceShape::Features(7));
    vec![
        of("Dot", tokens, AttentionScore::Dot, false),
        of("General", tokens, AttentionScore::General, false),
        of("Additive", tokens, AttentionScore::Additive, false),
        of("features", features, AttentionScore::Dot, false),
        of("grid", SourceShape::Grid(7), AttentionScore::Dot, false),
        of("copying", tokens, AttentionScore::General, true),
    ]
}

fn forecasters(device: &Device) -> Vec<String> {
    let of = |title: &str, backbone| {
        let shape = ForecasterShape { backbone, horizon: 4, head: ForecastHead::Point, dropout: 0.0 };
        listing(title, &Forecaster::new(shape, 1, device))
    };
    let perceptron = PerceptronShape { window: 5, features: 3, hidden_sizes: vec![2] };
    vec![
        of("forecaster", BackboneShape::Recurrent(stack(Architecture::Gru))),
        of("forecaster, perceptron", BackboneShape::Perceptron(perceptron)),
    ]
}

fn trajectories(device: &Device) -> Vec<String> {
    let stack = StackShape::plain(Architecture::Gru, 5, vec![2]);
    vec![listing("trajectory", &Trajectory::new(TrajectoryShape { stack, mixtures: 2, dropout: 0.0 }, 1, device))]
}

#[test]
fn every_parameter_has_the_name_and_shape_that_checkpoints_have() {
    let (_, device) = devices().remove(0);
    let groups =
        [stacks, classifiers, taggers, language_models, recommenders, encoder_decoders, forecasters, trajectories];
    let found: String = groups.iter().flat_map(|group| group(&device)).collect();
    let expected = include_str!("../golden/parameters.txt");
    let new: Vec<&str> = found.lines().filter(|line| !expected.contains(*line)).collect();
    assert!(found == expected, "models/tests/golden/parameters.txt differs; lines not in it: {new:#?}\n\n{found}");
}

#[test]
fn every_recurrent_layer_has_the_name_and_parameters_that_its_cell_declares() {
    let (_, device) = devices().remove(0);
    for architecture in Architecture::ALL {
        let listing = listing(architecture.name(), &architecture.build(3, 2, key(0), &device));
        let name = architecture.info().layer_names[architecture.directions() - 1];
        assert!(
            listing.lines().skip(1).all(|line| line.starts_with(&format!("  {name}.forward."))
                || line.starts_with(&format!("  {name}.backward."))),
            "{listing}"
        );
    }
}
