"""Names from outside (of classes, files, records of others) made harmless where they leave for somewhere else.

One function per destination. Each takes any text, and text it has made safe before comes out unchanged or reads the
same.
"""

import hashlib
import html
import re
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (as direction), surrogate, unassigned, line ends
_JOINERS = "\u200c\u200d"  # part of the spelling of Persian and Indic names and of emoji
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows
_LONGEST = 120  # bytes of a safe name: 255 is the limit, and temporary names add host, process and chance


def visible(text):
    r"""One line that shows what it holds, for terminals, errors and logs.

    Escape bytes, line ends, marks of direction, bytes that were no UTF-8: whatever would act instead of being seen is
    written as Python writes it ("\x1b", "\n", "\u202e"; a byte E9 of a file name as "\xe9").
    """
    return "".join(
        letter if unicodedata.category(letter) not in _HIDDEN or letter in _JOINERS else _written(letter)
        for letter in str(text)
    )


def _written(letter):
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def safe_name(text, longest=_LONGEST):
    """A name for one file or folder on any system, below the folder that the caller chose and nowhere else.

    Letters, digits and ``. _ = -`` stay. Where anything had to change or be cut, eight digits of a digest follow, so
    that two names stay two files.

    Args:
        longest: of the name, in bytes of UTF-8.
    """
    text = unicodedata.normalize("NFC", str(text))
    name = re.sub(r"[^\w.=-]+", "_", text)
    name = name.lstrip(".-").rstrip(".") or "_"
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    if name == text and len(name.encode()) <= longest:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = name.encode()[: longest - 9].decode("utf-8", "ignore")
    return f"{kept}-{digest}"


def in_html(text):
    """For the text of an HTML page or a quoted attribute; never inside a script or as an address."""
    return html.escape(visible(text))


def in_markdown(text):
    """For a sentence, a link's text or a table's cell of a Markdown page that may become HTML or a notebook."""
    text = re.sub(r"([\\`*\[\]#|~$])", r"\\\1", html.escape(visible(text), quote=False))
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\_", text)  # within a word it is no emphasis, as in n_layers
    return re.sub(r"^(\s*)(\d*)([-+=.)])", r"\1\2\\\3", text)  # no list, heading or rule at the start of a line


def in_csv(text):
    """For a cell of a table that may be opened in a spreadsheet, which would compute what begins like a formula."""
    return re.sub(r"^([-=+@])", r"'\1", visible(text))


def from_csv(text):
    """What ``in_csv`` was given, but for what ``visible`` has written out."""
    return re.sub(r"^'([-=+@])", r"\1", text)


def in_figure(text):
    """For a label of matplotlib, which takes what stands between two dollars for a formula."""
    return re.sub(r"(?<!\\)\$", r"\\$", visible(text))


def many(count, word):
    """ "1 error", "2 errors" """
    return f"{count} {word if count == 1 else word + 's'}"


def quoted(path):
    """A path as one word of a command line, on any system."""
    return f'"{path}"' if re.search(r"[^\w./\\:~+=@,-]", str(path)) else str(path)
