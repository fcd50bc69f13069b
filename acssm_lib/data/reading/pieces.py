"""A file as if it were bytes, of which one piece at a time is in memory: recordings of a night have gigabytes."""

_PIECE = 1 << 20  # bytes read at a time
_LONGEST_FOUND = 64  # bytes of what is looked for


class Pieces:
    """An open binary file of ``size`` bytes, with as much of ``bytes`` as the readers of frames and pages need.

    A slice longer than a piece is read for itself. A file that became shorter meanwhile reads as if it ended there.
    """

    def __init__(self, file, size):
        self._file, self._size = file, size
        self._first, self._piece = 0, b""  # the piece in memory, and where it stands

    def __len__(self):
        return self._size

    def __getitem__(self, place):
        """One byte as a number, or a slice without negative numbers or steps.

        Raises:
            IndexError: one byte behind the end.
        """
        if isinstance(place, slice):
            return self._read(place.start or 0, self._size if place.stop is None else place.stop)
        return self._read(place, place + 1)[0]

    def find(self, wanted, start=0):
        """Place of the first ``wanted`` that begins at ``start`` or later, or -1."""
        while start < self._size:
            self._load(start, min(start + _LONGEST_FOUND, self._size))
            found = self._piece.find(wanted, start - self._first)
            if found >= 0:
                return self._first + found
            start = max(start + 1, self._first + len(self._piece) - len(wanted) + 1)
        return -1

    def behind_zeros(self, start):
        """The first place from ``start`` on where no zero stands, or the end."""
        while start < self._size:
            rest = self._read(start, start + _PIECE)
            sound = rest.lstrip(b"\0")
            if sound or not rest:
                return start + len(rest) - len(sound)
            start += len(rest)
        return start

    def _read(self, start, stop):
        stop = min(stop, self._size)
        if start >= stop:
            return b""
        if stop - start > _PIECE:
            self._file.seek(start)
            return self._file.read(stop - start)
        self._load(start, stop)
        return self._piece[start - self._first : stop - self._first]

    def _load(self, start, stop):
        """Have that slice in memory, and what follows it up to a piece."""
        if not self._first <= start <= stop <= self._first + len(self._piece):
            self._file.seek(start)
            self._first, self._piece = start, self._file.read(_PIECE)
