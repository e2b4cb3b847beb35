"""Names made of titles and the customs of those who name releases, with what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.unit.library.names.corpus import Named

FILMS = """
The Cabinet of Dr. Caligari=1920|Nosferatu=1922|Safety Last!=1923|Sherlock Jr.=1924
The Gold Rush=1925|Battleship Potemkin=1925|The General=1926|Metropolis=1927
Sunrise: A Song of Two Humans=1927|M=1931|City Lights=1931|Frankenstein=1931|King Kong=1933
It Happened One Night=1934|The 39 Steps=1935|Modern Times=1936
Snow White and the Seven Dwarfs=1937|The Wizard of Oz=1939|His Girl Friday=1940
Citizen Kane=1941|Casablanca=1942|Double Indemnity=1944|It's a Wonderful Life=1946
The Third Man=1949|All About Eve=1950|Sunset Boulevard=1950|Singin' in the Rain=1952|Ikiru=1952
Seven Samurai=1954|12 Angry Men=1957|Vertigo=1958|Plan 9 from Outer Space=1959
The 400 Blows=1959|Psycho=1960|8 1/2=1963|Dr. Strangelove=1964|Persona=1966
Night of the Living Dead=1968|2001: A Space Odyssey=1968|Z=1969|Solaris=1972|Airport 1975=1974
Death Race 2000=1975|Assault on Precinct 13=1976|1900=1976
Star Wars: Episode IV - A New Hope=1977|Alien=1979|1941=1979|The Empire Strikes Back=1980
E.T. the Extra-Terrestrial=1982|Blade Runner=1982|Class of 1984=1982|Nineteen Eighty-Four=1984
2010: The Year We Make Contact=1984|Brazil=1985|Akira=1988|Die Hard 2=1990
Terminator 2: Judgment Day=1991|12 Monkeys=1995|Apollo 13=1995|Se7en=1995
Mr. Holland's Opus=1995|Face-Off=1997|X-Men=2000|U-571=2000|Dracula 2000=2000
Ocean's Eleven=2001|28 Days Later=2002|Kill Bill: Vol. 1=2003|2046=2004
The 40-Year-Old Virgin=2005|300=2006|1408=2007|21=2008|WALL-E=2008|2012=2009|District 9=2009
Kick-Ass=2010|127 Hours=2010|Scott Pilgrim vs. the World=2010
Harry Potter and the Deathly Hallows: Part 2=2011|The Girl with the Dragon Tattoo=2011
Room 237=2012|12 Years a Slave=2013|22 Jump Street=2014|Mad Max: Fury Road=2015
10 Cloverfield Lane=2016|Blade Runner 2049=2017|Ocean's 8=2018|1917=2019|Wonder Woman 1984=2020
Spider-Man: No Way Home=2021|Dune: Part Two=2024|The French Dispatch=2021|Uncut Gems=2019
The Italian Job=1969|Crouching Tiger, Hidden Dragon=2000|Léon: The Professional=1994|Amélie=2001
Das Boot=1981|La Haine=1995|Сталкер=1979|七人の侍=1954|기생충=2019
Everything Everywhere All at Once=2022|A Complete Unknown=2024
"""
SERIES = """
The Twilight Zone=1959|Doctor Who=1963|Star Trek=1966|Columbo=1971|M.A.S.H.=1972
Space: 1999=1975|Fawlty Towers=1975|Dallas=1978|Cheers=1982|MacGyver=1985|The Simpsons=1989
Twin Peaks=1990|Beverly Hills, 90210=1990|The X-Files=1993|Friends=1994
3rd Rock from the Sun=1996|South Park=1997|Buffy the Vampire Slayer=1997|The Sopranos=1999
The West Wing=1999|24=2001|Six Feet Under=2001|The Wire=2002|Battlestar Galactica=2003
The 4400=2004|Lost=2004|House=2004|The Office (US)=2005|30 Rock=2006|Mad Men=2007
Breaking Bad=2008|Warehouse 13=2009|Sherlock=2010|2 Broke Girls=2011|Game of Thrones=2011
House of Cards=2013|Brooklyn Nine-Nine=2013|Orange Is the New Black=2013|The 100=2014|Fargo=2014
12 Monkeys=2015|Better Call Saul=2015|Mr. Robot=2015|11.22.63=2016|Stranger Things=2016
Dark=2017|9-1-1=2018|Killing Eve=2018|Chernobyl=2019|1883=2021|Squid Game=2021
The Last of Us=2023|It's Always Sunny in Philadelphia=2005|Law & Order=1990
What We Do in the Shadows=2019|Agents of S.H.I.E.L.D.=2013|Tatort=1970|Мастер и Маргарита=2005
"""
ANIME = """
One Piece|Naruto Shippuuden|Cowboy Bebop|Mob Psycho 100|Steins;Gate 0|Boku no Hero Academia
Shingeki no Kyojin|Kimetsu no Yaiba|Spy x Family|Hunter x Hunter|Sousou no Frieren
86 - Eighty Six|Kaguya-sama wa Kokurasetai|Re Zero kara Hajimeru Isekai Seikatsu|K-On!|Gintama
Detective Conan|Uchuu Senkan Yamato 2199|Mushi-Shi|Jujutsu Kaisen|Vinland Saga|Zom 100
Lycoris Recoil|3-gatsu no Lion
"""
FILM_CUSTOMS = (
    "{dots}.{year}.1080p.BluRay.x264-GRP",
    "{dots}.{year}.2160p.UHD.BluRay.REMUX.HEVC.TrueHD.7.1.Atmos-GRP.mkv",
    "{title} ({year}) [1080p] [BluRay] [5.1] [YTS.MX]",
    "{title} ({year}).mkv",
    "{title} ({year}) 720p WEBRip x264 AAC",
    "{under}_({year})_DVDRip.avi",
    "{title} [{year}] BDRip 1080p",
    "{dots}.{year}.EXTENDED.REMASTERED.1080p.BluRay.DTS-HD.MA.5.1.x264-GRP.mkv",
    "{dots}.{year}.MULTi.VFF.1080p.WEB.H264-GRP",
    "{dots}.{year}.GERMAN.DL.720p.HDTV.x264-GRP",
    "[ site.org ] {title} ({year}) HDRip.mp4",
    "{lower}.{year}.dvdrip.xvid-grp.avi",
    "{title} - {year} - 480p.mkv",
    "{dots}.{year}.iNTERNAL.COMPLETE.BLURAY-GRP",
    "{title} ({year}) {{tmdb-123}} - 1080p.mkv",
    "{dots}.{year}.PROPER.HDR.2160p.AMZN.WEB-DL.DDP5.1.H.265-GRP",
    "{title} {year} 1080p 10bit HEVC x265.mkv",
    "{dots}.{year}.PAL.DVDR-GRP",
    "{title} ({year}) (1080p BluRay x265 10bit Tigole)",
    "{dots}.({year}).Directors.Cut.1080p.BluRay",
    "{dots}.{year}.CD1.DVDRip.XviD.avi",
    "{title}.{year}.720p.mkv",
)
SERIES_CUSTOMS = (
    "{dots}.S{s:02}E{e:02}.720p.HDTV.x264-GRP",
    "{dots}.S{s:02}E{e:02}.The.Long.Way.Home.1080p.NF.WEB-DL.DDP5.1.H.264-GRP.mkv",
    "{title} - S{s:02}E{e:02} - The Long Way Home.mkv",
    "{title} ({year}) - S{s:02}E{e:02} - The Long Way Home.mkv",
    "{dots}.{s}x{e:02}.HDTV.XviD-GRP.avi",
    "{title} - {s}x{e:02} - The Long Way Home.avi",
    "{title} Season {s} Episode {e}.mp4",
    "{dots}.S{s:02}.COMPLETE.1080p.BluRay.x264-GRP",
    "{title} Season {s} (1080p BluRay x265)",
    "{dots}.S{s:02}E{e:02}E{f:02}.720p.WEB-DL",
    "{title} - s{s:02}e{e:02}-e{f:02}.mkv",
    "{lower}.s{s:02}e{e:02}.dvdrip.xvid-grp.avi",
    "{under}_S{s:02}_E{e:02}_1080p",
    "{dots}.S{s:02}E{e:02}.MULTi.1080p.WEB.H264-GRP",
    "{dots}.{year}.S{s:02}E{e:02}.1080p.WEB.H264-GRP",
    "{title} S{s}E{e}.avi",
    "[ www.site.org ] {title} S{s:02}E{e:02} HDTV",
    "{title} [{s}x{e:02}] The Long Way Home.mkv",
    "{dots}.Season.{s}.Complete.720p.WEB-DL",
    "{dots}.S00E{e:02}.Special.720p.HDTV",
)
ANIME_CUSTOMS = (
    "[Grp] {title} - {e:02} (1080p) [ABCDEF01].mkv",
    "[Grp] {title} - {a} [720p].mkv",
    "[Grp]_{under}_-_{e:02}_[1080p]_[ABCDEF01].mkv",
    "[Grp] {title} S{s} - {e:02} (1080p).mkv",
    "[Grp] {title} - {e:02}v2 [1080p].mkv",
    "[Grp] {title} - 01-12 [BD 1080p]",
    "[Grp] {title} - S{s:02}E{e:02} [1080p].mkv",
    "{title} - {a} [1080p].mkv",
    "[Grp] {title} {e:02} [1080p].mkv",
    "[Grp] {title} Season {s} - {e:02} [1080p][HEVC].mkv",
    "[Grp] {title} - {e:02} - The Long Way Home [720p].mkv",
)


def made() -> Iterator[Named]:
    """Yields each title in half of the customs of its kind."""
    for number, entry in enumerate(_entries(FILMS)):
        title, _, year = entry.partition("=")
        for custom in FILM_CUSTOMS[number % 2 :: 2]:
            name = custom.format(**_spellings(title), year=year)
            yield Named(name, "movie", title, int(year))
    for number, entry in enumerate(_entries(SERIES)):
        title, _, year = entry.partition("=")
        for place, custom in enumerate(SERIES_CUSTOMS[number % 2 :: 2]):
            yield _episode(custom, title, year, 1 + number % 9, 1 + (number * 7 + place) % 22)
    for number, title in enumerate(_entries(ANIME)):
        for place, custom in enumerate(ANIME_CUSTOMS):
            yield _anime(custom, title, 2 + number % 3, 1 + (number * 5 + place) % 24)


def _episode(custom: str, title: str, year: str, season: int, episode: int) -> Named:
    name = custom.format(**_spellings(title), year=year, s=season, e=episode, f=episode + 1)
    episodes: tuple[int, ...] = (episode,) if "{e" in custom else ()
    if "{f" in custom:
        episodes += (episode + 1,)
    said = int(year) if "{year}" in custom else None
    return Named(name, "tv", title, said, 0 if "S00" in custom else season, episodes)


def _anime(custom: str, title: str, season: int, episode: int) -> Named:
    name = custom.format(**_spellings(title), s=season, e=episode, a=episode + 130)
    if "{s" in custom:
        return Named(name, "tv", title, None, season, (episode,))
    absolute = range(1, 13) if "01-12" in custom else [episode + 130 * ("{a}" in custom)]
    return Named(name, "tv", title, absolute=tuple(absolute))


def _entries(table: str) -> list[str]:
    return [entry for line in table.split("\n") for entry in line.split("|") if entry]


def _spellings(title: str) -> dict[str, str]:
    """A title as files and as releases spell it."""
    file = title.replace(": ", " - ").replace("/", " ").replace("?", "")
    words = re.sub(
        r"[^\w\s.-]", "", title.replace("&", "and").replace("/", " ").replace(" - ", " ")
    )
    dots = re.sub(r"\.{2,}", ".", words.replace(" ", ".")).rstrip(".")
    return {"title": file, "dots": dots, "under": dots.replace(".", "_"), "lower": dots.lower()}
