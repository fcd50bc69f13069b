"""What the header of an audio file announces against what is there, before anything is decoded."""

import struct

from acssm_lib.files import DataError

_UNKNOWN_SIZE = 0x7FFFF000  # programs that write a WAV file into a pipe announce this many bytes or more


def check_container(content, path):
    """Find a cut that libsndfile passes over in silence: it corrects the length of a shortened file by itself."""
    if content[:4] == b"OggS":
        start = content.rfind(b"OggS")
        n_segments = content[start + 26] if start + 26 < len(content) else 0
        sizes = content[start + 27:start + 27 + n_segments]
        whole = len(sizes) == n_segments > 0 and start + 27 + n_segments + sum(sizes) <= len(content)
        if not whole or not content[start + 5] & 4:  # bit 2 marks the last page of a stream
            raise DataError(f"{path}: truncated, the Ogg stream breaks off before its last page; "
                            "copy or download it again")
    announced, present = _chunk_of_samples(content)
    if present < announced < _UNKNOWN_SIZE:
        raise DataError(f"{path}: truncated, {present} of the {announced} bytes of sound its header announces "
                        "are there; copy or download it again")


def _chunk_of_samples(content):
    """(bytes announced, bytes there) of the sound in a WAV or AIFF file; (0, 0) for another format."""
    kinds = {b"RIFF": ("<I", b"data"), b"FORM": (">I", b"SSND")}
    order, wanted = kinds.get(content[:4], (None, None))
    position = 12
    while order and position + 8 <= len(content):
        size = struct.unpack_from(order, content, position + 4)[0]
        if content[position:position + 4] == wanted:
            return size, len(content) - position - 8
        position += 8 + size + size % 2  # chunks start at even positions
    return 0, 0
