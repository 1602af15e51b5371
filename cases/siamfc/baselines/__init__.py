"""What SiamFC is held against: simple trackers and OpenCV's; trackers.py gives each its name in the tables."""
