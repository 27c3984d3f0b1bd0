"""Texts as token ids, and rows as batches."""

import numpy as np
import pytest
import torch

from tasks.models.encoder import frozen
from tasks.models.encoder.frozen import compute_rows, pad, tokenise
from tasks.models.encoder.model import GenreNetwork
from tasks.models.encoder.trainer import LengthBuckets, collate

CLS, SEP = 2, 3


@pytest.fixture
def some_tokens(tokenizer):
    return tokenise(["ghosts", "", "haunted house ghosts", "old town"], tokenizer, 16)[0]


def test_each_text_has_its_ids_and_the_encoders_marks(tokenizer, some_tokens):
    words = [tokenizer.token_to_id(word) for word in ("haunted", "house", "ghosts")]
    assert some_tokens[2].tolist() == [CLS, *words, SEP]
    assert some_tokens[1].tolist() == [CLS, SEP]
    assert [len(ids) for ids in some_tokens] == [3, 2, 5, 4]
    assert tokenise(["haunted house ghosts", ""], tokenizer, 16)[1] == 0


def test_what_is_cut_is_counted(tokenizer):
    texts = ["ghosts " * 6, "ghosts " * 7, "ghosts " * 6 + "!", "ghosts " * 1000]
    found, n_truncated = tokenise(texts, tokenizer, 8)
    assert [len(ids) for ids in found] == [8, 8, 8, 8]
    assert n_truncated == 3
    assert all(ids[-1] == SEP for ids in found)


@pytest.mark.parametrize("character", ["a", "é", "字", "😀", " ", "a "], ids=ascii)
def test_fifty_thousand_characters_are_cut(tokenizer, character):
    text = (character * 50_000)[:50_000]
    found, n_truncated = tokenise([text, "ghosts"], tokenizer, 16)
    assert 2 <= len(found[0]) <= 16
    assert n_truncated == 1
    assert found[1][0] == CLS


def test_only_emoji_is_a_text(tokenizer):
    found, n_truncated = tokenise(["😀😀 🎬", "\u200d\ufe0f"], tokenizer, 16)
    assert min(map(len, found)) >= 2
    assert n_truncated == 0


def test_texts_are_the_same_in_pieces(tokenizer, movies, monkeypatch):
    texts = movies["description"].to_list()[:50]
    whole = tokenise(texts, tokenizer, 8)
    monkeypatch.setattr(frozen, "TEXTS_AT_ONCE", 7)
    pieces = tokenise(texts, tokenizer, 8)
    assert [ids.tolist() for ids in pieces[0]] == [ids.tolist() for ids in whole[0]]
    assert pieces[1] == whole[1]


def test_padding_of_a_tokenizer_is_not_used(tokenizer, some_tokens):
    tokenizer.enable_padding(length=12)
    assert len(tokenise(["ghosts"], tokenizer, 16)[0][0]) == 3


def test_no_texts_are_no_tokens(tokenizer):
    assert tokenise([], tokenizer, 16) == ([], 0)
    assert compute_rows("sum", None, [], 0, 3).shape == (0, 3)


def test_rows_are_padded_to_the_longest_of_them(some_tokens):
    ids, mask = pad([some_tokens[row] for row in (1, 3)], 77)
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert ids[0].tolist() == [CLS, SEP, 77, 77]
    assert ids[1].tolist() == some_tokens[3].tolist()


def test_a_batch_for_training_is_padded_alike(some_tokens):
    items = [{"ids": some_tokens[row], "labels": np.array([row == 1, True])} for row in (1, 3)]
    batch = collate(items, pad_id=0)
    ids, mask = pad([some_tokens[row] for row in (1, 3)], 0)
    torch.testing.assert_close(batch["input_ids"], ids)
    torch.testing.assert_close(batch["attention_mask"], mask)
    assert batch["labels"].tolist() == [[1.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_scoring_reads_every_row_once_the_longest_first(parts, size, monkeypatch):
    monkeypatch.setattr(frozen, "SCORING_BATCH", size)
    tokens, masks = parts[0].tokens, []
    compute_rows("x", lambda _, mask: masks.append(mask) or mask[:, :1], tokens, 0, 1)
    assert [len(mask) for mask in masks[:-1]] == [size] * (len(masks) - 1)
    read = np.concatenate([mask.sum(1).cpu().numpy() for mask in masks])
    np.testing.assert_array_equal(read, sorted(map(len, tokens), reverse=True))


def test_rows_are_computed_in_their_order(tokenizer, movies):
    tokens, _ = tokenise(movies["description"].to_list()[:150], tokenizer, 32)
    found = compute_rows("sum", lambda ids, mask: (ids * mask).sum(1, keepdim=True), tokens, 0, 1)
    assert found[:, 0].tolist() == [ids.sum() for ids in tokens]


def test_padding_does_not_change_what_an_encoder_gives(new_encoder, some_tokens):
    network = GenreNetwork(new_encoder(), 3, 0.1).eval()
    rows = [some_tokens[row] for row in range(4)]
    with torch.inference_mode():
        together = network(*pad(rows, 0))
        alone = [network(*pad([row], 0)) for row in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


def test_a_text_without_any_token_gives_finite_logits(new_encoder):
    network = GenreNetwork(new_encoder(), 3, 0.1).eval().to(frozen.choose_device())
    nothing = np.empty(0, np.int32)  # as a tokenizer without marks gives
    found = compute_rows("x", network, [nothing, np.array([5, 6], np.int32)], 0, 3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(compute_rows("x", network, [nothing], 0, 3), found[:1], atol=1e-6)


@pytest.fixture
def lengths():
    return np.random.default_rng(2).integers(2, 128, size=1003)


def epoch_of(buckets, epoch):
    buckets.set_epoch(epoch)
    return list(buckets)


def test_an_epoch_has_every_row_once(lengths):
    buckets = LengthBuckets(lengths, 16, seed=1)
    assert sorted(epoch_of(buckets, 0)) == list(range(1003))
    assert len(buckets) == 1003


def test_seed_and_epoch_determine_the_order(lengths):
    buckets = LengthBuckets(lengths, 16, seed=1)
    first, second = epoch_of(buckets, 0), epoch_of(buckets, 1)
    assert first != second
    assert epoch_of(LengthBuckets(lengths, 16, seed=1), 1) == second
    assert epoch_of(LengthBuckets(lengths, 16, seed=2), 0) != first


@pytest.mark.parametrize("size", [16, 1, 2000])
def test_batches_are_of_like_length_and_only_the_last_is_short(lengths, size):
    order = epoch_of(LengthBuckets(lengths, size, seed=1), 3)
    batches = [lengths[order[at : at + size]] for at in range(0, len(order), size)]
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    padded_size = sum(batch.max() * len(batch) for batch in batches)
    if size < len(lengths):
        assert padded_size < 1.1 * lengths.sum()


def test_lengths_do_not_drift(lengths):
    order = epoch_of(LengthBuckets(lengths, 16, seed=1), 0)
    assert abs(np.corrcoef(np.arange(len(order)), lengths[order])[0, 1]) < 0.3
