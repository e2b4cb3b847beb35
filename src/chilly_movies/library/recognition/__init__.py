"""What film a name speaks of. Pure: nothing is read from a disk, and nobody is asked."""

from chilly_movies.library.recognition.packs import recognise_pack
from chilly_movies.library.recognition.values import Recognition
from chilly_movies.library.recognition.verdict import recognise

__all__ = ["Recognition", "recognise", "recognise_pack"]
