"""Places of parts that come in any order are found like in a sorted list."""

from __future__ import annotations

import numpy as np
import pytest

from exgs.client.profiles.places import Place, Places


@pytest.mark.parametrize("seed", range(20))
def test_places_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.integers(1, 20, 80))
    known = [
        Place(part, start, end)
        for part, (start, end) in enumerate(
            zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        )
        if rng.random() < 0.8
    ]
    places = Places()
    left = [known[number] for number in rng.permutation(len(known))]
    while left:
        some, left = left[: (size := int(rng.integers(1, 20)))], left[size:]
        columns = np.array([(p.start, p.end - p.start, p.part) for p in some]).T
        places.add(*columns)
    for position in range(int(edges[-1]) + 3):
        holding = [p for p in known if p.start <= position < p.end]
        behind = [p for p in known if p.start > position]
        assert places.at(position) == (holding[0] if holding else None)
        assert places.next_start(position) == (behind[0].start if behind else None)
        assert list(places.from_start(position)) == [p for p in known if p.start >= position]
        touched = places.touched_by(position, position + 15)
        assert {p.part for p in known if p.start < position + 15 and p.end > position} <= {
            p.part for p in touched
        }
        assert len(touched) <= 2 + sum(position <= p.start < position + 15 for p in known)
