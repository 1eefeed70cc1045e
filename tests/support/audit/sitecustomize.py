"""Every Python process of a run writes down each address beyond this machine that it turns to.

Python imports this by itself where its folder is on PYTHONPATH. The file is named by the variable
``K150K_TEST_ADDRESSES``.
"""

import os
import sys

_LOCAL = ("127.", "::1", "localhost")
_EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}


def _note(event, arguments):
    if event not in _EVENTS:
        return
    address = arguments[_EVENTS[event]]
    if isinstance(address, tuple):
        address = address[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return  # the path of a Unix socket
    if address is not None and not str(address).startswith(_LOCAL):
        descriptor = os.open(
            os.environ["K150K_TEST_ADDRESSES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        os.write(descriptor, f"{event} {address} {sys.argv}\n".encode())
        os.close(descriptor)


if "K150K_TEST_ADDRESSES" in os.environ:
    sys.addaudithook(_note)
