//! Invalid shapes of layers and networks.

use seqzoo_models::Architecture;
use seqzoo_models::layers::{AttentionScore, Pooling, RegularizationRates, Skip, StackShape};
use seqzoo_models::networks::{
    BackboneShape, ClassifierShape, EncoderDecoderShape, ForecastHead, ForecasterShape, LanguageModelShape,
    RelationShape, SourceShape, TaggerShape,
};

use crate::support::{bilstm, tagger};

#[test]
fn invalid_shapes_are_refused_by_field() {
    let stack = |architecture| StackShape::plain(architecture, 4, vec![5, 4]);
    let gru = || stack(Architecture::Gru);
    let tagger = TaggerShape { stack: gru(), labels: 2, crf: true, ..tagger() };
    let model = LanguageModelShape { vocabulary: 9, stack: gru(), tied: true, dropout: 0.0, embedding_dropout: 0.0 };
    let classifier = ClassifierShape {
        vocabulary: 9,
        stack: gru(),
        pooling: Pooling::Last,
        labels: 2,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let forecaster = ForecasterShape {
        backbone: BackboneShape::Recurrent(gru()),
        horizon: 1,
        head: ForecastHead::Quantiles(vec![0.1, 0.9]),
        dropout: 0.0,
    };
    let pair = EncoderDecoderShape {
        source: SourceShape::Tokens(9),
        target_vocabulary: 7,
        encoder: bilstm(4),
        decoder: gru(),
        attention: AttentionScore::General,
        copy: false,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let relation = RelationShape { vocabulary: 9, stack: gru(), labels: 2, dropout: 0.0, embedding_dropout: 0.0 };
    let rates = |zoneout| RegularizationRates { zoneout, ..RegularizationRates::default() };
    let valid = [
        tagger.check(),
        model.check(),
        classifier.check(),
        forecaster.check(),
        pair.check(),
        relation.check(),
        StackShape { rates: rates(0.9), ..gru() }.check(),
        StackShape { skip: Skip::Highway, projection: true, ..gru() }.check(),
    ];
    assert!(valid.iter().all(Result::is_ok), "{valid:?}");
    let refused = [
        ("hidden_sizes", "at least one layer", StackShape { hidden_sizes: vec![], ..gru() }.check()),
        ("hidden_sizes", "at least 1", StackShape { hidden_sizes: vec![3, 0], ..gru() }.check()),
        ("input_size", "at least 1", StackShape { input_size: 0, ..gru() }.check()),
        ("hidden_sizes", "joins 4 features to 5", StackShape { skip: Skip::Highway, ..gru() }.check()),
        ("hidden_sizes", "joins 4 features to 5", StackShape { skip: Skip::Residual, ..gru() }.check()),
        ("zoneout", "1 is not in [0, 1)", StackShape { rates: rates(1.0), ..gru() }.check()),
        ("zoneout", "NaN is not in [0, 1)", StackShape { rates: rates(f64::NAN), ..gru() }.check()),
        ("labels", "at least two labels", TaggerShape { labels: 1, ..tagger.clone() }.check()),
        ("labels", "at least 1", TaggerShape { labels: 0, crf: false, ..tagger.clone() }.check()),
        (
            "stack.input_size",
            "have 5 features, the stack expects 4",
            TaggerShape { embedding_size: 5, ..tagger }.check(),
        ),
        (
            "stack.architecture",
            "would see the tokens that a language model predicts",
            LanguageModelShape { stack: stack(Architecture::BiGru), tied: false, ..model.clone() }.check(),
        ),
        (
            "tied",
            "got 5 and 4",
            LanguageModelShape { stack: StackShape::plain(Architecture::Gru, 4, vec![5]), ..model.clone() }.check(),
        ),
        ("dropout", "-0.1 is not in [0, 1)", LanguageModelShape { dropout: -0.1, ..model }.check()),
        ("labels", "at least 1", ClassifierShape { labels: 0, ..classifier.clone() }.check()),
        ("embedding_dropout", "1 is not", ClassifierShape { embedding_dropout: 1.0, ..classifier }.check()),
        ("horizon", "at least 1", ForecasterShape { horizon: 0, ..forecaster.clone() }.check()),
        (
            "head",
            "between 0 and 1",
            ForecasterShape { head: ForecastHead::Quantiles(vec![0.5, 1.0]), ..forecaster.clone() }.check(),
        ),
        ("head", "at least one", ForecasterShape { head: ForecastHead::Quantiles(vec![]), ..forecaster }.check()),
        (
            "decoder.architecture",
            "would see the tokens that a decoder generates",
            EncoderDecoderShape { decoder: stack(Architecture::BiRnn), ..pair.clone() }.check(),
        ),
        ("attention", "got 4 and 6", EncoderDecoderShape { attention: AttentionScore::Dot, ..pair.clone() }.check()),
        ("target_vocabulary", "at least 1", EncoderDecoderShape { target_vocabulary: 0, ..pair }.check()),
        ("vocabulary", "at least 1", RelationShape { vocabulary: 0, ..relation }.check()),
    ];
    for (field, reason, found) in refused {
        let error = found.expect_err(reason);
        assert!(error.field == field && error.reason.contains(reason), "{field}, {reason}: {error}");
    }
}
