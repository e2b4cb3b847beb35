"""What the mock provider knows: public-domain classics, told in our own words."""

from __future__ import annotations

from collections.abc import Mapping

from chilly_movies.catalogue.titles import Episode, Season, Title, TitleDetails, TitleKind, Video


def _film(
    number: int,
    name: str,
    released: str,
    overview: str,
    *,
    imdb: str,
    runtime: int,
    genres: tuple[str, ...],
    directors: tuple[str, ...],
    cast: tuple[str, ...],
    language: str = "en",
    original: str = "",
    tagline: str = "",
    rating: float = 7.5,
    votes: int = 500,
) -> TitleDetails:
    return TitleDetails(
        title=Title(
            id=number,
            kind=TitleKind.MOVIE,
            name=name,
            year=int(released[:4]),
            overview=overview,
            language=language,
            rating=rating,
            votes=votes,
        ),
        original_name=original or name,
        tagline=tagline,
        runtime=runtime,
        genres=genres,
        released=released,
        cast=cast,
        directors=directors,
        external_ids={"imdb": imdb},
    )


def _series(
    number: int,
    name: str,
    overview: str,
    *,
    genres: tuple[str, ...],
    directors: tuple[str, ...],
    cast: tuple[str, ...],
    seasons: tuple[Season, ...],
) -> TitleDetails:
    released = seasons[0].air_date or ""
    return TitleDetails(
        title=Title(
            id=number,
            kind=TitleKind.TV,
            name=name,
            year=int(released[:4]),
            overview=overview,
            language="en",
            rating=7.0,
            votes=60,
        ),
        original_name=name,
        runtime=26,
        genres=genres,
        released=released,
        cast=cast,
        directors=directors,
        seasons=seasons,
    )


def _season(number: int, overview: str, *episodes: tuple[str, str, str]) -> Season:
    """A season of (name, air date, overview) episodes."""
    return Season(
        number=number,
        name=f"Season {number}",
        overview=overview,
        air_date=episodes[0][1],
        episode_count=len(episodes),
        episodes=tuple(
            Episode(number=place, name=name, overview=text, air_date=aired, runtime=26)
            for place, (name, aired, text) in enumerate(episodes, start=1)
        ),
    )


TITLES: tuple[TitleDetails, ...] = (
    _film(
        19,
        "Metropolis",
        "1927-01-10",
        "The son of a city's ruler follows a young woman down to the workers who keep the "
        "machines running, and a robot made in her likeness sets them against each other.",
        imdb="tt0017136",
        runtime=153,
        genres=("Drama", "Science Fiction"),
        directors=("Fritz Lang",),
        cast=("Brigitte Helm", "Alfred Abel", "Gustav Fröhlich", "Rudolf Klein-Rogge"),
        language="de",
        tagline="A city above, a city below.",
        rating=8.1,
        votes=2600,
    ),
    _film(
        653,
        "Nosferatu",
        "1922-03-04",
        "A clerk sells a house to a count who sleeps by day, and the count brings the plague "
        "along when he moves in.",
        imdb="tt0013442",
        runtime=94,
        genres=("Horror", "Fantasy"),
        directors=("F. W. Murnau",),
        cast=("Max Schreck", "Greta Schröder", "Gustav von Wangenheim"),
        language="de",
        original="Nosferatu, eine Symphonie des Grauens",
        rating=7.7,
        votes=2100,
    ),
    _film(
        234,
        "The Cabinet of Dr. Caligari",
        "1920-02-27",
        "A showman at a fair displays a sleepwalker who foretells deaths, and the deaths come.",
        imdb="tt0010323",
        runtime=77,
        genres=("Horror", "Drama"),
        directors=("Robert Wiene",),
        cast=("Werner Krauss", "Conrad Veidt", "Lil Dagover"),
        language="de",
        original="Das Cabinet des Dr. Caligari",
        rating=7.9,
        votes=1500,
    ),
    _film(
        775,
        "A Trip to the Moon",
        "1902-09-01",
        "Astronomers have themselves shot to the moon in a shell, quarrel with those who live "
        "there, and fall back into the sea.",
        imdb="tt0000417",
        runtime=15,
        genres=("Adventure", "Science Fiction"),
        directors=("Georges Méliès",),
        cast=("Georges Méliès", "Bleuette Bernon"),
        language="fr",
        original="Le Voyage dans la lune",
        rating=7.9,
        votes=1700,
    ),
    _film(
        992,
        "Sherlock Jr.",
        "1924-04-17",
        "A projectionist who would rather be a detective falls asleep at work and walks right "
        "into the film he is showing.",
        imdb="tt0015324",
        runtime=45,
        genres=("Comedy", "Fantasy"),
        directors=("Buster Keaton",),
        cast=("Buster Keaton", "Kathryn McGuire"),
        rating=8.1,
        votes=1000,
    ),
    _film(
        3085,
        "His Girl Friday",
        "1940-01-18",
        "An editor has one day to keep his best reporter, who is also his former wife, from "
        "marrying an insurance man; a death row story helps him.",
        imdb="tt0032599",
        runtime=92,
        genres=("Comedy", "Drama", "Romance"),
        directors=("Howard Hawks",),
        cast=("Cary Grant", "Rosalind Russell", "Ralph Bellamy"),
        votes=600,
    ),
    _film(
        4808,
        "Charade",
        "1963-12-01",
        "A widow in Paris learns that her husband stole a fortune, that three men want it, and "
        "that the charming stranger beside her changes his name each day.",
        imdb="tt0056923",
        runtime=113,
        genres=("Comedy", "Mystery", "Romance"),
        directors=("Stanley Donen",),
        cast=("Cary Grant", "Audrey Hepburn", "Walter Matthau"),
        rating=7.6,
        votes=1100,
    ),
    _film(
        10331,
        "Night of the Living Dead",
        "1968-10-04",
        "Seven strangers board up a farmhouse against the dead outside and cannot agree on "
        "anything inside.",
        imdb="tt0063350",
        runtime=96,
        genres=("Horror",),
        directors=("George A. Romero",),
        cast=("Duane Jones", "Judith O'Dea", "Karl Hardman"),
        rating=7.6,
        votes=2300,
    ),
    _series(
        1954,
        "Sherlock Holmes",
        "Holmes and Watson as young men in Baker Street, with lighter cases than in the books.",
        genres=("Mystery",),
        directors=("Sheldon Reynolds",),
        cast=("Ronald Howard", "Howard Marion-Crawford"),
        seasons=(
            _season(
                1,
                "The only season, filmed in France.",
                (
                    "The Case of the Cunningham Heritage",
                    "1954-10-18",
                    "The two meet, and the first client is accused of murder.",
                ),
                (
                    "The Case of Lady Beryl",
                    "1954-10-25",
                    "A lady confesses to a killing she cannot have done.",
                ),
                (
                    "The Case of the Pennsylvania Gun",
                    "1954-11-01",
                    "A castle, a moat, and a shot nobody can place.",
                ),
            ),
        ),
    ),
    _series(
        1959,
        "One Step Beyond",
        "A host presents stories of forebodings and hauntings, each said to be on record.",
        genres=("Mystery", "Drama"),
        directors=("John Newland",),
        cast=("John Newland",),
        seasons=(
            _season(
                1,
                "The first year.",
                ("The Bride Possessed", "1959-01-20", "A bride speaks with the voice of another."),
                ("Night of April 14th", "1959-01-27", "A dream of cold water before a crossing."),
            ),
            _season(
                2,
                "The second year.",
                ("Delusion", "1959-09-15", "A man whose blood lets him see who will be hurt."),
            ),
        ),
    ),
)
"""Films first, then series. Numbers of films are TMDB's, those of series are made up."""

VIDEOS: Mapping[tuple[TitleKind, int], tuple[Video, ...]] = {
    (TitleKind.MOVIE, 19): (
        Video("Restoration trailer", "YouTube", "Trailer", None, official=True, language="en"),
        Video("A fan's trailer", "YouTube", "Trailer", None, language="en"),
        Video("The machine room", "Vimeo", "Clip", None, official=True),
    ),
}
"""In the order the port promises. None has an address: the mock points nowhere outside."""
