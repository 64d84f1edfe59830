"""What a power cut or a bad disk leaves of a file."""

DAMAGES = {
    "flipped": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    "truncated": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "empty": lambda data: b"",
}
