// The token forest against a set of prefixes, written the slow way.
#include <map>
#include <set>

#include "model/token_forest.h"
#include "tiny_model.h"

namespace winnow::test {
namespace {

using Lists = std::vector<std::vector<int32_t>>;

// Few symbols and copied prefixes, so that sequences branch often; some empty, some equal.
Lists random_lists(Random& random) {
  Lists lists;
  const int64_t count = random.integer(0, 12);
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> list;
    if (!lists.empty() && random.integer(0, 3) != 0) {
      const auto& other = lists[static_cast<size_t>(random.integer(0, static_cast<int64_t>(lists.size())))];
      list.assign(other.begin(), other.begin() + random.integer(0, static_cast<int64_t>(other.size()) + 1));
    }
    const auto more = random_tokens(random, random.integer(0, 9), 3);
    list.insert(list.end(), more.begin(), more.end());
    lists.push_back(list);
  }
  return lists;
}

void check_sequences(const Lists& lists, const TokenForest& forest) {
  EXPECT(forest.sequence_offsets.size() == lists.size() + 1, "one offset a sequence and the end");
  std::map<int32_t, int32_t> parent_row;  // of a row: the row before it on its path
  for (size_t s = 0; s < lists.size(); ++s) {
    const auto begin = static_cast<size_t>(forest.sequence_offsets[s]);
    EXPECT(
        forest.sequence_offsets[s + 1] - forest.sequence_offsets[s] == static_cast<int64_t>(lists[s].size()),
        "length of sequence ", s);
    int32_t before = -1;
    for (size_t i = 0; i < lists[s].size(); ++i) {
      const int32_t row = forest.sequence_rows[begin + i];
      EXPECT(forest.tokens.at(static_cast<size_t>(row)) == lists[s][i], "token ", i, " of sequence ", s);
      EXPECT(forest.positions.at(static_cast<size_t>(row)) == static_cast<int32_t>(i), "position");
      EXPECT(parent_row.emplace(row, before).first->second == before, "a row has one path");
      before = row;
    }
  }
}

void check_forest(const Lists& lists) {
  const TokenLists flat(lists);
  const TokenForest forest = build_token_forest(flat.tokens, flat.offsets);
  std::set<std::vector<int32_t>> prefixes;
  for (const auto& list : lists)
    for (size_t length = 1; length <= list.size(); ++length)
      prefixes.insert(std::vector<int32_t>(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(length)));
  EXPECT(forest.tokens.size() == prefixes.size(), forest.tokens.size(), " rows, ", prefixes.size(),
         " prefixes");
  check_sequences(lists, forest);
  int32_t row = 0;
  for (size_t i = 0; i < forest.segments.size(); ++i) {
    const ForestSegment& segment = forest.segments[i];
    EXPECT(segment.length > 0 && segment.row_begin == row, "segments tile the rows");
    EXPECT(segment.parent < static_cast<int32_t>(i), "parents come first");
    const int32_t begin = segment.parent < 0
                              ? 0
                              : forest.segments[static_cast<size_t>(segment.parent)].position_begin +
                                    forest.segments[static_cast<size_t>(segment.parent)].length;
    EXPECT(segment.position_begin == begin, "a segment starts where its parent ends");
    row += segment.length;
  }
  EXPECT(static_cast<size_t>(row) == forest.tokens.size(), "segments cover all rows");
}

TEST("model/token forest/random sequences") {
  for (int trial = 0; trial < 400; ++trial) {
    Random random(text("forest ", trial));
    check_forest(random_lists(random));
  }
}

TEST("model/token forest/rows do not depend on the order of the sequences") {
  const TokenLists one({{1, 2, 3}, {}, {1, 2, 4, 5}, {0}, {1, 2}}),
      other({{1, 2}, {0}, {1, 2, 4, 5}, {}, {1, 2, 3}});
  const TokenForest a = build_token_forest(one.tokens, one.offsets),
                    b = build_token_forest(other.tokens, other.offsets);
  EXPECT(a.tokens == b.tokens && a.positions == b.positions, "same rows");
  EXPECT((a.tokens == std::vector<int32_t>{0, 1, 2, 3, 4, 5}), "depth first, by token");
  EXPECT((a.sequence_rows == std::vector<int32_t>{1, 2, 3, 1, 2, 4, 5, 0, 1, 2}), "rows of each sequence");
}

TEST("model/token forest/the check fails on a wrong forest") {
  TokenForest forest = build_token_forest(std::vector<int32_t>{1, 2, 1, 3}, std::vector<int64_t>{0, 2, 4});
  forest.sequence_rows[3] = forest.sequence_rows[1];
  expect_failure("a swapped row", [&] { check_sequences({{1, 2}, {1, 3}}, forest); });
}

TEST("model/token forest/refuses offsets that do not fit") {
  const std::vector<int32_t> tokens{1, 2, 3};
  for (const std::vector<int64_t>& offsets :
       {std::vector<int64_t>{}, {0, 2}, {1, 3}, {0, 2, 1, 3}, {0, 4}, {0, -1, 3}})
    expect_error("ERR_SHAPE", [&] { build_token_forest(tokens, offsets); });
}

}  // namespace
}  // namespace winnow::test
