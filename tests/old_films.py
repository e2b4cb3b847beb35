"""Names, years and directors of old films that belong to everybody, for catalogues on loopback."""

from __future__ import annotations

from typing import NamedTuple

from chilly_movies.catalogue.titles import Title, TitleDetails, TitleKind


class OldFilm(NamedTuple):
    """A film: its number is ours, and means nothing elsewhere."""

    number: int
    name: str
    year: int
    director: str

    @property
    def identifier(self) -> str:
        """What our Internet Archive calls it."""
        words = "".join(c if c.isascii() and c.isalnum() else "_" for c in self.name).split("_")
        return "_".join([*filter(None, words), str(self.year)])


_TABLE = """
Roundhay Garden Scene|1888|Louis Le Prince
The Kiss|1896|William Heise
The Astronomer's Dream|1898|Georges Méliès
Cinderella|1899|Georges Méliès
Joan of Arc|1900|Georges Méliès
Blue Beard|1901|Georges Méliès
A Trip to the Moon|1902|Georges Méliès
Alice in Wonderland|1903|Cecil Hepworth
The Great Train Robbery|1903|Edwin S. Porter
Life of an American Fireman|1903|Edwin S. Porter
The Kingdom of the Fairies|1903|Georges Méliès
The Impossible Voyage|1904|Georges Méliès
Rescued by Rover|1905|Lewin Fitzhamon
The Story of the Kelly Gang|1906|Charles Tait
The '?' Motorist|1906|Robert W. Paul
Dream of a Rarebit Fiend|1906|Edwin S. Porter
Humorous Phases of Funny Faces|1906|J. Stuart Blackton
The Red Spectre|1907|Segundo de Chomón
Ben Hur|1907|Sidney Olcott
Fantasmagorie|1908|Émile Cohl
The Adventures of Dollie|1908|D. W. Griffith
A Corner in Wheat|1909|D. W. Griffith
The Country Doctor|1909|D. W. Griffith
Frankenstein|1910|J. Searle Dawley
The Wonderful Wizard of Oz|1910|Otis Turner
In Old California|1910|D. W. Griffith
A Christmas Carol|1910|J. Searle Dawley
Inferno|1911|Francesco Bertolini
Little Nemo|1911|Winsor McCay
Defence of Sevastopol|1911|Vasily Goncharov
The Lonedale Operator|1911|D. W. Griffith
The Musketeers of Pig Alley|1912|D. W. Griffith
Oliver Twist|1912|Thomas Bentley
The Cameraman's Revenge|1912|Ladislas Starevich
Richard III|1912|André Calmettes
The Conquest of the Pole|1912|Georges Méliès
Quo Vadis|1913|Enrico Guazzoni
Fantômas|1913|Louis Feuillade
Traffic in Souls|1913|George Loane Tucker
The Student of Prague|1913|Stellan Rye
Ingeborg Holm|1913|Victor Sjöström
Suspense|1913|Lois Weber
Atlantis|1913|August Blom
Cabiria|1914|Giovanni Pastrone
Tillie's Punctured Romance|1914|Mack Sennett
The Perils of Pauline|1914|Louis J. Gasnier
Gertie the Dinosaur|1914|Winsor McCay
The Squaw Man|1914|Cecil B. DeMille
Kid Auto Races at Venice|1914|Henry Lehrman
Judith of Bethulia|1914|D. W. Griffith
The Tramp|1915|Charles Chaplin
The Cheat|1915|Cecil B. DeMille
Regeneration|1915|Raoul Walsh
Les Vampires|1915|Louis Feuillade
The Bank|1915|Charles Chaplin
A Fool There Was|1915|Frank Powell
Hypocrites|1915|Lois Weber
Intolerance|1916|D. W. Griffith
20,000 Leagues Under the Sea|1916|Stuart Paton
The Pawnshop|1916|Charles Chaplin
The Rink|1916|Charles Chaplin
One A.M.|1916|Charles Chaplin
Snow White|1916|J. Searle Dawley
Hell's Hinges|1916|Charles Swickard
The Immigrant|1917|Charles Chaplin
Easy Street|1917|Charles Chaplin
The Poor Little Rich Girl|1917|Maurice Tourneur
A Man There Was|1917|Victor Sjöström
Straight Shooting|1917|John Ford
The Butcher Boy|1917|Roscoe Arbuckle
Coney Island|1917|Roscoe Arbuckle
Thomas Graal's Best Film|1917|Mauritz Stiller
Shoulder Arms|1918|Charles Chaplin
A Dog's Life|1918|Charles Chaplin
Stella Maris|1918|Marshall Neilan
Mickey|1918|F. Richard Jones
The Sinking of the Lusitania|1918|Winsor McCay
Tarzan of the Apes|1918|Scott Sidney
The Outlaw and His Wife|1918|Victor Sjöström
Broken Blossoms|1919|D. W. Griffith
The Oyster Princess|1919|Ernst Lubitsch
J'accuse|1919|Abel Gance
Madame DuBarry|1919|Ernst Lubitsch
Sir Arne's Treasure|1919|Mauritz Stiller
Different from the Others|1919|Richard Oswald
The Doll|1919|Ernst Lubitsch
Blind Husbands|1919|Erich von Stroheim
The Cabinet of Dr. Caligari|1920|Robert Wiene
The Mark of Zorro|1920|Fred Niblo
Dr. Jekyll and Mr. Hyde|1920|John S. Robertson
The Golem: How He Came into the World|1920|Paul Wegener
One Week|1920|Buster Keaton
Within Our Gates|1920|Oscar Micheaux
Way Down East|1920|D. W. Griffith
The Last of the Mohicans|1920|Maurice Tourneur
The Penalty|1920|Wallace Worsley
Convict 13|1920|Buster Keaton
Neighbors|1920|Buster Keaton
The Scarecrow|1920|Buster Keaton
Pollyanna|1920|Paul Powell
The Kid|1921|Charles Chaplin
The Phantom Carriage|1921|Victor Sjöström
The Sheik|1921|George Melford
Destiny|1921|Fritz Lang
The Four Horsemen of the Apocalypse|1921|Rex Ingram
The Play House|1921|Buster Keaton
The Boat|1921|Buster Keaton
The Goat|1921|Buster Keaton
Tol'able David|1921|Henry King
Never Weaken|1921|Fred C. Newmeyer
Nosferatu|1922|F. W. Murnau
Häxan|1922|Benjamin Christensen
Nanook of the North|1922|Robert J. Flaherty
Dr. Mabuse the Gambler|1922|Fritz Lang
Foolish Wives|1922|Erich von Stroheim
Robin Hood|1922|Allan Dwan
Cops|1922|Buster Keaton
The Toll of the Sea|1922|Chester M. Franklin
Grandma's Boy|1922|Fred C. Newmeyer
The Paleface|1922|Buster Keaton
Phantom|1922|F. W. Murnau
Safety Last!|1923|Fred C. Newmeyer
The Hunchback of Notre Dame|1923|Wallace Worsley
Our Hospitality|1923|Buster Keaton
The Ten Commandments|1923|Cecil B. DeMille
A Woman of Paris|1923|Charles Chaplin
The Covered Wagon|1923|James Cruze
Three Ages|1923|Buster Keaton
Why Worry?|1923|Fred C. Newmeyer
The Pilgrim|1923|Charles Chaplin
Scaramouche|1923|Rex Ingram
Salomé|1923|Charles Bryant
Sherlock Jr.|1924|Buster Keaton
The Last Laugh|1924|F. W. Murnau
Greed|1924|Erich von Stroheim
The Thief of Bagdad|1924|Raoul Walsh
He Who Gets Slapped|1924|Victor Sjöström
The Navigator|1924|Buster Keaton
Die Nibelungen: Siegfried|1924|Fritz Lang
The Hands of Orlac|1924|Robert Wiene
Aelita|1924|Yakov Protazanov
Waxworks|1924|Paul Leni
Girl Shy|1924|Fred C. Newmeyer
The Iron Horse|1924|John Ford
Peter Pan|1924|Herbert Brenon
Ballet Mécanique|1924|Fernand Léger
The Gold Rush|1925|Charles Chaplin
The Phantom of the Opera|1925|Rupert Julian
Battleship Potemkin|1925|Sergei Eisenstein
The Lost World|1925|Harry O. Hoyt
The Big Parade|1925|King Vidor
Strike|1925|Sergei Eisenstein
The Freshman|1925|Fred C. Newmeyer
Seven Chances|1925|Buster Keaton
Ben-Hur: A Tale of the Christ|1925|Fred Niblo
The Merry Widow|1925|Erich von Stroheim
Joyless Street|1925|G. W. Pabst
The Wizard of Oz|1925|Larry Semon
Go West|1925|Buster Keaton
The General|1926|Buster Keaton
Faust|1926|F. W. Murnau
The Adventures of Prince Achmed|1926|Lotte Reiniger
The Black Pirate|1926|Albert Parker
The Son of the Sheik|1926|George Fitzmaurice
Mother|1926|Vsevolod Pudovkin
A Page of Madness|1926|Teinosuke Kinugasa
The Scarlet Letter|1926|Victor Sjöström
For Heaven's Sake|1926|Sam Taylor
The Bat|1926|Roland West
Sparrows|1926|William Beaudine
Tartuffe|1926|F. W. Murnau
Metropolis|1927|Fritz Lang
Sunrise|1927|F. W. Murnau
Wings|1927|William A. Wellman
The Jazz Singer|1927|Alan Crosland
Napoleon|1927|Abel Gance
The Lodger|1927|Alfred Hitchcock
7th Heaven|1927|Frank Borzage
It|1927|Clarence G. Badger
The Cat and the Canary|1927|Paul Leni
The Unknown|1927|Tod Browning
Berlin: Symphony of a Great City|1927|Walter Ruttmann
October|1927|Sergei Eisenstein
The Kid Brother|1927|Ted Wilde
College|1927|James W. Horne
The King of Kings|1927|Cecil B. DeMille
Underworld|1927|Josef von Sternberg
The Passion of Joan of Arc|1928|Carl Theodor Dreyer
The Circus|1928|Charles Chaplin
The Man Who Laughs|1928|Paul Leni
Steamboat Bill, Jr.|1928|Charles Reisner
The Cameraman|1928|Edward Sedgwick
The Crowd|1928|King Vidor
The Wind|1928|Victor Sjöström
Spies|1928|Fritz Lang
The Last Command|1928|Josef von Sternberg
The Docks of New York|1928|Josef von Sternberg
Speedy|1928|Ted Wilde
The Fall of the House of Usher|1928|Jean Epstein
Steamboat Willie|1928|Walt Disney
Storm over Asia|1928|Vsevolod Pudovkin
Man with a Movie Camera|1929|Dziga Vertov
Pandora's Box|1929|G. W. Pabst
Woman in the Moon|1929|Fritz Lang
Diary of a Lost Girl|1929|G. W. Pabst
Blackmail|1929|Alfred Hitchcock
Un Chien Andalou|1929|Luis Buñuel
Piccadilly|1929|E. A. Dupont
Arsenal|1929|Alexander Dovzhenko
White Zombie|1932|Victor Halperin
The Most Dangerous Game|1932|Irving Pichel
The Vampire Bat|1933|Frank R. Strayer
My Man Godfrey|1936|Gregory La Cava
Reefer Madness|1936|Louis J. Gasnier
A Star Is Born|1937|William A. Wellman
Nothing Sacred|1937|William A. Wellman
His Girl Friday|1940|Howard Hawks
Meet John Doe|1941|Frank Capra
Detour|1945|Edgar G. Ulmer
Scarlet Street|1945|Fritz Lang
The Stranger|1946|Orson Welles
D.O.A.|1949|Rudolph Maté
The Hitch-Hiker|1953|Ida Lupino
Plan 9 from Outer Space|1957|Edward D. Wood Jr.
House on Haunted Hill|1959|William Castle
The Little Shop of Horrors|1960|Roger Corman
Carnival of Souls|1962|Herk Harvey
Charade|1963|Stanley Donen
Dementia 13|1963|Francis Ford Coppola
The Last Man on Earth|1964|Ubaldo Ragona
Manos: The Hands of Fate|1966|Harold P. Warren
Night of the Living Dead|1968|George A. Romero
"""

FILMS: tuple[OldFilm, ...] = tuple(
    OldFilm(90_001 + n, name, int(year), director)
    for n, (name, year, director) in enumerate(
        line.split("|") for line in _TABLE.strip().splitlines()
    )
)
"""More than 200, of which no two are called the same and came in the same year."""


def old_titles() -> tuple[TitleDetails, ...]:
    """The same as a catalogue knows them, with the paths of their pictures."""
    return tuple(
        TitleDetails(
            Title(
                id=film.number,
                kind=TitleKind.MOVIE,
                name=film.name,
                year=film.year,
                votes=film.number,
                rating=7.0,
                poster=f"/p{film.number}.png",
                backdrop=f"/b{film.number}.png",
            ),
            original_name=film.name,
            released=f"{film.year}-01-01",
            directors=(film.director,),
        )
        for film in FILMS
    )
