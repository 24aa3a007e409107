#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "laconic/load/tokenizer/tokenizer.h"

namespace laconic::tokenizer {

/// Which of the model's control pieces `encode(text, add_special_tokens=true)` puts around a text.
struct SentenceEnds {
  bool bos = true, eos = false;
};

/// A tokenizer that gives the ids of the `sentencepiece` package for a model of type BPE or
/// Unigram.
/// @throws c10::ValueError for a broken file, c10::NotImplementedError for models of words or
/// characters.
std::shared_ptr<const Tokenizer> make_sentencepiece(std::string_view bytes,
                                                    const std::string& where,
                                                    SentenceEnds ends = {});

}  // namespace laconic::tokenizer
