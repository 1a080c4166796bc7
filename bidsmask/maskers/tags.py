"""What a masker says of itself to scikit-learn and nilearn."""

from __future__ import annotations

from dataclasses import dataclass

from sklearn.utils import InputTags


@dataclass
class ImageTags(InputTags):  # type: ignore[misc]  # sklearn
    """What nilearn's estimators ask of a masker that they are given."""

    two_d_array: bool = False
    niimg_like: bool = True
    surf_img: bool = False
