// Keys and values of prompts that were computed before, found again by their tokens.
//
// A radix tree: a node holds the tokens of a stretch of a path and the blocks of the KV store with their
// keys. What a token's keys are depends on its path alone, so reading them from here changes no bit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/attention_planning.h"

namespace winnow {

// A counted reference to a place on a path of the tree: while it is held, nothing before that place is
// evicted.
using PrefixHold = int32_t;
constexpr PrefixHold kNoPrefix = -1;  // the root, before the first token, which needs no holding

class PrefixCache {
 public:
  PrefixCache(Context& context, const Ops& ops, const ModelConfig& config);

  // Begins a call that takes up to `blocks` blocks of its own; the tree keeps at most `kept` more. What an
  // earlier call held is let go. Allocates a store when there is none that large (what the old one held is
  // lost). Throws ERR_MEMORY_PLAN.
  KeyValueStore& begin(int64_t blocks, int64_t kept);
  // Forgets all keys: the weights have changed.
  void clear();

  // Follows `tokens` from `from` as far as they are known, and holds the place reached.
  PrefixHold match(PrefixHold from, std::span<const int32_t> tokens);
  // Tokens from the beginning to the place held.
  int32_t position(PrefixHold hold) const;
  // The keys of the first `count` tokens before it.
  std::vector<KeyRun> runs(PrefixHold hold, int32_t count) const;
  // Takes over the blocks of `lease`, which hold the keys of `tokens` right after `at`, and holds their end.
  // Makes room by evicting what was not used for the longest time. Refuses, and leaves the lease alone, where
  // the first token is known already or there is no room.
  std::optional<PrefixHold> adopt(PrefixHold at, std::span<const int32_t> tokens, BlockLease& lease);
  void release(PrefixHold hold);

  int64_t kept_blocks() const { return kept_blocks_; }
  int64_t size_bytes() const;

 private:
  struct Place {
    int32_t node = -1;  // -1: the root
    int32_t position = 0;
    bool held = false;
  };
  struct Node {
    int32_t parent;
    int32_t position;             // of its first token
    std::vector<int32_t> tokens;  // empty: not in use
    std::vector<int32_t> blocks;
    bool shares_first_block;  // that block belongs to the node above
    uint64_t last_use;
    int32_t holds = 0;  // places in it that are held
    std::vector<int32_t> children{};

    int32_t end() const { return position + static_cast<int32_t>(tokens.size()); }
  };

  Node& node(int32_t index) { return nodes_[static_cast<size_t>(index)]; }
  const Node& node(int32_t index) const { return nodes_[static_cast<size_t>(index)]; }
  Place place(PrefixHold hold) const;
  PrefixHold hold(int32_t node, int32_t position);
  std::vector<int32_t>& children_of(int32_t index) { return index < 0 ? roots_ : node(index).children; }
  int32_t child_with(int32_t parent, int32_t token);
  int32_t add_node(Node fresh);
  void split(int32_t index, int32_t position);
  bool evict_one();
  void give_back_blocks(const Node& from);  // those that are its own
  void remove(int32_t index);

  Context& context_;
  const Ops& ops_;
  const ModelConfig& config_;
  std::unique_ptr<KeyValueStore> store_;
  std::vector<Node> nodes_;
  std::vector<Place> places_;  // by PrefixHold
  std::vector<int32_t> roots_, unused_nodes_, unused_holds_;
  int64_t kept_blocks_ = 0, most_blocks_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace winnow
