// Gradients of every tensor of every architecture: finite differences on the reference, the other
// backends against the reference, shared prefixes against each sequence alone, one batch against many.
#include <algorithm>
#include <cmath>

#include "tiny_model.h"

namespace winnow::test {
namespace {

constexpr float kTemperature = 0.8f;

// Three completions of two prompts that share a beginning; the losses lie on the completions.
struct Batch {
  TokenLists sequences;
  std::vector<float> weight, advantage, old_logprob, reference_logprob;

  LossInputs inputs(LossKind kind) const {
    if (kind == LossKind::kSupervised) return {weight, {}, {}, {}};
    return {weight, advantage, old_logprob, reference_logprob};
  }
};

Batch make_batch(Model& model) {
  Random random("gradient batch");
  const int64_t vocabulary = model.config().vocabulary;
  const auto common = random_tokens(random, 9, vocabulary);
  Batch batch;
  for (const int prompt_more : {4, 4, 11, 0}) {
    auto tokens = common;
    const auto prompt = random_tokens(random, prompt_more, vocabulary);
    tokens.insert(tokens.end(), prompt.begin(), prompt.end());
    const size_t prompt_length = tokens.size();
    const auto completion = random_tokens(random, random.integer(3, 9), vocabulary);
    tokens.insert(tokens.end(), completion.begin(), completion.end());
    batch.sequences.add(tokens);
    for (size_t i = 0; i < tokens.size(); ++i)
      batch.weight.push_back(i < prompt_length ? 0.0f : static_cast<float>(random.uniform(0.02, 0.1)));
  }
  // Old log-probabilities near the current ones, or far away: ratios stay off the corners of clipping.
  const std::vector<float> current = score(model, batch.sequences, {.temperature = kTemperature});
  for (const float logprob : current) {
    const double far = random.integer(0, 2) == 0 ? 1.2 : -1.2;
    const double offset = random.integer(0, 3) == 0 ? far : random.uniform(-0.05, 0.05);
    batch.advantage.push_back(static_cast<float>(random.uniform(-2, 2)));
    batch.old_logprob.push_back(logprob + static_cast<float>(offset));
    batch.reference_logprob.push_back(logprob + static_cast<float>(random.uniform(-0.5, 0.5)));
  }
  return batch;
}

LossOptions loss_options(LossKind kind) {
  LossOptions options;
  options.kind = kind;
  options.temperature = kTemperature;
  options.head_chunk_rows = 5;
  options.policy.clip_low = 0.4f;
  options.policy.clip_high = 0.6f;
  options.policy.kl_coefficient = 0.3f;
  options.policy.entropy_coefficient = 0.2f;
  return options;
}

using Gradients = std::vector<std::vector<float>>;  // in the order of parameters()

Gradients take_gradients(Model& model) {
  Gradients gradients;
  for (Parameter& parameter : model.parameters()) gradients.push_back(read(model, parameter.gradient.view()));
  zero_gradients(model);
  return gradients;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

// Largest difference within a tensor over its largest entry.
void expect_close(const Model& model, const Gradients& got, const Gradients& expected, double tolerance) {
  for (size_t tensor = 0; tensor < expected.size(); ++tensor) {
    double difference = 0, largest = 0;
    for (size_t i = 0; i < expected[tensor].size(); ++i) {
      difference = std::max(difference, std::abs(static_cast<double>(got[tensor][i]) -
                                                 static_cast<double>(expected[tensor][i])));
      largest = std::max(largest, std::abs(static_cast<double>(expected[tensor][i])));
    }
    EXPECT(largest > 0, model.parameters()[tensor].spec.name, " has no gradient");
    EXPECT(difference <= tolerance * largest, model.parameters()[tensor].spec.name, ": differs by ",
           difference, " of ", largest);
  }
}

// The loss with `parameter` moved by `step` along `direction`.
double loss_at(Model& model, const Batch& batch, const LossOptions& options, Parameter& parameter,
               const std::vector<float>& origin, const std::vector<double>& direction, double step) {
  std::vector<float> moved(origin);
  for (size_t i = 0; i < moved.size(); ++i)
    moved[i] = static_cast<float>(static_cast<double>(origin[i]) + step * direction[i]);
  model.ops().upload(model.context(), parameter.value.view().data, moved.data(),
                     moved.size() * sizeof(float));
  model.pack();
  return accumulate(model, batch.sequences, batch.inputs(options.kind), options).sums.loss;
}

// Fourth-order central difference, Abramowitz & Stegun 25.3.6: with losses wrong by d, the slope is wrong
// by (8 + 8 + 1 + 1) d / 12 h, plus h^4 / 30 times the fifth derivative. The losses are sums of weights of
// about 1 of f32 log-probabilities near 4, a unit of which is 2.4e-7, that carry rounded activations: d is
// taken as 7e-7. With h = 2^-7 that is 1.3e-4, and the second part 1.3e-10 times the derivative.
constexpr double kStep = 0x1p-7;
constexpr double kSlopeError = 1.3e-4;

double slope(Model& model, const Batch& batch, const LossOptions& options, Parameter& parameter,
             const std::vector<float>& origin, const std::vector<double>& direction) {
  const auto loss = [&](double step) {
    return loss_at(model, batch, options, parameter, origin, direction, step);
  };
  return (8 * (loss(kStep) - loss(-kStep)) - (loss(2 * kStep) - loss(-2 * kStep))) / (12 * kStep);
}

// Along the gradient itself, where an error of scale shows best, and along random directions, where an
// error across the gradient shows.
void check_slopes(Model& model, const Batch& batch, const LossOptions& options, size_t tensor,
                  const std::vector<float>& gradient) {
  Parameter& parameter = model.parameters()[tensor];
  const std::vector<float> origin = read(model, parameter.value.view());
  Random random("directions " + parameter.spec.name);
  for (int trial = 0; trial < 3; ++trial) {
    std::vector<double> direction;
    const double length = norm(gradient), each = 1 / std::sqrt(static_cast<double>(gradient.size()));
    double expected = 0;
    for (const float value : gradient) {
      direction.push_back(trial == 0          ? static_cast<double>(value) / length
                          : random.bits() % 2 ? each
                                              : -each);
      expected += direction.back() * static_cast<double>(value);
    }
    const double measured = slope(model, batch, options, parameter, origin, direction);
    EXPECT(std::abs(measured - expected) <= kSlopeError + 2e-4 * std::abs(expected), parameter.spec.name,
           " direction ", trial, ": slope ", measured, ", gradient ", expected);
  }
  loss_at(model, batch, options, parameter, origin, std::vector<double>(origin.size(), 0.0), 0);
}

void check_architecture(const std::string& architecture, LossKind kind) {
  TinyModel tiny(reference_ops(), architecture);
  tiny.model.enable_training();
  const Batch batch = make_batch(tiny.model);
  const LossOptions options = loss_options(kind);
  accumulate(tiny.model, batch.sequences, batch.inputs(kind), options);
  Gradients gradients = take_gradients(tiny.model);
  for (size_t tensor = 0; tensor < gradients.size(); ++tensor)
    check_slopes(tiny.model, batch, options, tensor, gradients[tensor]);
  expect_failure("a gradient that is one percent off", [&] {
    for (float& value : gradients[0]) value *= 1.01f;
    check_slopes(tiny.model, batch, options, 0, gradients[0]);
  });
}

const Registration kFiniteDifferences([] {
  for (const std::string& architecture : tiny_architectures()) {
    add_test("model/gradient/finite differences/policy gradient/" + architecture,
             [=] { check_architecture(architecture, LossKind::kPolicyGradient); });
  }
  add_test("model/gradient/finite differences/supervised/qwen2",
           [] { check_architecture("qwen2", LossKind::kSupervised); });
});

Gradients gradients_of(const Ops& ops, const std::string& architecture, DType dtype,
                       const LossOptions& options) {
  TinyModel tiny(ops, architecture, dtype, 2);
  tiny.model.enable_training();
  TinyModel reference(reference_ops(), architecture);  // whose log-probabilities the batch is built on
  const Batch batch = make_batch(reference.model);
  accumulate(tiny.model, batch.sequences, batch.inputs(options.kind), options);
  return take_gradients(tiny.model);
}

const Registration kAgainstReference([] {
  add_model_tests("model/gradient/equals the reference", [](const Ops& ops) {
    for (const std::string& architecture : tiny_architectures()) {
      const LossOptions options = loss_options(LossKind::kPolicyGradient);
      const TinyModel tiny(reference_ops(), architecture);
      const Gradients expected = gradients_of(reference_ops(), architecture, DType::kF32, options);
      const Gradients got = gradients_of(ops, architecture, DType::kF32, options);
      expect_close(tiny.model, got, expected, 1e-4);
      // bf16 operands carry 8 bits: 2^-9 each, over a dozen products in a row.
      const Gradients rounded = gradients_of(ops, architecture, DType::kBF16, options);
      expect_close(tiny.model, rounded, expected, 0.1);
      expect_failure("bf16 is not f32", [&] { expect_close(tiny.model, rounded, expected, 1e-4); });
    }
  });
  add_model_tests("model/gradient/equals the reference/bf16 keys", [](const Ops& ops) {
    const LossOptions options = loss_options(LossKind::kPolicyGradient);
    const TinyModel tiny(reference_ops(), "qwen2");
    const Gradients exact = gradients_of(reference_ops(), "qwen2", DType::kF32, options);
    const Gradients expected = gradients_of(reference_ops(), "qwen2+bf16keys", DType::kF32, options);
    const Gradients got = gradients_of(ops, "qwen2+bf16keys", DType::kF32, options);
    // Next to a tie, a key that errs by an ulp of f32 rounds to the other neighbour, 2^-8 away.
    expect_close(tiny.model, got, expected, 2e-3);
    expect_close(tiny.model, expected, exact, 0.1);
    expect_failure("rounded keys change it", [&] { expect_close(tiny.model, expected, exact, 1e-4); });
  });
});

// Each sequence in a call of its own: no sharing, gradients added up by the calls.
Gradients gradients_one_by_one(Model& model, const Batch& batch, const LossOptions& options) {
  for (size_t s = 0; s < batch.sequences.count(); ++s) {
    const auto begin = static_cast<size_t>(batch.sequences.offsets[s]);
    const size_t length = static_cast<size_t>(batch.sequences.offsets[s + 1]) - begin;
    const auto part = [&](const std::vector<float>& values) {
      return std::span(values).subspan(begin, length);
    };
    const std::vector<int64_t> offsets{0, static_cast<int64_t>(length)};
    accumulate_gradients(
        model, std::span(batch.sequences.tokens).subspan(begin, length), offsets,
        {part(batch.weight), part(batch.advantage), part(batch.old_logprob), part(batch.reference_logprob)},
        options, CancelToken(), nullptr);
  }
  return take_gradients(model);
}

// Sums of the same f32 terms in another order: 2^-24 a step, over at most some hundred steps.
constexpr double kOrderError = 2e-5;

const Registration kSplits([] {
  add_model_tests("model/gradient/shared prefixes and micro-batches change nothing", [](const Ops& ops) {
    for (const std::string& architecture : tiny_architectures()) {
      TinyModel tiny(ops, architecture, DType::kF32, 2);
      tiny.model.enable_training();
      const Batch batch = make_batch(tiny.model);
      LossOptions options = loss_options(LossKind::kPolicyGradient);
      const LossResult whole = accumulate(tiny.model, batch.sequences, batch.inputs(options.kind), options);
      const Gradients expected = take_gradients(tiny.model);
      EXPECT(whole.forest_tokens < whole.sequence_tokens, "prefixes are shared");
      expect_close(tiny.model, gradients_one_by_one(tiny.model, batch, options), expected, kOrderError);

      options.max_batch_tokens = 25;
      const LossResult split = accumulate(tiny.model, batch.sequences, batch.inputs(options.kind), options);
      EXPECT(split.forest_tokens > whole.forest_tokens, "several micro-batches");
      expect_close(tiny.model, take_gradients(tiny.model), expected, kOrderError);
      EXPECT(same_bits(split.logprobs, whole.logprobs), "log-probabilities are equal bit for bit");
      EXPECT(std::abs(split.sums.loss - whole.sums.loss) <= 1e-12 * std::abs(whole.sums.loss), "loss");
      EXPECT(split.sums.entries == whole.sums.entries && split.sums.clipped == whole.sums.clipped, "counts");

      options.policy.kl_coefficient = 0.31f;
      accumulate(tiny.model, batch.sequences, batch.inputs(options.kind), options);
      const Gradients other = take_gradients(tiny.model);
      expect_failure("another loss", [&] { expect_close(tiny.model, other, expected, kOrderError); });
    }
  });
});

}  // namespace
}  // namespace winnow::test
