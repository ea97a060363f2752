"""What a killed worker leaves on the disk is in nobody's way."""

import pytest

from legato.disk import clear_scratch


def test_what_others_left_is_gone(tmp_path):
    """Folders and files, and nothing beside them."""
    (tmp_path / "other").touch()
    left = tmp_path / "legato" / "tmpabc"
    left.mkdir(parents=True)
    (left / "leg-0").write_bytes(b"audio")
    (tmp_path / "legato" / "file").touch()
    folder = clear_scratch(tmp_path / "legato")
    assert (folder, list(folder.iterdir())) == (tmp_path / "legato", [])
    assert (tmp_path / "other").exists()


def test_there_need_be_nothing(tmp_path):
    assert clear_scratch(tmp_path / "a" / "legato").is_dir()


@pytest.mark.attacks("a link where the folder for audio on its way is to be")
def test_a_link_is_not_followed(tmp_path):
    """It goes away, and what it leads to stays."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (tmp_path / "legato").symlink_to(elsewhere)
    folder = clear_scratch(tmp_path / "legato")
    assert (folder.is_symlink(), list(folder.iterdir())) == (False, [])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (elsewhere / "file").exists()
