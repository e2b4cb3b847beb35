"""Which media folder a command means that was told none: the one its films are in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chilly_movies.runtime.state_folder import StateFolder

if TYPE_CHECKING:
    from chilly_movies.runtime.setting_fields import Origin
    from chilly_movies.settings import Settings


def with_known_folder(settings: Settings) -> tuple[Settings, str | None]:
    """Returns the settings with the media folder that the state folder remembers, and a remark.

    The default is a folder of the working directory, which is another one in the next terminal.
    A folder that was moved to there counts, and so does any that was asked for.

    Returns:
        The settings, and one line if they are not those that were given.
    """
    from chilly_movies.disk.volume import MediaVolume
    from chilly_movies.storage.sqlite.inspection import has_jobs

    if "media_root" in settings.given:
        return settings, None
    here, state = settings.media_root.absolute(), StateFolder(settings.state_dir)
    volume = MediaVolume(here, state)
    known = volume.remembered
    if known is None or known == here or (volume.is_marked and not known.exists()):
        return settings, None
    if not has_jobs(state.database):
        return settings, None
    remark = (
        f"the films are in {known}, so that is the media folder, not {here}; "
        "--media-root or CHILLY_MEDIA_ROOT chooses another."
    )
    origins: dict[str, Origin] = {**settings.origins, "media_root": "stored"}
    return replace(settings, media_root=known, origins=origins), remark
