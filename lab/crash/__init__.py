"""The fire: shakes the real program from outside and checks every promise. See `fire.py`."""
