// Embedding lookup and row selection, which only move numbers, and their summing gradients.
#include "op_test.h"

namespace winnow::test {
namespace {

struct TableShape {
  int64_t rows, table_rows, width;
};
constexpr TableShape kShapes[] = {{0, 4, 3}, {1, 1, 1}, {2, 9, 17}, {40, 7, 33}, {65, 300, 48}, {9, 5, 16}};

std::vector<OpCase> embedding_forward_cases() {
  std::vector<OpCase> cases;
  for (const TableShape& s : kShapes)
    for (const DType table : {DType::kF32, DType::kBF16, DType::kF16})
      for (const DType dtype : {DType::kF32, DType::kBF16})
        cases.push_back({text("M=", s.rows, " V=", s.table_rows, " D=", s.width, " table ", name(table),
                              " to ", name(dtype)),
                         {set("out", {s.rows, s.width}, tolerance::exact()).rows(),
                          indices("tokens", s.rows, s.table_rows),
                          input("table", {s.table_rows, s.width}).as(table).any_rows()},
                         [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                           ops.embedding_forward(context, v[0], v[1], v[2], dtype);
                           return std::vector<double>{};
                         }});
  return cases;
}

using AddRows = void (*)(const Ops&, Context&, const std::vector<View>&);

// Repeated indices are certain: there are more rows than the table has.
std::vector<OpCase> add_rows_cases(AddRows call) {
  std::vector<OpCase> cases;
  for (const TableShape& s : kShapes)
    cases.push_back({text("M=", s.rows, " R=", s.table_rows, " D=", s.width),
                     {acc("sums", {s.table_rows, s.width}, tolerance::dot(s.rows, 1, 1, 1)).any_rows(),
                      input("dout", {s.rows, s.width}).rows(), indices("indices", s.rows, s.table_rows)},
                     [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                       call(ops, context, v);
                       return std::vector<double>{};
                     }});
  return cases;
}

std::vector<OpCase> gather_cases() {
  std::vector<OpCase> cases;
  for (const TableShape& s : kShapes)
    cases.push_back(
        {text("M=", s.rows, " R=", s.table_rows, " D=", s.width),
         {set("out", {s.rows, s.width}, tolerance::exact()).rows(),
          input("x", {s.table_rows, s.width}).any_rows(), indices("indices", s.rows, s.table_rows)},
         [](const Ops& ops, Context& context, const std::vector<View>& v) {
           ops.gather_rows(context, v[0], v[1], v[2]);
           return std::vector<double>{};
         }});
  return cases;
}

const Registration registered([] {
  add_op_tests("embedding_forward", embedding_forward_cases);
  add_op_tests("embedding_backward", [] {
    return add_rows_cases([](const Ops& ops, Context& context, const std::vector<View>& v) {
      ops.embedding_backward(context, v[0], v[1], v[2]);
    });
  });
  add_op_tests("gather_rows", gather_cases);
  add_op_tests("scatter_add_rows", [] {
    return add_rows_cases([](const Ops& ops, Context& context, const std::vector<View>& v) {
      ops.scatter_add_rows(context, v[0], v[1], v[2]);
    });
  });
});

}  // namespace

TEST("ops/reference/embedding by hand") {
  ThreadPool pool(1);
  Context context{pool};
  float table[] = {1, 2, 3, 4, 1.00390625f, -6}, out[4] = {}, dtable[6] = {10, 0, 0, 0, 0, 0};
  int32_t tokens[] = {2, 0};
  const View tokens_view(tokens, DType::kI32, {2}), out_view(out, DType::kF32, {2, 2});
  reference_ops().embedding_forward(context, out_view, tokens_view, View(table, DType::kF32, {3, 2}),
                                    DType::kBF16);
  // 1 + 2^-8 lies half way between two bf16 numbers: to the even one, 1.
  EXPECT(out[0] == 1 && out[1] == -6 && out[2] == 1 && out[3] == 2, out[0], " ", out[1], " ", out[2], " ",
         out[3]);
  int32_t same[] = {0, 0};
  reference_ops().embedding_backward(context, View(dtable, DType::kF32, {3, 2}), out_view,
                                     View(same, DType::kI32, {2}));
  EXPECT(dtable[0] == 12 && dtable[1] == -4 && dtable[2] == 0, dtable[0], " ", dtable[1]);
}

}  // namespace winnow::test
