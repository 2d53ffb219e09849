"""What every channel of a network does over a data set."""
