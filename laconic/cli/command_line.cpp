#include "laconic/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "laconic/base/byte_size.h"
#include "laconic/base/text.h"

namespace laconic {
namespace {

constexpr int kWrongUse = 2;
constexpr size_t kColumn = 30;
const std::vector<std::string> kCommands = {"quantize", "calibrate", "evaluate", "export",
                                            "compare",  "recipes",   "serve"};

// Options that the program will have: named, so that nobody looks for a typing error.
struct Planned {
  const char *command, *name, *instead;
};
constexpr Planned kPlanned[] = {
    {"recipes", "--target", "not supported yet: `laconic recipes` lists all presets"},
};

const char* const kSummary =
    "Laconic quantizes a trained language model and measures what was lost.\n"
    "MODEL is a directory: a Hugging Face checkpoint, or one that `laconic quantize` wrote.\n";
const char* const kFooter =
    "\nExample:\n"
    "  laconic quantize assets/tiny-lm --recipe gguf-q4_0-gptq --calibration "
    "assets/text/calibration.txt \\\n"
    "      --out tiny-q4 --export gguf\n\n"
    "Each command has a help of its own: laconic quantize --help\n"
    "Exit codes: 0 done, 1 failed work, 2 wrong use or input, 130 after Ctrl-C.";

CLI::Validator whole_number(int64_t minimum,
                            int64_t maximum = std::numeric_limits<int64_t>::max()) {
  const auto check = [minimum, maximum](const std::string& text) -> std::string {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    if (whole && number >= minimum && number <= maximum) return "";
    const bool open = maximum == std::numeric_limits<int64_t>::max();
    return "expected a whole number " +
           (open ? "of at least " + std::to_string(minimum)
                 : "from " + std::to_string(minimum) + " to " + std::to_string(maximum)) +
           ", got \"" + text + "\".";
  };
  return CLI::Validator(check, "");
}

CLI::Validator one_of(std::vector<std::string> words) {
  const auto check = [words = std::move(words)](const std::string& text) -> std::string {
    if (std::find(words.begin(), words.end(), text) != words.end()) return "";
    return "unknown word \"" + text + "\"" + suggestion(text, words) + ".";
  };
  return CLI::Validator(check, "");
}

// All options are described here, once; `parsed` holds a value for each command.
class Grammar {
 public:
  Grammar() : app_(kSummary, "laconic") {
    app_.footer(kFooter);
    app_.set_version_flag("--version", std::string("laconic ") + LACONIC_VERSION,
                          "Print the version.");
    app_.set_help_flag("-h,--help", "Print this help.");
    app_.get_formatter()->column_width(kColumn);
    app_.require_subcommand(1);
    add_quantize();
    add_calibrate();
    add_evaluate();
    add_export();
    add_compare();
    add_recipes();
    add_serve();
  }

  CLI::App& app() { return app_; }

  CommandLine chosen() const {
    CommandLine line = common_;
    if (app_.got_subcommand("quantize")) line.command = quantize_;
    if (app_.got_subcommand("calibrate")) line.command = calibrate_;
    if (app_.got_subcommand("evaluate")) line.command = perplexity_;
    if (app_.got_subcommand("export")) line.command = export_;
    if (app_.got_subcommand("compare")) line.command = compare_;
    if (app_.got_subcommand("recipes")) line.command = recipes_;
    if (app_.got_subcommand("serve")) line.command = serve_;
    return line;
  }

  bool limits_absent_device() const {
    return common_.device == "cpu" && (quantize_.device_memory > 0 || calibrate_.device_memory > 0);
  }

 private:
  void add_common(CLI::App* command) {
    command->add_flag("--json", common_.json,
                      "Print one JSON object on standard output, and nothing else there.");
    command->add_flag("--quiet", common_.quiet, "Show no progress.");
  }

  void add_machine(CLI::App* command) {
    command->add_option("--threads", common_.threads, "Processor threads; default: one a core.")
        ->type_name("N")
        ->check(whole_number(1, 4096));
    command->add_option("--device", common_.device, "Where to compute; default: cpu.")
        ->type_name("cpu|cuda|cuda:N");
    add_common(command);
  }

  template <typename Command>
  void add_quantization(CLI::App* command, Command& asked) {
    command
        ->add_option("--calibration", asked.calibration,
                     "Text (UTF-8) whose windows calibrate; needed by gptq.")
        ->type_name("FILE");
    command
        ->add_option("--statistics", asked.statistics,
                     "In place of the text: what `laconic calibrate` wrote of this model.")
        ->type_name("DIR");
    command
        ->add_option("--set", asked.settings, "Change the recipe: weight.bits=3; may be repeated.")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all();
    command->add_option("--seed", asked.seed, "Seed of all random choices; default: the recipe's.")
        ->type_name("N")
        ->check(whole_number(0));
  }

  static void add_number(CLI::App* command, const char* name, int64_t& number, const char* help) {
    command->add_option(name, number, help)->type_name("N")->check(whole_number(1));
  }

  /// How the calibration windows are run.
  template <typename Command>
  void add_calibration_work(CLI::App* command, Command& asked) {
    command->add_option("--batch", asked.batch, "Calibration windows computed at once.")
        ->type_name("N")
        ->check(whole_number(1, 4096));
    add_size(command, "--host-memory", asked.host_memory,
             "Most memory that the program may have: fewer windows at once, activations on disk.");
    add_size(command, "--device-memory", asked.device_memory,
             "The same of the memory of --device cuda: activations in main memory.");
  }

  static void add_size(CLI::App* command, const std::string& name, uint64_t& bytes,
                       const char* help) {
    const auto read = [name, &bytes](const std::string& text) {
      const auto size = parse_byte_size(text);
      if (!size)
        throw CLI::ValidationError(name,
                                   "expected a size like 1.5GiB or 800MB, got \"" + text + "\".");
      bytes = *size;
    };
    command->add_option_function<std::string>(name, read, help)->type_name("SIZE");
  }

  void add_evaluation(CLI::App* command, EvaluationCommand& evaluation) {
    command->add_option("--text", evaluation.text, "Text (UTF-8) to evaluate on.")
        ->required()
        ->type_name("FILE");
    command
        ->add_option("--context", evaluation.context,
                     "Tokens of a window, BOS included; default: the model's, at most 2048.")
        ->type_name("N")
        ->check(whole_number(2));
    command
        ->add_option("--convention", evaluation.convention,
                     "gptq: windows without overlap; llama.cpp: the second half of each counts; "
                     "stride: windows overlap, each token counts once.")
        ->type_name("NAME")
        ->check(one_of({"gptq", "llama.cpp", "stride"}));
    command
        ->add_option("--bos", evaluation.bos,
                     "A BOS token before: nothing, the text, or each window; default: none, "
                     "for llama.cpp as its tokenizer says.")
        ->type_name("none|first|window")
        ->check(one_of({"none", "first", "window"}));
    command
        ->add_option("--stride", evaluation.stride,
                     "For stride: new tokens a window; default: half of the context.")
        ->type_name("N")
        ->check(whole_number(1));
    command
        ->add_option("--windows", evaluation.windows, "Evaluate the first N windows; default: all.")
        ->type_name("N")
        ->check(whole_number(1));
    command->add_option("--batch", evaluation.batch, "Windows computed at once; changes no figure.")
        ->type_name("N")
        ->check(whole_number(1, 4096));
  }

  void add_quantize() {
    CLI::App* command =
        app_.add_subcommand("quantize", "Quantize a model into a directory, and export it.");
    command->footer(
        "\nWorks in DIR.partial with a journal: the same command again continues an interrupted "
        "run.\n\nExample:\n"
        "  laconic quantize assets/tiny-lm --recipe w4a16-g128-gptq --calibration "
        "assets/text/calibration.txt "
        "--out tiny-w4");
    command->add_option("MODEL", quantize_.model, "Directory of the model.")
        ->required()
        ->type_name("");
    command
        ->add_option("--recipe", quantize_.recipe,
                     "A preset's name (see `laconic recipes`) or a YAML file.")
        ->required()
        ->type_name("NAME|FILE");
    command->add_option("--out", quantize_.out, "Directory to write.")
        ->required()
        ->type_name("DIR");
    command
        ->add_option("--export", quantize_.exports,
                     "Write these files too: gguf, compressed-tensors.")
        ->type_name("FORMAT,...")
        ->delimiter(',');
    add_quantization(command, quantize_);
    add_calibration_work(command, quantize_);
    command->add_flag("--overwrite", quantize_.overwrite,
                      "Replace a finished DIR once the new one is complete.");
    add_machine(command);
  }

  void add_calibrate() {
    CLI::App* command = app_.add_subcommand(
        "calibrate", "Gather statistics of a model's inputs once, for any number of recipes.");
    command->footer(
        "\nExample:\n  laconic calibrate assets/tiny-lm --calibration "
        "assets/text/calibration.txt --out tiny-statistics\n"
        "  laconic quantize assets/tiny-lm --recipe w4a16-g128-gptq --statistics tiny-statistics "
        "--out tiny-w4");
    command->add_option("MODEL", calibrate_.model, "Directory of the float model.")
        ->required()
        ->type_name("");
    command
        ->add_option("--calibration", calibrate_.calibration, "Text (UTF-8), JSON lines, or .npy.")
        ->required()
        ->type_name("FILE");
    command->add_option("--out", calibrate_.out, "Directory to write.")
        ->required()
        ->type_name("DIR");
    add_number(command, "--windows", calibrate_.windows,
               "As calibration.windows of the recipes; default: 128.");
    add_number(command, "--length", calibrate_.length,
               "As calibration.length: tokens of a window; default: 512.");
    command->add_option("--seed", calibrate_.seed, "As calibration.seed; default: 0.")
        ->type_name("N")
        ->check(whole_number(0));
    command
        ->add_option("--field", calibrate_.field,
                     "As calibration.field: of JSON lines; default: text.")
        ->type_name("NAME");
    add_calibration_work(command, calibrate_);
    command->add_flag("--overwrite", calibrate_.overwrite,
                      "Replace finished statistics once the new ones are complete.");
    add_machine(command);
  }

  void add_evaluate() {
    CLI::App* evaluate = app_.add_subcommand("evaluate", "Measure a model.");
    evaluate->require_subcommand(1);
    evaluate->footer(
        "\nExample:\n  laconic evaluate perplexity assets/tiny-lm --text "
        "assets/text/evaluation.txt");
    CLI::App* command = evaluate->add_subcommand(
        "perplexity", "Perplexity of a text, and the distance to a float model.");
    command->footer(
        "\nExample:\n  laconic evaluate perplexity assets/tiny-lm --text "
        "assets/text/evaluation.txt --context 256");
    command->add_option("MODEL", perplexity_.model, "Directory of the model.")
        ->required()
        ->type_name("");
    add_evaluation(command, perplexity_.evaluation);
    command
        ->add_option(
            "--against", perplexity_.against,
            "A float model with the same tokens: KL divergence to it, top-1 agreement with it.")
        ->type_name("MODEL");
    command->add_flag("--layers", perplexity_.layers,
                      "With --against: signal to noise of each layer's weight and output.");
    add_machine(command);
  }

  void add_export() {
    CLI::App* command =
        app_.add_subcommand("export", "Write a quantized model as the file of a runtime.");
    command->footer("\nExample:\n  laconic export tiny-q4 --format gguf --out tiny-q4.gguf");
    command->add_option("MODEL", export_.model, "Directory of the model.")
        ->required()
        ->type_name("");
    command->add_option("--format", export_.format, "gguf or compressed-tensors.")
        ->required()
        ->type_name("FORMAT");
    command->add_option("--out", export_.out, "File or directory to write.")
        ->required()
        ->type_name("PATH");
    command->add_flag("--overwrite", export_.overwrite, "Replace PATH if it exists.");
    add_common(command);
  }

  void add_compare() {
    CLI::App* command =
        app_.add_subcommand("compare", "Quantize by several recipes and print one table.");
    command->footer(
        "\nExample:\n  laconic compare assets/tiny-lm --recipes w4a16-g128,w4a16-g128-gptq \\\n"
        "      --calibration assets/text/calibration.txt --text assets/text/evaluation.txt "
        "--context 256");
    command->add_option("MODEL", compare_.model, "Directory of a float model.")
        ->required()
        ->type_name("");
    command
        ->add_option("--recipes", compare_.recipes, "Presets or YAML files, with commas between.")
        ->required()
        ->type_name("A,B,...")
        ->delimiter(',');
    add_evaluation(command, compare_.evaluation);
    add_quantization(command, compare_);
    command
        ->add_option("--out", compare_.out,
                     "Keep the quantized models here; default: they are removed.")
        ->type_name("DIR");
    command->add_flag("--overwrite", compare_.overwrite, "Replace finished models in --out.");
    add_machine(command);
  }

  void add_recipes() {
    CLI::App* command = app_.add_subcommand("recipes", "List the presets, or print one.");
    command->footer(
        "\nExample:\n  laconic recipes w4a16-g128-gptq > mine.yaml\n  laconic recipes --pictures "
        "pictures");
    command->add_option("NAME", recipes_.name, "Print this preset.")->type_name("");
    command->add_flag("--quantizers", recipes_.quantizers,
                      "List the words that a quantizer is made of, and the solvers.");
    command
        ->add_option("--pictures", recipes_.pictures,
                     "Draw the parts of quantizers, one SVG each, into this directory.")
        ->type_name("DIR");
    add_common(command);
  }

  void add_serve() {
    CLI::App* command = app_.add_subcommand("serve", "Answer completion requests over HTTP.");
    command->footer("\nExample:\n  laconic serve assets/tiny-lm --port 8080");
    command->add_option("MODEL", serve_.model, "Directory of the model.")
        ->required()
        ->type_name("");
    command->add_option("--port", serve_.port, "Where to listen; 0: any free port; default: 8080.")
        ->type_name("N")
        ->check(whole_number(0, 65535));
    command->add_option("--host", serve_.host, "Address to listen at; default: 127.0.0.1.")
        ->type_name("ADDRESS");
    add_machine(command);
  }

  CLI::App app_;
  CommandLine common_;
  QuantizeCommand quantize_;
  CalibrateCommand calibrate_;
  PerplexityCommand perplexity_;
  ExportCommand export_;
  CompareCommand compare_;
  RecipesCommand recipes_;
  ServeCommand serve_;
};

const CLI::App* deepest(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string full_name(const CLI::App* app) {
  return app->get_parent() == nullptr ? app->get_name()
                                      : full_name(app->get_parent()) + " " + app->get_name();
}

Finished wrong_use(const CLI::App* app, const std::string& message) {
  return {kWrongUse, "laconic: error: " + message + "\nSee `" + full_name(app) + " --help`.\n"};
}

Finished unknown_argument(const CLI::App* app, const std::string& word) {
  if (!word.starts_with("-")) {
    return wrong_use(
        app, "unexpected argument \"" + word + "\": " + full_name(app) + " takes no more of them.");
  }
  const std::string name = word.substr(0, word.find('='));
  for (const Planned& planned : kPlanned) {
    if (app->get_name() == planned.command && name == planned.name)
      return wrong_use(app, name + ": " + planned.instead + ".");
  }
  std::vector<std::string> known;
  for (const CLI::Option* option : app->get_options()) {
    for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
  }
  return wrong_use(app, "unknown option \"" + name + "\"" + suggestion(name, known) + ".");
}

// CLI11 reports "NAME: message" for validators; the rest of its messages are sentences already.
Finished explain(const CLI::App& root, const CLI::ParseError& error) {
  const CLI::App* app = deepest(&root);
  const std::vector<std::string> extras = app->remaining();
  if (!extras.empty()) return unknown_argument(app, extras.front());
  std::string message = error.what();
  if (const size_t at = message.find(": At Most 1 required"); at != std::string::npos)
    message.replace(at, std::string::npos, ": expected once, got it several times.");
  if (!message.ends_with('.')) message += '.';
  return wrong_use(app, message);
}

std::string help_of(const CLI::App& root) {
  const CLI::App* app = deepest(&root);
  return app->help(app->get_parent() == nullptr ? "" : full_name(app->get_parent()));
}

// A mistyped command is found before CLI11 reads it as an argument that something else needs.
std::optional<Finished> check_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2) return Finished{kWrongUse, app.help() + "\nlaconic: error: no command given.\n"};
  const std::string word = argv[1];
  if (word.starts_with("-")) return std::nullopt;
  if (std::find(kCommands.begin(), kCommands.end(), word) == kCommands.end()) {
    return wrong_use(&app, "unknown command \"" + word + "\"" + suggestion(word, kCommands) + ".");
  }
  const std::vector<std::string> kinds = {"perplexity"};
  if (word != "evaluate") return std::nullopt;
  const CLI::App* evaluate = app.get_subcommand("evaluate");
  if (argc < 3) return wrong_use(evaluate, "evaluate: expected what to measure: perplexity.");
  const std::string kind = argv[2];
  if (kind.starts_with("-") || kind == kinds[0]) return std::nullopt;
  return wrong_use(evaluate,
                   "evaluate: unknown measure \"" + kind + "\"" + suggestion(kind, kinds) + ".");
}

}  // namespace

std::variant<CommandLine, Finished> parse_command_line(int argc, const char* const* argv) {
  Grammar grammar;
  if (auto finished = check_command(grammar.app(), argc, argv)) return *finished;
  try {
    grammar.app().parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Finished{0, help_of(grammar.app())};
  } catch (const CLI::CallForVersion& version) {
    return Finished{0, std::string(version.what()) + "\n"};
  } catch (const CLI::ParseError& error) {
    return explain(grammar.app(), error);
  }
  if (grammar.limits_absent_device())
    return wrong_use(deepest(&grammar.app()),
                     "--device-memory: expected --device cuda beside it, whose memory it limits; "
                     "--host-memory limits main memory.");
  return grammar.chosen();
}

}  // namespace laconic
