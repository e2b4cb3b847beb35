"""The driver of the source type `local`: files and folders on this machine's disks."""
