// Builds token forests as attention sees them, from (parent, length) pairs, with keys and values that
// depend on what a token is and not on where the batch holds it.
#pragma once

#include "op_test.h"

namespace winnow::test {

struct ForestPart {
  int parent;  // index of an earlier part, or -1
  int length;
  int contents;  // its tokens are "contents", "contents" + 1, ...: equal numbers have equal q, k, v
};

struct Forest {
  std::vector<ForestPart> parts;
  int cached = 0;       // the first parts came from an earlier call: keys without batch rows
  bool twins = false;   // every segment twice, the second one over the keys of the first
  bool joined = false;  // a part goes on in its parent's last block, if that has room
};

struct BuiltForest {
  AttentionPlan plan;
  int64_t rows = 0, blocks = 0;
  std::vector<int> row_contents;               // (rows)
  std::vector<std::pair<int64_t, int>> slots;  // every written slot and the content of its token
  std::vector<int64_t> row_slots;              // (rows)
};

// Blocks are handed out from the highest index down, with one block of rubbish at the bottom.
BuiltForest build_forest(const Forest& forest);

struct HeadShape {
  int64_t heads, kv_heads, head_dim;
  DType stored = DType::kF32;  // keys and values
};
// The layer of two operands.
KeyValueLayer layer_of(const View& keys, const View& values, HeadShape shape);

// Operands of the cases below, by index.
enum ForwardOperand { kForwardOut, kForwardLse, kForwardQ, kForwardKeys, kForwardValues };
enum BackwardOperand {
  kBackwardDq,
  kBackwardDk,
  kBackwardDv,
  kBackwardDout,
  kBackwardOut,
  kBackwardQ,
  kBackwardLse,
  kBackwardKeys,
  kBackwardValues
};
OpCase attention_forward_case(const std::string& label, const Forest& forest, HeadShape shape);
OpCase attention_backward_case(const std::string& label, const Forest& forest, HeadShape shape);

// Numbers of a (rows, width) tensor whose row is a function of the row's content.
std::vector<double> content_numbers(const std::string& name, const std::vector<int>& contents, int64_t width);

}  // namespace winnow::test
