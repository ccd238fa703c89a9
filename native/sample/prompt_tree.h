// The prompts of a generate call as a forest whose segments are computed when first needed and freed
// when the last prompt below them is done.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/activation_cache.h"
#include "model/attention_planning.h"
#include "model/prefix_cache.h"
#include "model/sequences.h"

namespace winnow {

struct PromptSegment {
  int32_t parent, position_begin, row_begin, length;
  int64_t blocks;        // of the KV store for the tokens not known before, once resident
  int32_t known = 0;     // first tokens whose keys a call before has left
  int32_t computed = 0;  // tokens whose keys are there, those included
  int64_t prompts = 0;   // below it and not done
  bool ends_prompt = false;
  bool resident = false;
  PrefixHold prefix = kNoPrefix;  // in the prefix cache: after the known tokens, then at the end
  bool in_prefix_cache = false;   // all its tokens
  std::vector<KeyRun> runs{};     // of the path so far; grows while the segment is computed
  int32_t hidden_slot = -1;       // where the last token's hidden state is kept while rows wait for it
  int32_t cached_node = ActivationCache::kUnknown;  // of the last token computed
  int64_t waiting_rows = 0;                         // completions that have not drawn their first token
};

struct Prompt {
  int32_t segment;  // where it ends
  int32_t length;
  int64_t unfinished_rows;
};

class PromptTree {
 public:
  PromptTree(const Sequences& prompts, int completions_per_prompt);

  // Looks up which tokens' keys are known. A prompt's last token is computed in any case, since its
  // hidden state is wanted. Before anything is resident.
  void match(PrefixCache& cache);
  int64_t known_tokens() const;

  const TokenForest& forest() const { return forest_; }
  // Prompts in depth-first order: a segment's prompts stand together, so what is kept for prompts to
  // come is always a path to the next one, and admission cannot lock up.
  std::span<const size_t> order() const { return order_; }
  Prompt& prompt(size_t index) { return prompts_[index]; }
  PromptSegment& segment(int32_t index) { return segments_[static_cast<size_t>(index)]; }
  int64_t total_blocks() const;
  int64_t path_blocks(size_t prompt) const;
  int64_t missing_blocks(size_t prompt) const;  // of the path's segments that are not resident

  // Takes blocks for the path's missing segments and adds those to `to_compute`, parents first.
  void make_resident(size_t prompt, KeyValueStore& store, std::vector<int32_t>& to_compute);
  // Those of the tokens from position_begin + known on.
  std::span<const int32_t> blocks(int32_t segment) const {
    return leases_[static_cast<size_t>(segment)].blocks();
  }
  // What is to be computed next of a segment, up to `count` tokens.
  std::span<const int32_t> next_tokens(int32_t segment, int32_t count) const;
  // The runs of the path to the segment's first token that is computed.
  std::vector<KeyRun> runs_before(int32_t segment) const;
  // The segment is computed: the cache keeps its keys if it can.
  void keep_keys(int32_t segment);
  // The prompt's rows are all done: gives back what no other prompt needs.
  void finish_prompt(size_t prompt);

 private:
  TokenForest forest_;
  std::vector<PromptSegment> segments_;
  std::vector<BlockLease> leases_;  // of resident segments
  std::vector<Prompt> prompts_;
  std::vector<size_t> order_;
  PrefixCache* cache_ = nullptr;
};

}  // namespace winnow
