#include "cli/command_line.hpp"

#include "cli/exit_code.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <sstream>
#include <utility>

namespace brigade::cli {
namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 all delivered or filtered; 1 the run failed; 2 usage; 3 some dead-lettered or\n"
    "dropped; 4 stopped by fail_fast or a spent error budget; 5 stopped before the source's end;\n"
    "78 the pipeline file is absent or invalid; 130 third interrupt.";

/// Everything the options of all verbs write to; the verb that was given says which part counts.
struct options {
  run_options run;
  check_options check;
  report_options report;
  explain_options explain;
  dlq_list_options list;
  dlq_show_options show;
  replay_options replay;
  help_options help;
  new_options fresh_file;
  dlq_drop_options drop;
  graph_options graph;
  test_options test;
};

void add_ledger(CLI::App& verb, std::filesystem::path& ledger) {
  verb.add_option("LEDGER", ledger, "the pipeline's ledger, STATE/NAME.ledger.db")->required();
}

void add_letter_filter(CLI::App& verb, letter_filter& which) {
  verb.add_option("--stage", which.stage, "only letters that failed at this stage");
  verb.add_option("--error", which.error, "only letters with this text in their error");
  verb.add_option("ID", which.ids, "only these items, by position id or business id");
}

const std::map<std::string, progress_mode>& progress_modes() {
  static const std::map<std::string, progress_mode> modes = {{"auto", progress_mode::automatic},
                                                             {"bar", progress_mode::bar},
                                                             {"log", progress_mode::log},
                                                             {"none", progress_mode::none}};
  return modes;
}

void add_sets(CLI::App& verb, std::vector<std::string>& sets) {
  verb.add_option("--set", sets,
                  "path=value: set a value of the file, such as "
                  "stages.charge.workers=8; may be repeated")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

constexpr const char* one_liner_help =
    "Without a file:  brigade run --from lines:in.txt --do 'exec:./handler' -j 16 --to ndjson:out\n"
    "  FROM and TO are lines:PATH, ndjson:PATH, csv:PATH (- is standard input or output), or a\n"
    "  component and its value, as every STAGE is: generate:'item {n}', jq:'.n += 1',\n"
    "  exec:'./handler -v', sqlite:'{file: out.db, table: t}'. exec splits at blanks, minds "
    "quotes, and starts no "
    "shell.\n"
    "  Its ledger is .brigade/NAME.ledger.db (--state names another folder), with a name made of\n"
    "  FROM, the STAGEs and TO: the same command goes on where it stopped, or begins again with\n"
    "  --fresh. Dead letters are in it: brigade dlq ls LEDGER.";

void add_one_liner(CLI::App& verb, run_options& run) {
  one_liner& line = run.line;
  const char* const group = "Without a file";
  verb.add_option("--from", line.from, "the source, such as lines:in.txt")->group(group);
  const auto with_from = [&](CLI::Option* option) { option->needs("--from")->group(group); };
  with_from(verb.add_option("--do", line.stages, "a stage, such as exec:./handler; may be repeated")
                ->type_name("STAGE")
                ->expected(1)
                ->allow_extra_args(false)
                ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll));
  with_from(verb.add_option("-j", line.workers, "workers of each stage, such as 4 or 2..16 [1]"));
  with_from(verb.add_option("--to", line.to, "the sink [ndjson:-]"));
  with_from(verb.add_option("--state", line.state, "folder of the ledger [.brigade]"));
  verb.footer(one_liner_help);
  verb.final_callback([&run, &verb] {
    const bool has_line = verb.count("--from") > 0;
    if (has_line && run.line.from.empty()) throw CLI::ValidationError("--from", "is empty");
    if (has_line != run.file.empty()) {
      throw CLI::ValidationError("run", has_line ? "FILE or --from, not both"
                                                 : "name a pipeline FILE, or a source by --from");
    }
  });
}

CLI::App* add_run(CLI::App& program, run_options& run) {
  CLI::App* const verb =
      program.add_subcommand("run", "Run a pipeline; it goes on where it stopped");
  verb->add_option("FILE", run.file, "the pipeline file");
  add_sets(*verb, run.sets);
  verb->add_option("--report", run.report, "write the run's report there, as JSON");
  verb->add_flag("--fresh", run.fresh, "begin again at the start of the source");
  verb->add_option_function<std::string>(
          "--progress",
          [&run](const std::string& name) { run.progress = progress_modes().at(name); },
          "auto, bar, log or none [auto]")
      ->check(CLI::IsMember(&progress_modes()).description(""));
  add_one_liner(*verb, run);
  return verb;
}

CLI::App* add_check(CLI::App& program, check_options& check) {
  CLI::App* const verb = program.add_subcommand("check", "Check a pipeline file and run nothing");
  verb->add_option("FILE", check.file, "the pipeline file")->required();
  verb->add_flag("--offline", check.offline, "leave the environment out: look at no other file");
  return verb;
}

CLI::App* add_report(CLI::App& program, report_options& report) {
  CLI::App* const verb = program.add_subcommand("report", "Show the account of a run");
  add_ledger(*verb, report.ledger);
  verb->add_option("--run", report.run, "its number [the last]");
  return verb;
}

CLI::App* add_explain(CLI::App& program, explain_options& explain) {
  CLI::App* const verb = program.add_subcommand("explain", "Show an item's whole history");
  add_ledger(*verb, explain.ledger);
  verb->add_option("ITEM", explain.item, "its position id or business id")->required();
  return verb;
}

struct dlq_verbs {
  CLI::App* list;
  CLI::App* show;
  CLI::App* replay;
  CLI::App* drop;
};

dlq_verbs add_dlq(CLI::App& program, options& into) {
  CLI::App* const dlq =
      program.add_subcommand("dlq", "Look at dead letters, replay them, drop them");
  dlq->require_subcommand(1);
  dlq_verbs verbs{};
  verbs.list = dlq->add_subcommand("ls", "List dead letters that were not replayed");
  add_ledger(*verbs.list, into.list.ledger);
  add_letter_filter(*verbs.list, into.list.which);
  verbs.show = dlq->add_subcommand("show", "Show dead letters with their payload");
  add_ledger(*verbs.show, into.show.ledger);
  add_letter_filter(*verbs.show, into.show.which);
  verbs.replay = dlq->add_subcommand("replay", "Run dead letters again, from where they failed");
  add_ledger(*verbs.replay, into.replay.ledger);
  verbs.replay->add_option("--pipeline", into.replay.pipeline,
                           "the pipeline file [the one that the ledger names]");
  verbs.replay->add_flag("--from-start", into.replay.from_start,
                         "through all stages, from the item as the source gave it");
  add_letter_filter(*verbs.replay, into.replay.which);
  verbs.drop = dlq->add_subcommand("drop", "Give dead letters up; `explain` still tells of them");
  add_ledger(*verbs.drop, into.drop.ledger);
  add_letter_filter(*verbs.drop, into.drop.which);
  verbs.drop->add_flag("--all", into.drop.all, "every one, where nothing else says which");
  verbs.drop->final_callback([&drop = into.drop] {
    const letter_filter& which = drop.which;
    const bool says_which = !which.ids.empty() || !which.stage.empty() || !which.error.empty();
    if (says_which == drop.all) {
      throw CLI::ValidationError("dlq drop", drop.all ? "--all goes with no other selection"
                                                      : "say which letters: by ID, --stage or "
                                                        "--error, or --all for every one");
    }
  });
  return verbs;
}

CLI::App* add_test(CLI::App& program, test_options& test) {
  CLI::App* const verb =
      program.add_subcommand("test", "Run the file's tests: items through its stages, and no sink");
  verb->add_option("FILE", test.file, "the pipeline file")->required();
  add_sets(*verb, test.sets);
  return verb;
}

CLI::App* add_graph(CLI::App& program, graph_options& graph) {
  CLI::App* const verb = program.add_subcommand("graph", "Draw a pipeline with its policies");
  verb->add_option("FILE", graph.file, "the pipeline file")->required();
  verb->add_flag("--svg", graph.svg, "as an SVG file, on standard output");
  return verb;
}

struct component_verbs {
  CLI::App* list;
  CLI::App* help;
  CLI::App* make;
};

component_verbs add_components(CLI::App& program, options& into) {
  component_verbs verbs{};
  verbs.list = program.add_subcommand("list", "List the components there are");
  verbs.help = program.add_subcommand("help", "Show a component's fields, or a verb's options");
  verbs.help
      ->add_option("COMPONENT", into.help.words,
                   "its name, with 'source', 'stage' or 'sink' before it where there are two")
      ->expected(0, 2);
  verbs.make = program.add_subcommand("new", "Print a pipeline file to start from");
  verbs.make
      ->add_option("COMPONENT", into.fresh_file.components,
                   "a source [stdin], stages, and a sink [stdout], such as: file exec sqlite")
      ->required();
  return verbs;
}

/// `brigade help run` is `brigade run --help`.
std::optional<answer> help_on_verb(const CLI::App& program, const help_options& asked) {
  if (asked.words.size() > 1) return std::nullopt;
  for (const CLI::App* const verb : program.get_subcommands(nullptr)) {
    if (verb->get_name() == asked.words.front()) return answer{exit_ok, verb->help("brigade")};
  }
  return std::nullopt;
}

/// CLI11 has codes of its own for every mistake; here all are 2.
answer answer_to(CLI::App& program, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = program.exit(error, out, err);
  return code == 0 ? answer{exit_ok, out.str()} : answer{exit_usage, err.str()};
}

}  // namespace

command read_command_line(int argc, const char* const* argv) {
  CLI::App program("brigade works through a stream of items and loses none.", "brigade");
  program.set_version_flag("--version", "brigade " BRIGADE_VERSION);
  program.footer(exit_codes);
  options given;
  CLI::App* const run = add_run(program, given.run);
  CLI::App* const check = add_check(program, given.check);
  CLI::App* const report = add_report(program, given.report);
  CLI::App* const explain = add_explain(program, given.explain);
  const dlq_verbs dlq = add_dlq(program, given);
  CLI::App* const test = add_test(program, given.test);
  CLI::App* const graph = add_graph(program, given.graph);
  const component_verbs components = add_components(program, given);
  program.require_subcommand(0, 1);
  // Once a verb is parsed, this would be the verb's.
  const std::string whole_help = program.help();
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return answer_to(program, error);
  }
  if (run->parsed()) return std::move(given.run);
  if (check->parsed()) return std::move(given.check);
  if (report->parsed()) return std::move(given.report);
  if (explain->parsed()) return std::move(given.explain);
  if (dlq.list->parsed()) return std::move(given.list);
  if (dlq.show->parsed()) return std::move(given.show);
  if (dlq.replay->parsed()) return std::move(given.replay);
  if (dlq.drop->parsed()) return std::move(given.drop);
  if (test->parsed()) return std::move(given.test);
  if (graph->parsed()) return std::move(given.graph);
  if (components.list->parsed()) return list_options{};
  if (components.make->parsed()) return std::move(given.fresh_file);
  if (components.help->parsed()) {
    if (given.help.words.empty()) return answer{exit_ok, whole_help};
    if (auto told = help_on_verb(program, given.help)) return *std::move(told);
    return std::move(given.help);
  }
  return answer{exit_usage, whole_help};
}

}  // namespace brigade::cli
