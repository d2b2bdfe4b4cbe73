//! The command to suggest after an evaluation.

use seqzoo_inference::{Examples, Model};
use seqzoo_run::folder::Run;
use seqzoo_tasks::Command;

use crate::arguments::escaped;
use crate::say::{flag, quoted};

/// Suggested command for a model; `None` if no prompt is in its vocabulary.
pub(super) fn next_command(run: &Run, name: &str, model: &Model, examples: &dyn Examples) -> Option<String> {
    let recipe = &run.environment.settings.recipe;
    // An example of the dataset says nothing of own data.
    let dataset = recipe.dataset().filter(|_| run.environment.data.files.is_empty());
    let example = dataset.map_or("", |dataset| dataset.example);
    let path = quoted(&run.path);
    let command = match recipe.task().ok()?.command {
        Command::Forecast => format!("seqzoo forecast {path} --plot forecast.svg"),
        Command::Detect => format!("seqzoo detect {path}"),
        Command::Recommend => {
            let history = if example.is_empty() { "ITEM,ITEM" } else { example };
            format!("seqzoo recommend {path} --history {}", in_quotes(history))
        }
        Command::Caption => {
            format!("seqzoo caption {path} {}", if example.is_empty() { "IMAGE.png" } else { example })
        }
        Command::Generate => match examples.output_flag() {
            Some(flag) => format!("seqzoo generate {path} {flag}"),
            None => {
                let prompt = prompt(model, example, examples.prompt_source()?)?;
                format!("seqzoo generate {path} --prompt {}", in_quotes(&escaped(prompt)))
            }
        },
        Command::Predict
            if example.is_empty() && recipe.task().is_ok_and(|task| task.data.roles[0].name == "series") =>
        {
            format!("seqzoo predict {path} --file FILE")
        }
        Command::Predict => {
            format!("seqzoo predict {path} {}", in_quotes(&escaped(if example.is_empty() { "TEXT" } else { example })))
        }
    };
    // Without --model a command uses the recipe's first model, which may not be trained yet.
    let model_flag =
        if recipe.models.first().is_some_and(|first| first == name) { String::new() } else { flag("--model", name) };
    Some(command + &model_flag)
}

/// A prompt in a language model's vocabulary: its dataset's example, or words of its training text.
fn prompt<'a>(model: &Model, example: &'a str, text: &'a str) -> Option<&'a str> {
    let known = |prompt: &&str| {
        let plain = !prompt.trim().is_empty() && !prompt.contains(char::is_control);
        plain && model.prompt(prompt).is_ok_and(|prompt| prompt.unknown.is_empty())
    };
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let prefixes = line.match_indices(' ').map(|(end, _)| &line[..end]).take(PROMPT_WORDS);
    let prefixes: Vec<&str> = prefixes.collect();
    let start = |word: &'a str| word.char_indices().nth(PROMPT_CHARS).map_or(word, |(end, _)| &word[..end]);
    let words = text.split_whitespace().take(PROMPT_TRIES).map(start);
    std::iter::once(example).chain(prefixes.into_iter().rev()).chain(words).find(known)
}

/// Maximum number of words of a prompt, of characters of a single word, and of single words to try if no longer prompt is known.
const PROMPT_WORDS: usize = 3;
const PROMPT_CHARS: usize = 40;
const PROMPT_TRIES: usize = 1_000;

/// Quotes a text for a shell, in double quotes if possible.
fn in_quotes(text: &str) -> String {
    if text.contains(['"', '$', '`', '\\', '!']) { quoted(text) } else { format!("\"{text}\"") }
}
