"""Downloads from servers that send too much, too slowly, or something else; all of them on loopback."""

import contextlib
import socket
import ssl
import threading
import time

import pytest

from acssm_lib import fetch as fetch_module
from acssm_lib.fetch import fetch
from acssm_lib.files import DataError

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.fixture
def serve(monkeypatch):
    """``serve(answer)`` starts a server that gives every connection to ``answer(socket)``; returns its address."""
    monkeypatch.setattr(fetch_module, "_WAIT_S", 0.0)
    monkeypatch.setattr(fetch_module, "_ATTEMPTS", 2)
    monkeypatch.setattr(fetch_module, "_SPARE", 1000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with contextlib.ExitStack() as stack:

        def start(answer):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=_accept, args=(listener, answer), daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/file"

        yield start


def _accept(listener, answer):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection)


def refused(url, tmp_path, match, size=1000):
    started = time.monotonic()
    with pytest.raises(DataError, match=match) as caught:
        fetch(url, tmp_path / "file", size, progress=False)
    assert time.monotonic() - started < 10
    assert str(caught.value).isprintable() and not (tmp_path / "file").exists()
    return str(caught.value)


def dripping(first, every_s=0.02):
    """An answer whose rest comes a byte at a time and never ends."""

    def answer(connection):
        connection.sendall(first)
        while True:
            connection.sendall(b"x")
            time.sleep(every_s)

    return answer


@pytest.mark.parametrize("url", ["file:///etc/hostname", "data:text/plain,hello", "ftp://127.0.0.1/x", "FILE:x", "x"])
def test_only_addresses_of_the_web_are_opened(tmp_path, url):
    refused(url, tmp_path, "expected an http or https address")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1/file", "data:text/plain,hello"])
def test_no_server_sends_us_on_to_another_kind_of_address(serve, tmp_path, place):
    url = serve(lambda peer: peer.sendall(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\n".encode()))
    refused(url, tmp_path, "expected an http or https address|302")
    assert not list(tmp_path.iterdir())


def test_https_does_not_go_on_as_http():
    request = fetch_module.urllib.request.Request("https://example.org/file")
    redirects = fetch_module._Redirects()
    with pytest.raises(DataError, match="https://example.org/file sends us on to http://example.org/.*not encrypted"):
        redirects.redirect_request(request, None, 302, "Found", {}, "http://example.org/file")
    assert redirects.redirect_request(request, None, 302, "Found", {}, "https://example.com/").host == "example.com"


def test_a_certificate_that_nobody_vouches_for_is_refused(serve, tmp_path):
    url = serve(lambda peer: peer.sendall(OK))
    context = fetch_module.urllib.request.HTTPSHandler()._context
    assert context is None or context.verify_mode == ssl.CERT_REQUIRED
    refused(url.replace("http:", "https:"), tmp_path, "could not download")


def test_an_announced_size_far_above_the_known_one_is_refused_before_a_byte_is_kept(serve, tmp_path):
    url = serve(lambda peer: peer.sendall(OK + b"Content-Length: 400000000\r\n\r\n" + b"x" * 1000))
    refused(url, tmp_path, "announces 400.0 MB, but the file has about 0.0 MB: refused")
    assert not (tmp_path / "file.part").exists()


def test_an_unannounced_body_ends_at_the_known_size(serve, tmp_path):
    sent = []

    def answer(peer):
        peer.sendall(OK + b"\r\n")
        while True:
            peer.sendall(b"x" * 65536)
            sent.append(65536)

    refused(serve(answer), tmp_path, "sends more than 0.0 MB: refused")
    assert (tmp_path / "file.part").stat().st_size == 0 and sum(sent) < 20_000_000


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: \xb2\xb3",
        "Content-Length: -5",
        "Content-Length: 1_000",
        "Content-Length: " + "9" * 5000,
        "Content-Length: +10",
        "Content-Length: ten",
        "Content-Length: \x1b[31m",
    ],
)
def test_a_length_that_is_no_number_is_named(serve, tmp_path, header):
    url = serve(lambda peer: peer.sendall(OK + header.encode("latin-1") + b"\r\n\r\n" + b"x" * 10))
    refused(url, tmp_path, "the server announces .* bytes")


@pytest.mark.parametrize("span", ["bytes 4-9/\xb9\xb0", "bytes \xb9-9/10", "bytes 4-9", "", "pages 4-9/9", "bytes /x"])
def test_a_range_that_is_none_starts_over_or_is_named(serve, tmp_path, span):
    (tmp_path / "file.part").write_bytes(b"0123")

    def answer(peer):
        peer.sendall(
            f'HTTP/1.1 206 Partial\r\nETag: "a"\r\nContent-Range: {span}\r\nConnection: close\r\n\r\n'.encode("latin-1")
            + b"456789"
        )

    url = serve(answer)
    fetch_module.write_json(tmp_path / "file.part.json", {url: '"a"'})
    refused(url, tmp_path, "could not download")


@pytest.mark.parametrize("tag", ["\xe9", "a\r\n b", "x" * 5000])
def test_a_tag_that_could_not_be_sent_back_is_not_kept(serve, tmp_path, tag):
    url = serve(lambda peer: peer.sendall(OK + f"ETag: {tag}\r\nContent-Length: 10\r\n\r\n01234".encode("latin-1")))
    refused(url, tmp_path, "cut")
    assert fetch_module.read_json(tmp_path / "file.part.json") == {url: None}


@pytest.mark.parametrize(
    "first",
    [OK + b"\r\n", OK + b"Content-Length: 1000\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n"],
)
def test_a_byte_now_and_then_is_no_progress(serve, tmp_path, monkeypatch, first):
    monkeypatch.setattr(fetch_module, "_WINDOW_S", 0.3)
    refused(serve(dripping(first)), tmp_path, "bytes in 0 s.*are kept in")


def test_an_answer_that_never_begins_is_given_up(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "_ANSWER_S", 0.3)
    refused(serve(dripping(b"HTTP/1.1 200 OK\r\nX-Header: ")), tmp_path, "could not download")


@pytest.mark.parametrize("head", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n1;"])
def test_the_whole_download_has_an_end(serve, tmp_path, monkeypatch, head):
    """Also where it hangs in a line that never ends."""
    monkeypatch.setattr(fetch_module, "_WHOLE_S", 0.3)
    refused(serve(dripping(OK + head, 0.001)), tmp_path, "are kept in", size=4000)


def test_what_a_server_says_of_its_error_cannot_write_to_the_terminal(serve, tmp_path):
    url = serve(lambda peer: peer.sendall(b"HTTP/1.1 404 \x1b[31mgone\x07\r\nContent-Length: 0\r\n\r\n"))
    assert r"\x1b[31mgone" in refused(url, tmp_path, "404")
