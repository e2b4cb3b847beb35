"""What players want to know of a job: what is inside its films, its subtitles, its playlist."""
