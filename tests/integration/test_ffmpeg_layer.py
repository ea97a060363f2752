"""The layer: what is in it, what is not, and that `sam build` gets it."""

from __future__ import annotations

import platform
import shutil
import subprocess

import pytest

from tests.audio import BUILT, ROOT

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the layer is built for Linux on x86_64 only",
)
LAYER = ROOT / "layers" / "ffmpeg"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Build the layer as `sam build` does: in a copy of its directory, by the original Makefile."""
    if not (BUILT / "ffmpeg").exists():
        pytest.fail("the layer is not built; run: make -C layers/ffmpeg")
    target = tmp_path_factory.mktemp("artifacts")
    copy = tmp_path_factory.mktemp("scratch") / "source"
    shutil.copytree(LAYER, copy, ignore=shutil.ignore_patterns("build"))
    command = ["make", "--makefile", str(LAYER / "Makefile"), "build-FfmpegLayer"]
    subprocess.run([*command, f"ARTIFACTS_DIR={target}"], cwd=copy, check=True, capture_output=True)
    return target


def listed(artifacts, kind: str) -> set[str]:
    """Return the names in one of ffmpeg's lists, behind its legend."""
    said = subprocess.run(
        [artifacts / "bin" / "ffmpeg", "-hide_banner", f"-{kind}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    body = said.partition("--\n")[2] if "--\n" in said else said.partition(":\n")[2]
    return {line.split()[1] for line in body.splitlines() if line}


def test_the_layer_holds_small_programs_and_their_licence(artifacts):
    """A layer's bin is on a function's PATH, and the LGPL's text goes with the programs."""
    programs = sorted((artifacts / "bin").iterdir())
    assert [path.name for path in programs] == ["ffmpeg", "ffmpeg-sandbox"]
    assert sum(path.stat().st_size for path in programs) <= 8_000_000
    licences = artifacts / "share" / "licenses" / "ffmpeg"
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in (licences / "COPYING.LGPLv2.1").read_text()
    assert "ffmpeg.org/releases" in (licences / "SOURCE").read_text()


def test_the_programs_need_no_library(artifacts):
    """Amazon Linux has other libraries than the machine that builds; static programs need none."""
    for name in ("ffmpeg", "ffmpeg-sandbox"):
        program = (artifacts / "bin" / name).read_bytes()
        assert b"ld-linux" not in program[:4096]


def test_ffmpeg_knows_no_way_to_the_network(artifacts):
    """What is not built in cannot be talked into anything."""
    said = subprocess.run(
        [artifacts / "bin" / "ffmpeg", "-hide_banner", "-protocols"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = [line.strip() for line in said.splitlines() if not line.endswith(":")]
    assert set(names) == {"pipe"}


def test_ffmpeg_reads_recordings_and_nothing_else(artifacts):
    """Every demuxer and decoder more is a parser of hostile bytes more."""
    assert listed(artifacts, "demuxers") == {"mp3", "wav"}
    assert listed(artifacts, "encoders") == {"pcm_s16le"}
    assert listed(artifacts, "decoders") == {
        "adpcm_ima_wav",
        "adpcm_ms",
        "g722",
        "g723_1",
        "g726",
        "g729",
        "gsm_ms",
        "mp1",
        "mp1float",
        "mp2",
        "mp2float",
        "mp3",
        "mp3float",
        "pcm_alaw",
        "pcm_f32le",
        "pcm_f64le",
        "pcm_mulaw",
        "pcm_s16le",
        "pcm_s24le",
        "pcm_s32le",
        "pcm_u8",
    }


def test_ffmpeg_is_free_of_gpl_code(artifacts):
    """The layer ships under the LGPL."""
    said = subprocess.run(
        [artifacts / "bin" / "ffmpeg", "-version"], check=True, capture_output=True, text=True
    ).stdout
    assert "--enable-gpl" not in said
    assert "--enable-nonfree" not in said
    assert "version 5.1.9 " in said
