"""Points of MediaPipe's 478-point face mesh: those of the 68-point scheme, and the outline of the lips."""

import numpy as np

# The points of the mesh that correspond to the 68-point scheme (0 = jaw at the left of the image). A jaw point that
# lies between two mesh points is their mean.
MESH_POINTS_OF_68: tuple[tuple[int, ...], ...] = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,)),  # 0-8 jaw, left half, chin
    *((400,), (379,), (365,), (397, 288), (288, 361), (323,), (454,), (356,)),  # 9-16 jaw, right half
    *((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,)),  # 17-26 brows
    *((168,), (197,), (5,), (4,), (75,), (97,), (2,), (326,), (305,)),  # 27-35 nose
    *((33,), (160,), (158,), (133,), (153,), (144,)),  # 36-41 eye at the left of the image
    *((362,), (385,), (387,), (263,), (373,), (380,)),  # 42-47 eye at the right
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (405,), (314,), (17,), (84,), (181,)),  # 48-59 outer lips
    *((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,)),  # 60-67 inner lips
)
_FIRST = np.array([points[0] for points in MESH_POINTS_OF_68])
_LAST = np.array([points[-1] for points in MESH_POINTS_OF_68])

# The outer contour of the lips, in order.
_LIPS = np.array([61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185])


def lip_outline(mesh: np.ndarray) -> np.ndarray:
    """The outer lip contour of a face mesh: (478, 2) -> (20, 2), same unit."""
    return mesh[_LIPS]


def to_68(mesh: np.ndarray) -> np.ndarray:
    """The 68-point landmarks of a face mesh: (478, 2) -> (68, 2), same unit."""
    return (mesh[_FIRST] + mesh[_LAST]) / 2
