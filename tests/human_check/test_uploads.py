import itertools

import pytest

from sidlib.human_check import uploads
from sidlib.human_check.uploads import Uploads

CONTENT = bytes(range(100))


def cut(content, upload="1", size=30):
    """A file in pieces, as a browser sends them."""
    for start in range(0, max(len(content), 1), size):
        part = content[start : start + size]
        yield {"id": upload, "size": len(content), "start": start, "end": start + len(part)}, [memoryview(part)]


def send(arriving, pieces, name="night.arw"):
    return [arriving.take(name, *piece) for piece in pieces]


@pytest.mark.parametrize("content", [CONTENT, CONTENT[:30], b"x", b""])
def test_a_file_is_whole_with_its_last_piece(content):
    *before, (_, whole) = send(Uploads(), cut(content))
    assert b"".join(whole) == content and all(part is None for _, part in before)


@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_pieces_may_come_in_any_order(order):
    pieces = list(cut(CONTENT))
    *before, (_, whole) = send(Uploads(), [pieces[place] for place in order])
    assert b"".join(whole) == CONTENT and all(part is None for _, part in before)


def test_two_files_at_once_are_kept_apart_though_they_have_one_name():
    arriving = Uploads()
    other = CONTENT[::-1]
    said = send(arriving, itertools.chain(*zip(cut(CONTENT, "1"), cut(other, "2"), strict=True)))
    assert [b"".join(whole) for _, whole in said if whole] == [CONTENT, other]
    assert arriving.arriving == {}


def test_progress_is_said():
    assert [text for text, _ in send(Uploads(), cut(CONTENT))][:3] == [
        f"Uploading night.arw … {percent} %" for percent in (30, 60, 90)
    ]


def test_a_file_whose_beginning_is_missing_says_so():
    _, *rest = cut(CONTENT)
    for text, whole in send(Uploads(), rest):
        assert whole is None and text.startswith("night.arw: not all before byte") and "upload it again" in text


def test_an_upload_that_stopped_goes_when_another_comes(monkeypatch):
    arriving = Uploads()
    send(arriving, list(cut(CONTENT, "stopped"))[:2])
    send(arriving, list(cut(CONTENT, "slow"))[:1])
    assert set(arriving.arriving) == {"stopped", "slow"}
    monkeypatch.setattr(uploads, "QUIET_S", 0)
    send(arriving, list(cut(CONTENT, "new"))[:1])
    assert set(arriving.arriving) == {"new"}
