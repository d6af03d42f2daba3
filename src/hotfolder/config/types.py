"""The kinds of values that stand in a configuration, and the base of its tables."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from hotfolder.config import values

Duration = Annotated[float, BeforeValidator(values.seconds), PlainSerializer(values.duration_text)]
Text = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, AfterValidator(values.variable)]
Patterns = Annotated[tuple[str, ...], AfterValidator(values.patterns)]
Compression = Literal["tar.gz", "gz", "tar.zst", "zst", "none"]


OwnFile = Annotated[Path, AfterValidator(values.absolute)]
Tags = Annotated[dict[str, str], AfterValidator(values.tags)]
#: A value that goes into a header as it is; a store would refuse another with every object.
Token = Annotated[str, Field(pattern=r"^[!-~]*$")]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
