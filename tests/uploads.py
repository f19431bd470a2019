"""Recordings to upload, as the bytes of audio files."""

import io

import anyio
import numpy as np
import soundfile


def recording(seed=0, seconds=10.0, rate=4000, format="WAV"):
    """The bytes of an audio file of noise."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)), rate, format=format)
    return file.getvalue()


FORM_START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="breath.wav"\r\n\r\n'
FORM_END = b"\r\n--x--\r\n"


def send_chunks(app, chunks):
    """Post a form to ``/api/classify`` in chunks, as a server hands them on; the client leaves after the last.

    Arguments
    ---------
    app : ASGI application
    chunks : async iterable of bytes

    Returns
    -------
    int or None, bytes
        Status and body of the answer; None where there was no answer.
    """
    scope = {
        **{"type": "http", "method": "POST", "path": "/api/classify", "raw_path": b"/api/classify", "scheme": "http"},
        **{"query_string": b"", "root_path": "", "http_version": "1.1", "client": ("1.2.3.4", 5)},
        **{"server": ("testserver", 80), "state": {}, "extensions": {}},
        "headers": [(b"host", b"testserver"), (b"content-type", b"multipart/form-data; boundary=x")],
    }
    sent = []

    async def run():
        iterator = aiter(chunks)

        async def receive():
            try:
                chunk = await anext(iterator)
                return {"type": "http.request", "body": chunk, "more_body": not chunk.endswith(FORM_END)}
            except StopAsyncIteration:
                return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)

    anyio.run(run)
    body = b"".join(message.get("body", b"") for message in sent)
    return (sent[0]["status"] if sent else None), body
