"""Packages are what others' tools say they are, and a browser without a network plays them."""

import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import wave
import zlib
from pathlib import Path

import pytest

from legato.evidence.verify.package import verify_package
from tests import browser, court
from tests.chain import KEY, pem
from tests.court import real_court

ARTEFACTS = Path(".local/artefacts")
JOINED = "article:nth-of-type(3)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def package(folder):
    (folder / "scratch").mkdir()
    [package] = real_court(folder / "scratch").export(folder / "to")
    return package.folder


def run(*command, cwd, **environment):
    """Run a program without AWS, and return how it ended and what it said."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("damaged", [None, "data/index.html", "data/listen"])
def test_the_library_of_congress_and_sha256sum_check_it(package, tmp_path, damaged):
    """Nobody needs Legato to see that nothing was damaged on the way."""
    copy = shutil.copytree(package, tmp_path / "copy")
    if damaged is not None:
        path = copy / damaged
        path = next(path.iterdir()) if path.is_dir() else path
        path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    bag = run(sys.executable, "-m", "bagit", "--validate", str(copy), cwd=tmp_path)
    sums = run("sha256sum", "--check", "--strict", "manifest-sha256.txt", cwd=copy)
    assert (bag[0] == 0, sums[0] == 0) == (damaged is None, damaged is None), bag[1] + sums[1]


@pytest.mark.parametrize(
    ("tampered", "says"),
    [
        (None, "valid"),
        ("calls/kazoo/a/2026/11/20/k-1/legs/k1.wav", "k1.wav is named by no manifest"),
        ("calls/kazoo/a/2026/11/20/k-1/manifest-1.json", "manifest-1.json is named by no digest"),
        ("digests/2026/11/20/2026-11-20T14.json", "signature: data/digests"),
    ],
)
def test_it_is_proven_by_hand(package, tmp_path, tampered, says):
    """With openssl and sha256sum, as docs/evidence.md writes it, whoever made the lists again."""
    copy = shutil.copytree(package, tmp_path / "copy")
    (tmp_path / "legato.pem").write_bytes(pem(KEY))
    if tampered is not None:
        path = copy / "data" / tampered
        path.write_bytes(path.read_bytes()[:-2] + b" \n")
        sums = "find data -type f -exec sha256sum {} + > manifest-sha256.txt"
        assert run("bash", "-c", sums, cwd=copy)[0] == 0
    [program] = re.findall(r"```sh\n(.*?)```", Path("docs/evidence.md").read_text(), re.DOTALL)
    code, said = run("bash", "-c", program, cwd=copy, KEY=str(tmp_path / "legato.pem"))
    assert says in said
    assert (code == 0) == (tampered is None), said


@pytest.mark.attacks("exchanges a recording for one whose SHA-256 a caller's name has")
def test_no_text_of_a_caller_passes_for_the_proof(tmp_path, monkeypatch):
    """What is compared is the manifest's own field."""
    forged = b"wav of somebody else"
    monkeypatch.setattr(court, "HOSTILE", hashlib.sha256(forged).hexdigest())
    (tmp_path / "scratch").mkdir()
    made = court.Court(tmp_path / "scratch")
    [exported] = made.export(tmp_path / "to", made.rows("ringex"))
    data = exported.folder / "data"
    [leg] = data.glob("calls/ringex/1/*/*/*/*/legs/r1.wav")
    [program] = re.findall(r"```sh\n(.*?)```", Path("docs/evidence.md").read_text(), re.DOTALL)
    code, said = run("bash", "-c", program, cwd=exported.folder)
    assert code == 0, said
    leg.write_bytes(forged)
    sums = "find data -type f -exec sha256sum {} + > manifest-sha256.txt"
    assert run("bash", "-c", sums, cwd=exported.folder)[0] == 0
    code, said = run("bash", "-c", program, cwd=exported.folder)
    assert (code, "r1.wav is named by no manifest" in said) == (1, True), said


def test_the_command_verifies_it_without_aws(package, tmp_path):
    """With the true key, that somebody kept."""
    (tmp_path / "legato.pem").write_bytes(pem(KEY))
    command = [str(Path(sys.executable).with_name("legato")), "verify", str(package), "--deep"]
    code, said = run(*command, "--key", "legato.pem", cwd=tmp_path)
    assert (code, "Valid: nothing of these calls is missing" in said) == (0, True), said


def test_what_was_joined_plays_leg_after_leg(package):
    """Every sample of both segments, and no other."""
    [joined] = (package / "data/listen").iterdir()
    legs = sorted((package / "data/calls/ringcx").rglob("*.wav"))
    assert samples(joined) == b"".join(map(samples, legs))
    report, _ = verify_package(package, deep=True)
    assert report.findings == []


def samples(path):
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


@pytest.fixture(scope="module")
def chromium(folder):
    program = browser.found()
    if program is None:
        pytest.skip("NO BROWSER: THE PAGE OF A PACKAGE WAS NOT TRIED. Install chromium.")
    opened = browser.Browser(program, folder / "profile")
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def disk(package, folder):
    """Copy the package: nothing of it may depend on where it lies."""
    return shutil.copytree(package, folder / "a court's #1 disk, 100% full?")


@pytest.fixture
def page(chromium, disk):
    """Open the page, as it is before anybody has touched it."""
    chromium.open(disk / "data/index.html")
    return chromium


def audio(what, call="article"):
    return f"document.querySelector('{call} audio').{what}"


def test_a_call_plays_in_the_browser(page):
    """Of the length that the manifest says."""
    page.click("article .play")
    page.until(f"{audio('currentTime')} > 0.4")
    assert page.run(audio("duration")) == pytest.approx(20, abs=0.1)
    assert page.run("document.querySelector('article .play').textContent") == "Pause"
    page.click("article .play")
    assert page.run(audio("paused"))


def test_legs_that_lay_apart_play_as_one(page):
    """And the one that played before stops."""
    page.click("article .play")
    page.click(f"{JOINED} .play")
    page.until(f"{audio('currentTime', JOINED)} > 0.3")
    assert page.run(audio("duration", JOINED)) == pytest.approx(16, abs=0.1)
    assert page.run(audio("paused"))
    page.click(f"{JOINED} .play")


def test_a_click_on_a_leg_seeks_to_its_beginning(page):
    """On its marker in the picture, and in the table."""
    left = page.run(
        "(m => (m.getBoundingClientRect().left - m.parentNode.getBoundingClientRect().left)"
        " / m.parentNode.clientWidth)(document.querySelectorAll('article .marker')[1])"
    )
    assert left == pytest.approx(8 / 20, abs=0.01)
    page.run("document.querySelectorAll('article .marker')[1].click()")
    assert page.until(audio("currentTime")) == 8
    page.run(f"document.querySelectorAll('{JOINED} td button')[1].click()")
    assert page.until(audio("currentTime", JOINED)) == 9


def test_a_click_on_the_picture_and_the_buttons_seek(page):
    """As a person expects it, before anything has been played too."""
    page.click("article canvas", share=0.75)
    page.until(stands_at(15))
    page.click("article [data-by='-10']")
    page.until(stands_at(5))
    page.click("article [data-by='10']")
    page.until(stands_at(15))


def stands_at(seconds):
    return f"Math.abs({audio('currentTime')} - {seconds}) < 0.1"


def test_the_keyboard_is_enough(page):
    """Space, arrows, Home and End."""
    page.run("document.querySelector('article .wave').focus()")
    page.press("ArrowRight")
    page.until(stands_at(5))
    page.press("Home")
    page.until(stands_at(0))
    page.press("ArrowRight")
    page.until(stands_at(5))
    page.press(" ")
    page.until(f"{audio('currentTime')} > 5.2")
    page.press(" ")
    assert page.run(audio("paused"))


def test_the_picture_is_that_of_the_sound(page):
    """High where somebody speaks, a line where nobody does."""
    colored = page.run(
        "(c => { const b = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " const columns = Array.from({length: c.width}, (_, x) => {"
        "  let n = 0; for (let y = 0; y < c.height; y += 1) n += b[4 * (y * c.width + x) + 3] > 0;"
        "  return n; }); return [c.width, c.height, ...columns]; })"
        "(document.querySelector('article canvas'))"
    )
    width, height, *columns = colored
    assert len(columns) == width > 600
    assert max(columns) > 0.9 * height
    assert min(column for column in columns if column) <= 0.05 * height


@pytest.mark.parametrize(
    ("text", "found"),
    [("jürgen", [2]), ("(0)30 123456", [2]), ("+1 555 111-2222", [3]), ("", [1, 2, 3])],
)
def test_calls_are_found_by_name_and_number(page, text, found):
    """In whatever notation."""
    page.run(
        f"(s => {{ s.value = {text!r}; s.dispatchEvent(new Event('input')); }})"
        "(document.getElementById('search'))"
    )
    shown = page.run(
        "[...document.querySelectorAll('article')].flatMap((a, n) => a.hidden ? [] : [n + 1])"
    )
    assert shown == found


def test_it_is_kept_as_a_picture_and_has_asked_for_nothing_else(page):
    """Nothing but files beside it, by a browser that would have told of anything else."""
    page.click("article .play")
    page.until(f"{audio('currentTime')} > 0.4")
    body = page.picture(ARTEFACTS / "export.png")
    width, height = struct.unpack(">II", body[16:24])
    assert (width > 1000, height > 1000) == (True, True)
    assert len({zlib.crc32(body[at : at + 999]) for at in range(0, len(body), 999)}) > 20
    assert page.complaints == []
    # A browser draws its own controls with pictures that are in their addresses.
    assert [url for url in page.asked if not url.startswith(("file://", "data:"))] == []
    assert any(url.endswith("recording-1.wav") for url in page.asked)
