"""The float32 functions that MediaPipe's rules use, with the bits of the C library that it was tested on.

MediaPipe calls the C library, and the last bit of its functions differs between versions: those of glibc 2.28 to 2.40
are fast, those since 2.41 are rounded correctly, other systems have their own. A bit moves a landmark, and sometimes a
mouth, so they are written out here: glibc 2.36's. Landmarks then depend on no system.

Sources: atan2f and atanf of fdlibm, "Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Permission to
use, copy, modify, and distribute this software is freely granted, provided that this notice is preserved." sinf, cosf
and expf of ARM's optimized routines (MIT License, copyright (c) 2017-2018, Arm Limited).
"""

import math

import numpy as np

# fdlibm: atan at the centres of four intervals, with what float32 does not hold of it, and the polynomial around them.
_ATAN_HIGH = tuple(map(np.float32, (4.6364760399e-01, 7.8539812565e-01, 9.8279368877e-01, 1.5707962513e00)))
_ATAN_LOW = tuple(map(np.float32, (5.0121582440e-09, 3.7748947079e-08, 3.4473217170e-08, 7.5497894159e-08)))
_A0, _A1, _A2, _A3, _A4, _A5, _A6, _A7, _A8, _A9, _A10 = map(
    np.float32,
    (
        *(3.3333334327e-01, -2.0000000298e-01, 1.4285714924e-01, -1.1111110449e-01, 9.0908870101e-02),
        *(-7.6918758452e-02, 6.6610731184e-02, -5.8335702866e-02, 4.9768779427e-02, -3.6531571299e-02),
        1.6285819933e-02,
    ),
)
_PI, _PI_LOW, _HALF_PI = np.float32(3.1415927410), np.float32(-8.7422776573e-08), np.float32(1.5707963705)
_ZERO, _HALF, _ONE, _THREE_HALVES, _TWO = map(np.float32, (0, 0.5, 1, 1.5, 2))


def atan2f(y: np.float32, x: np.float32) -> np.float32:
    """Angle of the vector (x, y) in rad, for finite float32 x and y."""
    if y == 0:
        return y if math.copysign(1, x) > 0 else np.copysign(_PI, y)
    if x == 0:
        return np.copysign(_HALF_PI, y)
    if x == 1:
        return _atanf(y)
    # Exponents that differ by more than 60 have a quotient beyond or below what matters.
    exponents = math.frexp(y)[1] - math.frexp(x)[1]
    if exponents > 60:
        angle = _HALF_PI + _HALF * _PI_LOW
    elif x < 0 and exponents < -60:
        angle = _ZERO
    else:
        angle = _atanf(abs(y / x))
    if x > 0:
        return angle if y > 0 else -angle
    return _PI - (angle - _PI_LOW) if y > 0 else (angle - _PI_LOW) - _PI


def _atanf(x: np.float32) -> np.float32:
    size = abs(x)
    magnitude = float(size)
    if magnitude >= 2**25:
        return np.copysign(_ATAN_HIGH[3] + _ATAN_LOW[3], x)
    if magnitude < 0.4375:
        return x - x * _atan_polynomial(x) if magnitude >= 2**-29 else x
    if magnitude < 0.6875:
        interval, reduced = 0, (_TWO * size - _ONE) / (_TWO + size)
    elif magnitude < 1.1875:
        interval, reduced = 1, (size - _ONE) / (size + _ONE)
    elif magnitude < 2.4375:
        interval, reduced = 2, (size - _THREE_HALVES) / (_ONE + _THREE_HALVES * size)
    else:
        interval, reduced = 3, -_ONE / size
    angle = _ATAN_HIGH[interval] - ((reduced * _atan_polynomial(reduced) - _ATAN_LOW[interval]) - reduced)
    return angle if x > 0 else -angle


def _atan_polynomial(x: np.float32) -> np.float32:
    z = x * x
    w = z * z
    odd = z * (_A0 + w * (_A2 + w * (_A4 + w * (_A6 + w * (_A8 + w * _A10)))))
    return odd + w * (_A1 + w * (_A3 + w * (_A5 + w * (_A7 + w * _A9))))


# ARM's optimized routines: polynomials in float64.
_TWO_24_OVER_HALF_PI = float.fromhex("0x1.45F306DC9C883p+23")
_HALF_PI_64 = float.fromhex("0x1.921FB54442D18p0")
_COS = tuple(
    map(
        float.fromhex,
        ("0x1p0", "-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16"),
    )
)
_SIN = tuple(map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")))


def cos_sin(angle: float) -> tuple[np.float32, np.float32]:
    """Cosine and sine of an angle in rad, for |angle| below 120."""
    x, quarter = float(np.float32(angle)), 0
    if abs(x) >= 0.75:  # the C code: from the first 12 bits of pi / 4 on
        quarter = (int(x * _TWO_24_OVER_HALF_PI) + 0x800000) >> 24
        x -= quarter * _HALF_PI_64
    square = x * x
    cube, fourth = x * square, square * square
    sine = (x + cube * _SIN[0]) + cube * square * (_SIN[1] + square * _SIN[2])
    cosine = ((_COS[0] + square * _COS[1]) + fourth * _COS[2]) + fourth * square * (_COS[3] + square * _COS[4])
    for _ in range(quarter & 3):
        cosine, sine = -sine, cosine
    return np.float32(cosine), np.float32(sine)


_STEPS = 32
_STEPS_PER_LN2 = float.fromhex("0x1.71547652b82fep+0") * _STEPS
_EXP = tuple(
    float.fromhex(value) / _STEPS**power
    for value, power in (("0x1.c6af84b912394p-5", 3), ("0x1.ebfce50fac4f3p-3", 2), ("0x1.62e42ff0c52d6p-1", 1))
)


def expf(x: float) -> np.float32:
    """exp(x), for |x| below 88; underflows to 0."""
    steps = _STEPS_PER_LN2 * float(np.float32(x))
    whole = round(steps)
    rest = steps - whole
    power = math.ldexp(2.0 ** ((whole % _STEPS) / _STEPS), whole // _STEPS)
    return np.float32(((_EXP[0] * rest + _EXP[1]) * (rest * rest) + (_EXP[2] * rest + 1)) * power)


def sigmoid(value: float) -> np.float32:
    """1 / (1 + exp(-value)) in float32, of a value limited to -100..100."""
    with np.errstate(over="ignore"):
        return _ONE / (_ONE + expf(-max(-100.0, min(100.0, value))))
