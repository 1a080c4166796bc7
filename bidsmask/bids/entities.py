"""The name of a file, taken apart and put together. Nothing of a name is ever lost."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

# The order of the BIDS schema, which the validator holds names to. The schema has cohort beside
# ses, for templates; NiBabies writes it behind the space that it qualifies. What the schema
# lacks stands where fMRIPrep and XCP-D write it.
# fmt: off
_BEFORE_UNKNOWN: Final = (
    "sub", "tpl", "ses", "hash", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc",
    "stain", "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi",
    "space", "cohort", "split", "recording", "chunk", "atlas", "seg", "scale", "res", "den",
    "label", "roi", "from", "to", "mode", "model", "subset", "variant", "stat",
)
# fmt: on
_AFTER_UNKNOWN: Final = ("desc",)
KNOWN_KEYS: Final = frozenset(_BEFORE_UNKNOWN + _AFTER_UNKNOWN)

_PAIR: Final = re.compile(r"([A-Za-z0-9]+)-([A-Za-z0-9+]+)")
_SUFFIX: Final = re.compile(r"[A-Za-z0-9+]+")
_OLD_IMAGES: Final = ("bold", "T1w")
_OLD_KINDS: Final = {  # fMRIPrep 1.0 and 1.1: last word of the name -> suffix (the image's), desc
    "preproc": ("", "preproc"),
    "brainmask": ("mask", "brain"),
    "confounds": ("regressors", "confounds"),
}


@dataclass(frozen=True)
class Entities:
    """The key-value pairs of a file name, its suffix and its extension.

    Attributes
    ----------
    pairs : tuple of (key, value)
        As written in the name, in its order; no key twice.
    suffix : str
        The last word, `bold` say; empty where the name has none.
    extension : str
        From the first dot of the last word on, with the dot: `.nii.gz`, `.dtseries.nii`.
    left_over : tuple of str
        The parts of the name that are no key-value pair of BIDS, as written.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    extension: str = ""
    left_over: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str) -> Entities:
        """Return what `name`, a file name without its folder, says."""
        *parts, last = name.split("_")
        last, dot, extension = last.partition(".")
        suffix = last if _SUFFIX.fullmatch(last) else ""
        if last and not suffix:
            parts.append(last)
        pairs: dict[str, str] = {}
        left_over = []
        for part in parts:
            match = _PAIR.fullmatch(part)
            if match is None or match[1] in pairs:
                left_over.append(part)
            else:
                pairs[match[1]] = match[2]
        return cls(tuple(pairs.items()), suffix, dot + extension, tuple(left_over))

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return dict(self.pairs)

    @cached_property
    def meaning(self) -> frozenset[tuple[str, str]]:
        """The pairs as they are meant, for comparing names: `run-01` is `run-1`."""
        return frozenset((key, plain_label(value)) for key, value in self.pairs)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the value of `key`, or `default` where the name has none."""
        return self._by_key.get(key, default)

    def __getitem__(self, key: str) -> str:
        """Return the value of `key`; KeyError where the name has none."""
        return self._by_key[key]

    def __contains__(self, key: object) -> bool:
        """Say whether the name has `key`."""
        return key in self._by_key

    @property
    def unknown(self) -> tuple[str, ...]:
        """The parts that BIDS has no meaning for: left over, or with an unknown key."""
        strange = tuple(f"{key}-{value}" for key, value in self.pairs if key not in KNOWN_KEYS)
        return strange + self.left_over

    def without(self, *keys: str) -> Entities:
        """Return the same entities but those of `keys`."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] not in keys))

    def with_(self, **pairs: str) -> Entities:
        """Return the same entities, with these added or changed."""
        return replace(self, pairs=tuple({**self._by_key, **pairs}.items()))

    def name(self, *, suffix: str | None = None, extension: str | None = None) -> str:
        """Return the file name in the order of BIDS, all entities kept.

        Parameters
        ----------
        suffix, extension : str, optional
            Instead of the entities' own.

        Returns
        -------
        str
            Unknown keys stand before `desc`, in their own order; what was left over of the
            parsed name stands before the suffix.
        """
        suffix = self.suffix if suffix is None else suffix
        extension = self.extension if extension is None else extension
        parts = [f"{key}-{value}" for key, value in sorted(self.pairs, key=_place)]
        parts += self.left_over
        if suffix:
            parts.append(suffix)
        return "_".join(parts) + extension

    def normal(self) -> Entities:
        """Return the names of fMRIPrep 1.0 and 1.1 as later versions write them.

        `_bold_space-X_preproc` is `_space-X_desc-preproc_bold`, `_brainmask` is
        `_desc-brain_mask`, `_bold_confounds` is `_desc-confounds_regressors`, and a
        `variant-` of the series is its `desc-`; `_T1w_preproc` is `_desc-preproc_T1w`. All other
        names come back unchanged.
        """
        image = next((word for word in _OLD_IMAGES if word in self.left_over), "")
        if not image or self.suffix not in _OLD_KINDS:
            return self
        suffix, desc = _OLD_KINDS[self.suffix]
        desc = self.get("variant") or desc
        left_over = tuple(part for part in self.left_over if part != image)
        named = self.without("variant").with_(desc=desc)
        return replace(named, suffix=suffix or image, left_over=left_over)


def same_label(one: str, other: str) -> bool:
    """Say whether two labels mean the same: equal, or equal as whole numbers (`1`, `01`)."""
    return plain_label(one) == plain_label(other)


def plain_label(label: str) -> str:
    """Return a label without the zeros that only fill it up: `01` as `1`."""
    return (label.lstrip("0") or "0") if label.isdecimal() else label


def natural_order(label: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts `sub-2` before `sub-10`."""
    return tuple(
        (0, int(word), word) if word.isdecimal() else (1, 0, word)
        for word in re.findall(r"\d+|\D+", label)
    )


def _place(pair: tuple[str, str]) -> int:
    """Return where a pair stands in a name; equal for all unknown keys."""
    key = pair[0]
    if key in _PLACES:
        return _PLACES[key]
    return len(_BEFORE_UNKNOWN)


_PLACES: Final = {key: place for place, key in enumerate(_BEFORE_UNKNOWN)} | {
    key: len(_BEFORE_UNKNOWN) + 1 for key in _AFTER_UNKNOWN
}
