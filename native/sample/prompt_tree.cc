#include "sample/prompt_tree.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace winnow {

PromptTree::PromptTree(const Sequences& prompts, int completions_per_prompt)
    : forest_(build_token_forest(prompts.tokens, prompts.offsets)) {
  for (const ForestSegment& segment : forest_.segments)
    segments_.push_back({segment.parent, segment.position_begin, segment.row_begin, segment.length,
                         blocks_needed(segment.position_begin, segment.length)});
  leases_.resize(segments_.size());

  std::vector<int32_t> segment_of_row(forest_.tokens.size());
  for (size_t index = 0; index < segments_.size(); ++index)
    std::fill_n(segment_of_row.begin() + segments_[index].row_begin, segments_[index].length,
                static_cast<int32_t>(index));
  for (size_t index = 0; index < prompts.count(); ++index) {
    const auto last = static_cast<size_t>(forest_.sequence_offsets[index + 1] - 1);
    const int32_t end = segment_of_row[static_cast<size_t>(forest_.sequence_rows[last])];
    prompts_.push_back({end, static_cast<int32_t>(prompts.length(index)), completions_per_prompt});
    segment(end).ends_prompt = true;
    segment(end).waiting_rows += completions_per_prompt;
    for (int32_t at = end; at >= 0; at = segment(at).parent) ++segment(at).prompts;
  }
  order_.resize(prompts_.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::ranges::stable_sort(order_, {}, [&](size_t index) { return prompts_[index].segment; });
}

void PromptTree::match(PrefixCache& cache) {
  cache_ = &cache;
  for (PromptSegment& each : segments_) {
    const bool follows = each.parent < 0 || segment(each.parent).in_prefix_cache;
    if (!follows) continue;
    const auto tokens = std::span(forest_.tokens)
                            .subspan(static_cast<size_t>(each.row_begin), static_cast<size_t>(each.length));
    each.prefix = cache.match(each.parent < 0 ? kNoPrefix : segment(each.parent).prefix, tokens);
    const int32_t found = cache.position(each.prefix) - each.position_begin;
    each.in_prefix_cache = found == each.length;
    each.known = each.computed = std::min(found, each.ends_prompt ? each.length - 1 : each.length);
    each.blocks = blocks_needed(each.position_begin + each.known, each.length - each.known);
  }
}

int64_t PromptTree::known_tokens() const {
  return std::accumulate(segments_.begin(), segments_.end(), int64_t{0},
                         [](int64_t sum, const PromptSegment& each) { return sum + each.known; });
}

std::span<const int32_t> PromptTree::next_tokens(int32_t index, int32_t count) const {
  const PromptSegment& from = segments_[static_cast<size_t>(index)];
  return std::span(forest_.tokens)
      .subspan(static_cast<size_t>(from.row_begin + from.computed),
               static_cast<size_t>(std::min(count, from.length - from.computed)));
}

std::vector<KeyRun> PromptTree::runs_before(int32_t index) const {
  const PromptSegment& to = segments_[static_cast<size_t>(index)];
  if (to.known > 0) return cache_->runs(to.prefix, to.position_begin + to.known);
  return to.parent < 0 ? std::vector<KeyRun>() : segments_[static_cast<size_t>(to.parent)].runs;
}

void PromptTree::keep_keys(int32_t index) {
  PromptSegment& done = segment(index);
  const bool follows = done.parent < 0 || segment(done.parent).in_prefix_cache;
  if (!cache_ || !follows || done.in_prefix_cache) return;
  const PrefixHold after = done.parent >= 0 && done.known == 0 ? segment(done.parent).prefix : done.prefix;
  const auto tokens = std::span(forest_.tokens)
                          .subspan(static_cast<size_t>(done.row_begin + done.known),
                                   static_cast<size_t>(done.length - done.known));
  const auto end = cache_->adopt(after, tokens, leases_[static_cast<size_t>(index)]);
  if (!end) return;
  cache_->release(std::exchange(done.prefix, *end));
  done.in_prefix_cache = true;
}

int64_t PromptTree::total_blocks() const {
  return std::accumulate(segments_.begin(), segments_.end(), int64_t{0},
                         [](int64_t sum, const PromptSegment& segment) { return sum + segment.blocks; });
}

int64_t PromptTree::path_blocks(size_t prompt) const {
  int64_t blocks = 0;
  for (int32_t at = prompts_[prompt].segment; at >= 0; at = segments_[static_cast<size_t>(at)].parent)
    blocks += segments_[static_cast<size_t>(at)].blocks;
  return blocks;
}

int64_t PromptTree::missing_blocks(size_t prompt) const {
  int64_t blocks = 0;
  for (int32_t at = prompts_[prompt].segment; at >= 0; at = segments_[static_cast<size_t>(at)].parent)
    if (!segments_[static_cast<size_t>(at)].resident) blocks += segments_[static_cast<size_t>(at)].blocks;
  return blocks;
}

void PromptTree::make_resident(size_t prompt, KeyValueStore& store, std::vector<int32_t>& to_compute) {
  std::vector<int32_t> missing;
  for (int32_t at = prompts_[prompt].segment; at >= 0 && !segment(at).resident; at = segment(at).parent)
    missing.push_back(at);
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    BlockLease lease(store);
    lease.take(segment(*at).blocks);
    leases_[static_cast<size_t>(*at)] = std::move(lease);
    segment(*at).resident = true;
    if (segment(*at).computed < segment(*at).length)
      to_compute.push_back(*at);
    else
      segment(*at).runs = runs_before(*at);
  }
}

void PromptTree::finish_prompt(size_t prompt) {
  for (int32_t at = prompts_[prompt].segment; at >= 0; at = segment(at).parent) {
    if (--segment(at).prompts > 0) continue;
    leases_[static_cast<size_t>(at)].give_back();
    if (cache_) cache_->release(std::exchange(segment(at).prefix, kNoPrefix));
    segment(at).resident = false;
    segment(at).runs = {};
  }
}

}  // namespace winnow
