"""The formats that subtitles are written in, a module each. All of it runs in the child."""
