"""What every section of settings is made of: its base, and the types of its values."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Threshold = Annotated[int, Field(ge=0, le=2**32 - 1)]
Seconds = Annotated[float, Field(gt=0, le=86400 * 7)]
Capacity = Annotated[int, Field(ge=8, le=1 << 26)]


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("give a power of two")
    return value


PowerOfTwo = Annotated[Capacity, AfterValidator(_power_of_two)]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]

NANOSECONDS = 1_000_000_000


class Section(BaseModel):
    """Settings that belong together: unknown names and values of another type are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
