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
from legato.retrieval.export.call_summary import call_summary
from legato.retrieval.export.page import to_html
from tests import browser, court
from tests.audio import tone, write_pcm
from tests.chain import KEY, pem
from tests.court import real_court
from tests.manifests import manifests

ARTEFACTS = Path(".local/artefacts")
JOINED = "article:nth-of-type(3)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def package(folder):
    (folder / "scratch").mkdir()
    [package] = real_court(folder / "scratch").export(folder / "to", zone="Asia/Tokyo")
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


def time(part="article"):
    """Where a player says that it stands, in whole seconds, and how long the recording is."""
    return f"document.querySelector('{part} .time').textContent"


def stands_at(clock, part="article"):
    return f"{time(part)}.startsWith('{clock} /')"


def has_begun(part="article"):
    return f"!{stands_at('0:00', part)}"


def word(part="article"):
    return f"document.querySelector('{part} .play').textContent"


def put(browser, name, value):
    """Choose a value, as a person does."""
    browser.run(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
        f"(document.getElementById('{name}'))"
    )


def test_a_call_plays_in_the_browser(page):
    """Of the length that the manifest says."""
    page.click("article .play")
    page.until(has_begun())
    assert page.run(time()).endswith("/ 0:20")
    assert page.run(word()) == page.run(word("#bar")) == "Pause"
    page.click("article .play")
    page.until(f"{word()} === 'Play'")


def test_legs_that_lay_apart_play_as_one(page):
    """And the one that played before stops, and stays where it was."""
    page.click("article .play")
    page.until(has_begun())
    page.click(f"{JOINED} .play")
    page.until(has_begun(JOINED))
    assert page.run(time(JOINED)).endswith("/ 0:16")
    assert (page.run(word()), page.run(word(JOINED))) == ("Play", "Pause")
    assert page.run(has_begun())


def test_a_click_on_a_leg_seeks_to_its_beginning(page):
    """On its marker in the picture, and in the table."""
    left = page.run(
        "(m => (m.getBoundingClientRect().left - m.parentNode.getBoundingClientRect().left)"
        " / m.parentNode.clientWidth)(document.querySelectorAll('article .marker')[1])"
    )
    assert left == pytest.approx(8 / 20, abs=0.01)
    page.run("document.querySelectorAll('article .marker')[1].click()")
    page.until(stands_at("0:08"))
    page.run(f"document.querySelectorAll('{JOINED} td button')[1].click()")
    page.until(stands_at("0:09", JOINED))


def test_who_spoke_stands_at_the_leg(page):
    """Where the provider says it."""
    names = page.run(
        f"[...document.querySelectorAll('{JOINED} .marker')].map(e => e.textContent).join()"
    )
    assert names == "1 Anna Agent,2 Bert Agent"


def test_a_click_on_the_picture_and_the_buttons_seek(page):
    """As a person expects it, before anything has been played too."""
    page.click("article canvas", share=0.75)
    page.until(stands_at("0:15"))
    page.click("#bar [data-by='-10']")
    page.until(stands_at("0:05"))
    page.click("#bar [data-by='10']")
    page.until(stands_at("0:15"))


def test_the_keyboard_is_enough(page):
    """Keys go from call to call, play, seek, and change the speed."""
    page.press("j")
    page.press("j")
    page.press("k")
    page.press("ArrowRight")
    page.until(stands_at("0:10"))
    page.press("]")
    page.press("[")
    page.until(stands_at("0:08"))
    page.press("ArrowLeft")
    page.until(stands_at("0:00"))
    page.press("+")
    assert page.run("document.getElementById('speed').value") == "1.25"
    page.press(" ", text=" ")
    page.until(has_begun())
    page.press(" ", text=" ")
    page.until(f"{word()} === 'Play'")
    assert page.run("document.querySelector('article details').open")
    page.press("?")
    assert page.run("document.getElementById('help').open")


def test_a_link_leads_to_a_moment_of_a_call(page):
    """Whatever is filtered; the button writes the link."""
    put(page, "search", "jürgen")
    page.run("location.hash = 'call=ringcx%2F7%2Fd-1&t=12'")
    page.until("document.querySelectorAll('article').length === 3")
    page.until(stands_at("0:12", JOINED))
    page.click("#bar [data-by='-10']")
    page.until(stands_at("0:02", JOINED))
    page.click("#link")
    page.until("location.hash === '#call=ringcx%2F7%2Fd-1&t=2'")
    page.run("location.hash = 'call=nobody'")
    page.until("document.getElementById('count').textContent.includes('not in this package')")


def test_times_are_shown_in_the_zone_that_is_chosen(page):
    """That of the export at first: it was made for Tokyo, where the calls began at nine."""
    began = "document.querySelector('article .when').textContent"
    assert page.run(began) == "2026-11-20 21:00:00"
    put(page, "zone", "UTC")
    assert page.run(began) == "2026-11-20 12:00:00"
    assert page.run("document.querySelector('#calls h2').textContent").startswith("Friday, 2026-11")
    assert page.run("document.querySelector('.facts time').textContent").endswith(" UTC")


def test_calls_are_sorted(page):
    """A day has a heading with its calls, where they stand in order of time."""
    put(page, "sort", "longest")
    assert page.run(ORDER) == [20, 16, 5]
    assert page.run("document.querySelectorAll('#calls h2').length") == 0
    put(page, "sort", "newest")
    assert page.run(ORDER) == [16, 5, 20]
    assert page.run("document.querySelector('#calls h2').textContent").endswith("3 calls")


ORDER = (
    "[...document.querySelectorAll('article .long')].map(e => Number(e.firstChild.data.slice(2)))"
)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("provider", "kazoo", [5]),
        ("direction", "inbound", [20, 16]),
        ("person", "Bert Agent", [16]),
        ("from", "2026-11-21", []),
        ("to", "2026-11-20", [20, 5, 16]),
    ],
)
def test_calls_are_filtered(page, name, value, found):
    """And all are there again when the filters are cleared."""
    put(page, name, value)
    assert page.run(ORDER) == found
    page.click("#clear")
    page.until("document.querySelectorAll('article').length === 3")


@pytest.fixture
def stereo(chromium, disk, tmp_path):
    """Open a page whose recordings have a sound at the left, and another at the right."""
    copy = shutil.copytree(disk, tmp_path / "stereo")
    index = copy / "data/index.html"
    index.write_text(index.read_text().replace('"channels":1', '"channels":2'))
    silence, sound = bytes(2), tone(0.1)
    pairs = (silence + sound[at : at + 2] for at in range(0, len(sound), 2))
    for path in copy.rglob("recording-1.wav"):
        write_pcm(path, b"".join(pairs) * 30, channels=2)
    chromium.open(index)
    return copy, chromium


def test_each_channel_has_a_volume_once_the_folder_was_chosen(stereo):
    """Browsers let no page take a file beside it apart, unless a person has chosen that file."""
    copy, page = stereo
    page.run(HEAR)
    page.click("article .play")
    page.until("document.querySelector('#choose').checkVisibility()")
    assert not page.run("document.querySelector('#channels').checkVisibility()")
    page.choose("#folder", copy)
    page.until("document.querySelector('#channels').checkVisibility()")
    page.until("loudest(1) > 0.1")
    assert page.run("loudest(0)") < 0.01
    put(page, "right-volume", "0")
    page.until("loudest(1) < 0.01")
    assert page.run(word()) == "Pause"


HEAR = """(() => {
  const ears = [], make = AudioContext.prototype.createGain;
  AudioContext.prototype.createGain = function () {
    const gain = make.call(this), ear = this.createAnalyser();
    gain.connect(ear);
    ears.push(ear);
    return gain;
  };
  window.loudest = (side) => {
    const samples = new Float32Array(ears[side]?.fftSize || 0);
    ears[side]?.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
  };
})()"""
"""Listens to what each channel gives away."""


def test_the_picture_is_that_of_the_sound(page):
    """High where somebody speaks, a line where nobody does."""
    page.until("document.querySelector('article canvas').width > 600")
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
    [("jürgen", [5]), ("(0)30 123456", [5]), ("+1 555 111-2222", [16]), ("", [20, 5, 16])],
)
def test_calls_are_found_by_name_and_number(page, text, found):
    """In whatever notation."""
    put(page, "search", text)
    assert page.run(ORDER) == found


def test_thousands_of_calls_become_rows_as_they_are_needed(chromium, tmp_path):
    """And one that was far below is found at once, and opened by a link."""
    cards = []
    for key, manifest in manifests(2000):
        legs = [leg | {"offset_ms": 0, "sha256": "a"} for leg in manifest["legs"]]
        parts = {"sha256": "a", "file": "", "file_sha256": "", "digest": "digests/x.json"}
        sealed = manifest | {"legs": legs, "missing": []}
        cards.append(call_summary(sealed, key=key, peaks=b"{}", cases=[], **parts))
    texts = ("name", "reason", "exported_by", "query", "legato_version")
    custody = dict.fromkeys(texts, "x") | {"exported_at": "2026-11-20T18:00:00.000Z", "parts": 1}
    said = custody | {"part": 1, "access_records": [], "accesses": []}
    index = tmp_path / "index.html"
    index.write_bytes(to_html(cards, said, name="x", unchained=[]))
    chromium.open(index)
    rows = "document.querySelectorAll('article').length"
    assert chromium.run(f"[{rows}, document.querySelectorAll('audio, canvas').length]") == [100, 0]
    last = cards[0]
    chromium.run(f"location.hash = 'call={last.provider}/{last.account}/{last.call}'")
    chromium.until(f"{rows} === 2000")
    put(chromium, "search", last.call)
    assert chromium.run(rows) == 1
    assert chromium.run("document.querySelector('article details').open")


def test_it_is_kept_as_a_picture_and_has_asked_for_nothing_else(page):
    """Nothing but files beside it, by a browser that would have told of anything else."""
    page.click("article .play")
    page.until(has_begun())
    body = page.picture(ARTEFACTS / "export.png")
    width, height = struct.unpack(">II", body[16:24])
    assert (width > 1000, height > 1000) == (True, True)
    assert len({zlib.crc32(body[at : at + 999]) for at in range(0, len(body), 999)}) > 20
    assert page.complaints == []
    # A browser draws its own controls with pictures that are in their addresses.
    assert [url for url in page.asked if not url.startswith(("file://", "data:", "blob:"))] == []
    assert any(url.endswith("recording-1.wav") for url in page.asked)
