#include "model/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "model/room.h"

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
    require_memory(context_, ops_, bytes,
                   "KV store of " + std::to_string(blocks + kept) + " blocks, " + std::to_string(kept) +
                       " of them for prefixes",
                   "lower max_batch, max_kv_bytes or max_prefix_bytes");
    store_ = std::make_unique<KeyValueStore>(context_, ops_, config_, blocks + kept);
  }
  places_.clear();
  unused_holds_.clear();
  for (Node& each : nodes_) each.holds = 0;
  most_blocks_ = kept;
  while (kept_blocks_ > most_blocks_ && evict_one()) {
  }
  return *store_;
}

void PrefixCache::clear() {
  for (const Node& each : nodes_) give_back_blocks(each);
  nodes_.clear();
  roots_.clear();
  unused_nodes_.clear();
  places_.clear();
  unused_holds_.clear();
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

PrefixCache::Place PrefixCache::place(PrefixHold hold) const {
  if (hold == kNoPrefix) return {};
  WINNOW_DCHECK(places_[static_cast<size_t>(hold)].held);
  return places_[static_cast<size_t>(hold)];
}

PrefixHold PrefixCache::hold(int32_t index, int32_t position) {
  if (index < 0) return kNoPrefix;
  ++node(index).holds;
  node(index).last_use = ++uses_;
  const Place fresh{index, position, true};
  if (unused_holds_.empty()) {
    places_.push_back(fresh);
    return static_cast<PrefixHold>(places_.size()) - 1;
  }
  const PrefixHold hold = unused_holds_.back();
  unused_holds_.pop_back();
  places_[static_cast<size_t>(hold)] = fresh;
  return hold;
}

void PrefixCache::release(PrefixHold hold) {
  if (hold == kNoPrefix) return;
  const Place from = place(hold);
  --node(from.node).holds;
  for (int32_t at = from.node; at >= 0; at = node(at).parent) node(at).last_use = ++uses_;
  places_[static_cast<size_t>(hold)].held = false;
  unused_holds_.push_back(hold);
}

int32_t PrefixCache::position(PrefixHold hold) const { return place(hold).position; }

PrefixHold PrefixCache::match(PrefixHold from, std::span<const int32_t> tokens) {
  Place at = place(from);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (at.node < 0 || at.position == node(at.node).end()) {
      const int32_t child = child_with(at.node, tokens[i]);
      if (child < 0) break;
      at.node = child;
    }
    const Node& here = node(at.node);
    if (here.tokens[static_cast<size_t>(at.position - here.position)] != tokens[i]) break;
    ++at.position;
  }
  return hold(at.node, at.position);
}

std::vector<KeyRun> PrefixCache::runs(PrefixHold hold, int32_t count) const {
  std::vector<int32_t> path;
  for (int32_t at = place(hold).node; at >= 0; at = node(at).parent) path.push_back(at);
  std::vector<KeyRun> runs;
  for (auto at = path.rbegin(); at != path.rend(); ++at) {
    const Node& part = node(*at);
    append_runs(runs, part.blocks, part.position, part.position, std::min(part.end(), count), -1);
  }
  return runs;
}

std::optional<PrefixHold> PrefixCache::adopt(PrefixHold after, std::span<const int32_t> tokens,
                                             BlockLease& lease) {
  Place at = place(after);
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
      add_node({at.node, at.position, {tokens.begin(), tokens.end()}, lease.hand_over(), false, 0});
  children_of(at.node).push_back(index);
  kept_blocks_ += wanted;
  return hold(index, node(index).end());
}

int32_t PrefixCache::add_node(Node fresh) {
  if (unused_nodes_.empty()) {
    nodes_.push_back(std::move(fresh));
    return static_cast<int32_t>(nodes_.size()) - 1;
  }
  const int32_t index = unused_nodes_.back();
  unused_nodes_.pop_back();
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
             upper.last_use,
             0,
             std::move(upper.children)};
  upper.tokens.resize(length);
  upper.blocks.resize(upper_blocks);
  upper.children.clear();
  const int32_t lower_index = add_node(std::move(lower));  // `upper` may have moved
  node(index).children.push_back(lower_index);
  for (const int32_t child : node(lower_index).children) node(child).parent = lower_index;
  for (Place& each : places_) {
    if (!each.held || each.node != index || each.position <= position) continue;
    each.node = lower_index;
    --node(index).holds;
    ++node(lower_index).holds;
  }
}

// The leaf that was not used for the longest time, of those that nobody holds.
bool PrefixCache::evict_one() {
  int32_t oldest = -1;
  for (int32_t index = 0; index < static_cast<int32_t>(nodes_.size()); ++index) {
    const Node& each = node(index);
    if (each.tokens.empty() || !each.children.empty() || each.holds > 0) continue;
    if (oldest < 0 || each.last_use < node(oldest).last_use) oldest = index;
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
  unused_nodes_.push_back(index);
}

}  // namespace winnow
