"""Ed25519 (RFC 8032, section 5.1), so that nothing has to be installed to check a signature.

Written to be read beside the RFC, not to be fast: some milliseconds for each signature. Nothing secret passes through `verifies`;
`sign` is here for the tests, and takes no care to hide its secret.
"""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def verifies(public, message, signature):
    """Whether the owner of this key signed this message."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, commitment = _decode(public), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    # A scalar of the order or more would be a second spelling of one signature.
    if key is None or commitment is None or scalar >= ORDER:
        return False
    challenge = _scalar(signature[:32] + public + message)
    return _equal(_times(scalar, BASE), _plus(commitment, _times(challenge, key)))


def sign(seed, message):
    """The public key of this secret, and its signature."""
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    public = _encode(_times(secret, BASE))
    nonce = _scalar(digest[32:] + message)
    commitment = _encode(_times(nonce, BASE))
    scalar = (nonce + _scalar(commitment + public + message) * secret) % ORDER
    return public, commitment + scalar.to_bytes(32, "little")


def _scalar(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER


# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x * y = T/Z (section 5.1.4).


def _plus(one, other):
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(scalar, point):
    product = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            product = _plus(product, point)
        point = _plus(point, point)
        scalar >>= 1
    return product


def _equal(one, other):
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def _encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | ((x & 1) << 255)).to_bytes(32, "little")


def _decode(data):
    number = int.from_bytes(data, "little")
    sign_of_x, y = number >> 255, number & ((1 << 255) - 1)
    x = _recover_x(y, sign_of_x)
    return None if x is None else (x, y, 1, x * y % P)


def _recover_x(y, sign_of_x):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign_of_x else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * SQRT_OF_MINUS_ONE % P
    if (x * x - square) % P != 0:
        return None
    return P - x if (x & 1) != sign_of_x else x


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE_X = _recover_x(_BASE_Y, 0)
BASE = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)
