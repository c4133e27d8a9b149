"""What every group of settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    # A validation error would show what it was given, and that may be a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
