"""Words of the command line to values, and errors to sentences."""

import argparse
import difflib
import re


class BadArguments(Exception):
    """The command line asks for something that cannot be; exit status 2."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise BadArguments(f"{message}; see {self.prog} --help")


def sentence(error):
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, (BadArguments, ValueError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


def require(kind, name, names):
    if name not in names:
        close = difflib.get_close_matches(name, list(names), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise BadArguments(f"unknown {kind} {name!r}{hint}; there are {', '.join(names)}")


def one_of(kind, names):
    def convert(text):
        require(kind, text, names)
        return text

    return convert


def name_list(text):
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError(f"expected names with commas between them, got {text!r}")
    return words


def seed_list(text):
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between them, as in 0,1,2, got {text!r}")
    return [int(seed) for seed in text.split(",")]


def positive(text):
    if not re.fullmatch(r"0*[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def seed_number(text):
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def device_name(text):
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, cuda, cuda:1 (the second one) or mps, got {text!r}")
    return text


def check_device(name):
    """Raises:
    BadArguments: it is not there, whether or not something will be computed on it.
    """
    from acssm_lib.training import pick_device  # here: torch takes seconds

    try:
        pick_device(name)
    except ValueError as error:
        raise BadArguments(f"--{error}") from None


def sha256_digits(text):
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"expected 64 hexadecimal digits, got {len(text)} characters: {text!r}")
    return text.lower()


def add_command(commands, name, function, summary, more=""):
    command = commands.add_parser(name, help=summary, description=f"{summary}. {more}".strip(), allow_abbrev=False)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(command=function)
    return command
