"""Films on web pages, by yt-dlp in a process of its own: https://github.com/yt-dlp/yt-dlp."""
