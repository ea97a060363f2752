"""Everything that touches audio: ffmpeg moves the bytes, pydub listens, nobody else does either."""
