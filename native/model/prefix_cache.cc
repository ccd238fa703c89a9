#include "model/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "model/available_memory.h"

namespace winnow {

PrefixCache::PrefixCache(Context& context, const Ops& ops, const ModelConfig& config)
    : context_(context), ops_(ops), config_(config) {}

int64_t PrefixCache::size_bytes() const {
  return store_ ? static_cast<int64_t>(KeyValueStore::size_bytes(config_, store_->blocks())) : 0;
}

KeyValueStore& PrefixCache::begin(int64_t blocks, int64_t kept) {
  if (!store_ || store_->blocks() < blocks + kept) {
    clear();
    store_.reset();  // before the larger one is allocated
    const auto bytes = static_cast<int64_t>(KeyValueStore::size_bytes(config_, blocks + kept));
    require_memory(bytes,
                   "KV store of " + std::to_string(blocks + kept) + " blocks, " + std::to_string(kept) +
                       " of them for prefixes",
                   "lower max_batch, max_kv_bytes or max_prefix_bytes");
    store_ = std::make_unique<KeyValueStore>(context_, ops_, config_, blocks + kept);
  }
  ++call_;
  most_blocks_ = kept;
  for (Node& each : nodes_) each.lower_half = -1;
  while (kept_blocks_ > most_blocks_ && evict_one()) {
  }
  return *store_;
}

void PrefixCache::clear() {
  for (const Node& each : nodes_) give_back_blocks(each);
  nodes_.clear();
  roots_.clear();
  unused_.clear();
}

void PrefixCache::give_back_blocks(const Node& from) {
  for (size_t i = from.shares_first_block ? 1 : 0; i < from.blocks.size(); ++i) {
    store_->give_block(from.blocks[i]);
    --kept_blocks_;
  }
}

int32_t PrefixCache::child_with(int32_t parent, int32_t token) {
  for (const int32_t child : children_of(parent))
    if (node(child).tokens.front() == token) return child;
  return -1;
}

// The node that holds the cursor's place now: a split may have moved it.
PrefixCursor PrefixCache::resolve(PrefixCursor cursor) const {
  while (cursor.node >= 0 && cursor.position > node(cursor.node).end())
    cursor.node = node(cursor.node).lower_half;
  return cursor;
}

PrefixCursor PrefixCache::match(PrefixCursor from, std::span<const int32_t> tokens) {
  PrefixCursor cursor = resolve(from);
  for (size_t i = 0; i < tokens.size();) {
    if (cursor.node < 0 || cursor.position == node(cursor.node).end()) {
      const int32_t child = child_with(cursor.node, tokens[i]);
      if (child < 0) break;
      cursor.node = child;
    }
    Node& here = node(cursor.node);
    if (here.tokens[static_cast<size_t>(cursor.position - here.position)] != tokens[i]) break;
    here.last_call = call_;
    ++cursor.position;
    ++i;
  }
  return cursor;
}

std::vector<KeyRun> PrefixCache::runs(PrefixCursor to) const {
  to = resolve(to);
  std::vector<int32_t> path;
  for (int32_t at = to.node; at >= 0; at = node(at).parent) path.push_back(at);
  std::vector<KeyRun> runs;
  for (auto at = path.rbegin(); at != path.rend(); ++at) {
    const Node& part = node(*at);
    append_runs(runs, part.blocks, part.position, part.position, std::min(part.end(), to.position), -1);
  }
  return runs;
}

std::optional<PrefixCursor> PrefixCache::adopt(PrefixCursor at, std::span<const int32_t> tokens,
                                               BlockLease& lease) {
  at = resolve(at);
  const auto wanted = static_cast<int64_t>(lease.blocks().size());
  const bool inside = at.node >= 0 && at.position < node(at.node).end();
  if (inside) {
    const Node& here = node(at.node);
    if (here.tokens[static_cast<size_t>(at.position - here.position)] == tokens.front()) return std::nullopt;
  } else if (child_with(at.node, tokens.front()) >= 0) {
    return std::nullopt;
  }
  while (kept_blocks_ + wanted > most_blocks_)
    if (!evict_one()) return std::nullopt;
  if (inside) split(at.node, at.position);
  const int32_t index =
      add_node({at.node, at.position, {tokens.begin(), tokens.end()}, lease.hand_over(), false, call_});
  children_of(at.node).push_back(index);
  kept_blocks_ += wanted;
  return PrefixCursor{index, node(index).end()};
}

int32_t PrefixCache::add_node(Node fresh) {
  if (unused_.empty()) {
    nodes_.push_back(std::move(fresh));
    return static_cast<int32_t>(nodes_.size()) - 1;
  }
  const int32_t index = unused_.back();
  unused_.pop_back();
  node(index) = std::move(fresh);
  return index;
}

// Cuts a node in two at `position`, which lies inside it. The upper half keeps the index.
void PrefixCache::split(int32_t index, int32_t position) {
  Node& upper = node(index);
  const auto length = static_cast<size_t>(position - upper.position);
  const auto upper_blocks = static_cast<size_t>(blocks_needed(upper.position, position - upper.position));
  const bool shares = position % kKeyBlock != 0;
  Node lower{index,
             position,
             {upper.tokens.begin() + static_cast<std::ptrdiff_t>(length), upper.tokens.end()},
             {upper.blocks.begin() + static_cast<std::ptrdiff_t>(upper_blocks - (shares ? 1 : 0)),
              upper.blocks.end()},
             shares,
             upper.last_call,
             std::move(upper.children),
             upper.lower_half};
  upper.tokens.resize(length);
  upper.blocks.resize(upper_blocks);
  upper.children.clear();
  const int32_t lower_index = add_node(std::move(lower));  // `upper` may have moved
  node(index).children.push_back(lower_index);
  node(index).lower_half = lower_index;
  for (const int32_t child : node(lower_index).children) node(child).parent = lower_index;
}

// The leaf that was not used for the longest time, unless this call uses it.
bool PrefixCache::evict_one() {
  int32_t oldest = -1;
  for (int32_t index = 0; index < static_cast<int32_t>(nodes_.size()); ++index) {
    const Node& each = node(index);
    if (each.tokens.empty() || !each.children.empty() || each.last_call == call_) continue;
    if (oldest < 0 || each.last_call < node(oldest).last_call) oldest = index;
  }
  if (oldest < 0) return false;
  remove(oldest);
  return true;
}

void PrefixCache::remove(int32_t index) {
  Node& leaf = node(index);
  give_back_blocks(leaf);
  std::erase(children_of(leaf.parent), index);
  leaf.tokens.clear();
  leaf.blocks.clear();
  unused_.push_back(index);
}

}  // namespace winnow
