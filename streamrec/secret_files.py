"""Settings from files, one value each, as Kubernetes and Docker mount secrets.

``STREAMREC_SECRETS_DIR`` names the folder; a file has the name of the environment variable that it stands for
(``STREAMREC_KAFKA__SASL_PASSWORD``), in capitals or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic_settings import BaseSettings, EnvSettingsSource

from streamrec.errors import ConfigError

FOLDER_VARIABLE: Final = "STREAMREC_SECRETS_DIR"
_PREFIX: Final = "streamrec_"


class SecretFiles(EnvSettingsSource):
    """Reads the files of a folder as if they were environment variables; other files in it are not ours."""

    def __init__(self, settings_class: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_class)
        self.env_vars = read_secret_files(folder)


def read_secret_files(folder: Path) -> dict[str, str]:
    """Return the value of each of streamrec's files by its name in small letters, without the line end that editors add.

    Raises ConfigError.
    """
    if not folder.is_dir():
        msg = f"{FOLDER_VARIABLE} names {folder}, which is not a folder; mount the secrets there, correct the path or unset it"
        raise ConfigError(msg)
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().startswith(_PREFIX) and path.is_file():  # Kubernetes keeps folders of its own beside them
            try:
                found[path.name.lower()] = path.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                msg = f"the secret file {path} cannot be read ({problem}); let the user that streamrec runs as read it"
                raise ConfigError(msg) from None  # the cause could show the bytes
    return found
