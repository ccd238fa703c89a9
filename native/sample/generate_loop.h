// Continuous batching: rows join when there is room, leave when they are done, and share their prompts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sample/generate.h"
#include "sample/prompt_tree.h"
#include "sample/stop_strings.h"

namespace winnow {

// What a call asks for, checked (see generate.cc).
struct GenerateRequest {
  Sequences prompts;
  std::span<const uint64_t> prompt_keys;
  const SamplingOptions& sampling;
  const TokenBytes& token_bytes;
  const GenerateLimits& limits;

  // Tokens that a completion of this prompt may have: to max_tokens, or to the end of the context.
  int64_t room(const ModelConfig& config, size_t prompt) const;
  // Blocks that its keys may take: those of all its tokens but the last, which is never computed.
  int64_t row_blocks(const ModelConfig& config, size_t prompt) const;
};

class GenerateLoop {
 public:
  // `store` must hold any one prompt with one completion. All its blocks are free again when the loop
  // ends, however it ends.
  GenerateLoop(Model& model, KeyValueStore& store, PromptTree tree, const GenerateRequest& request,
               const CancelToken& cancel, const Progress& progress);
  GenerateResult run();

 private:
  struct Row {
    size_t prompt;
    uint32_t sample;
    int32_t prompt_length;
    GeneratedSequence* out;
    int64_t room;
    int64_t reserved_blocks;  // not taken yet
    BlockLease lease;         // blocks of its own tokens
    std::vector<KeyRun> runs;
    int32_t cached_node;  // of the last token computed
    std::string tail;     // see StopStrings
    bool finished = false;

    int32_t next_position() const { return prompt_length + static_cast<int32_t>(out->tokens.size()); }
  };

  void admit();
  Row make_row(size_t prompt, uint32_t sample);
  void prefill();
  // Consecutive tokens of a segment in one pass.
  struct Piece {
    int32_t segment, row, rows;
    bool begins_segment, ends_segment;
  };
  void prefill_chunk(std::span<const int32_t> segments, size_t& next);
  Piece add_piece(int32_t segment, int32_t row, int32_t room, std::span<const Piece> before);
  void finish_piece(const Piece& piece, View hidden);
  void keep_prompt_hidden(PromptSegment& segment, View hidden, int64_t row);
  void sample_first_tokens(size_t first_new_row);
  void decode();
  void add_decode_row(Row& row, int32_t index);
  // Draws a token for rows_[begin + i] from row i of `hidden`.
  void sample_tokens(View hidden, size_t begin);
  void append_token(Row& row, int32_t token, float logprob);
  void finish(Row& row, StopReason reason);
  void remove_finished();

  Model& model_;
  KeyValueStore& store_;
  PromptTree tree_;
  const GenerateRequest& request_;
  const CancelToken& cancel_;
  const Progress& progress_;
  ActivationCache& cache_;
  StopStrings stop_strings_;
  GenerateResult result_;
  std::vector<Row> rows_;            // running
  size_t next_prompt_ = 0;           // in the tree's order
  uint32_t next_sample_ = 0;         // of that prompt
  int64_t reserved_blocks_ = 0;      // promised to running rows, not taken yet
  int64_t total_tokens_ = 0;         // upper bound, for progress
  std::vector<int32_t> to_compute_;  // segments that admission made resident
  View prompt_hidden_;               // (slots, D)
  std::vector<int32_t> free_slots_;
  ForwardBatch batch_;
  std::vector<int32_t> sampled_, first_slots_;
  std::vector<float> sampled_logprobs_;
  std::vector<SampleRow> sample_rows_;
};

}  // namespace winnow
