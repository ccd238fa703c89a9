// Adapters: finite differences on the reference, the other backends against it, exactly on-policy.
#include "adapter_fixture.h"

namespace winnow::test {
namespace {

constexpr float kTemperature = 0.7f;

// A fourth-order central difference along the gradient of each matrix (Abramowitz & Stegun 25.3.6). A loss of
// about 60 in f32 log-probabilities is good to some 1e-5, so the slope to 2e-3 at h = 2^-7.
void check_slopes(AdaptedModel& tiny, const LossOptions& options) {
  tiny.model.enable_training();
  accumulate_all(tiny.model, kSequences, options);
  const Gradients gradients = take_gradients(tiny.model);
  size_t index = 0;
  for (Parameter& parameter : tiny.model.parameters()) {
    if (!parameter.gradient) continue;
    const std::vector<float>& gradient = gradients[index++];
    const std::vector<float> origin = read(tiny.model, parameter.source);
    double length = 0;
    for (const float value : gradient) length += static_cast<double>(value) * static_cast<double>(value);
    length = std::sqrt(length);
    EXPECT(length > 0, parameter.spec.name, " has no gradient");
    const auto loss_at = [&](double step) {
      std::vector<float> moved(origin);
      for (size_t i = 0; i < moved.size(); ++i)
        moved[i] += static_cast<float>(step * static_cast<double>(gradient[i]) / length);
      tiny.model.ops().upload(tiny.model.context(), parameter.source.data, moved.data(),
                              moved.size() * sizeof(float));
      tiny.model.pack();
      return accumulate_all(tiny.model, kSequences, options).sums.loss;
    };
    constexpr double kStep = 0x1p-7;
    const double slope =
        (8 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2 * kStep) - loss_at(-2 * kStep))) / (12 * kStep);
    loss_at(0);
    EXPECT(std::abs(slope - length) <= 2e-3 + 1e-3 * length, parameter.spec.name, ": slope ", slope,
           ", gradient ", length);
  }
  EXPECT(index > 0, "something trains");
}

const Registration kSlopes([] {
  for (const std::string& architecture : tiny_architectures())
    for (const float dropout : {0.0f, 0.4f})
      add_test(text("model/adapter/finite differences/", architecture, dropout > 0 ? " with dropout" : ""),
               [=] {
                 AdapterConfig config = adapter_config(dropout);
                 config.rank_stabilised = dropout > 0;
                 AdaptedModel tiny(reference_ops(), architecture, config);
                 check_slopes(tiny, supervised_with(17));
               });
});

// Sampling, scoring and training agree to the bit, on one thread and two, and differ from the bare model.
void check_on_policy(const Ops& ops, DType dtype) {
  for (const std::string& architecture : tiny_architectures()) {
    AdaptedModel tiny(ops, architecture, adapter_config(), dtype, 1);
    AdaptedModel threaded(ops, architecture, adapter_config(), dtype, 2);
    SamplingOptions sampling;
    sampling.max_tokens = 12;
    sampling.temperature = kTemperature;
    sampling.completions_per_prompt = 3;
    const TokenLists prompts(Lists{{1, 2, 3, 4, 5, 6, 7}, {1, 2, 3, 9, 8}});
    const auto sampled = generate(tiny.model, prompts, sampling).sequences;
    TokenLists whole;
    for (size_t index = 0; index < sampled.size(); ++index) {
      const size_t prompt = index / 3;
      std::vector<int32_t> tokens(prompts.tokens.begin() + prompts.offsets[prompt],
                                  prompts.tokens.begin() + prompts.offsets[prompt + 1]);
      tokens.insert(tokens.end(), sampled[index].tokens.begin(), sampled[index].tokens.end());
      whole.add(tokens);
    }
    const ScoreOptions options{.temperature = kTemperature};
    const std::vector<float> scored = score(tiny.model, whole, options);
    for (size_t index = 0; index < sampled.size(); ++index) {
      const std::vector<float>& logprobs = sampled[index].logprobs;
      const auto begin = static_cast<size_t>(whole.offsets[index + 1]) - logprobs.size();
      for (size_t i = 0; i < logprobs.size(); ++i)
        EXPECT(scored[begin + i] == logprobs[i], "token ", i, " of sequence ", index);
    }
    EXPECT(same_bits(score(threaded.model, whole, options), scored), "two threads");
    EXPECT(same_bits(score(tiny.model, whole, {kTemperature, 20}), scored), "small batches");
    tiny.model.enable_training();
    LossOptions loss = supervised();
    loss.temperature = kTemperature;
    const LossResult result = accumulate_all(tiny.model, whole, loss);
    for (size_t i = 0; i < scored.size(); ++i)
      EXPECT(result.logprobs[i] == scored[i] || std::isnan(scored[i]), "trained token ", i);
    EXPECT(!same_bits(score(tiny.model, whole, {.temperature = kTemperature, .adapter = false}), scored),
           "the adapter counts");
  }
}

const Registration kOnPolicy([] {
  for (const DType dtype : {DType::kF32, DType::kBF16})
    add_model_tests(std::string("model/adapter/on-policy/") + name(dtype),
                    [=](const Ops& ops) { check_on_policy(ops, dtype); });
  add_model_tests("model/adapter/equals the reference", [](const Ops& ops) {
    for (const std::string& architecture : tiny_architectures())
      for (const float dropout : {0.0f, 0.4f}) {
        AdaptedModel tiny(ops, architecture, adapter_config(dropout), DType::kF32, 2);
        AdaptedModel reference(reference_ops(), architecture, adapter_config(dropout));
        tiny.model.enable_training();
        reference.model.enable_training();
        accumulate_all(tiny.model, kSequences, supervised_with(5));
        accumulate_all(reference.model, kSequences, supervised_with(5));
        const double difference =
            largest_difference(take_gradients(reference.model), take_gradients(tiny.model));
        EXPECT(difference < 2e-5, architecture, " differs by ", difference);
      }
  });
});

}  // namespace
}  // namespace winnow::test
